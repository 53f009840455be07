//! What the soak found: every packet, and everything that is left over.

use anyhow::Result;
use comfy_table::{CellAlignment, Table};
use sccm_agent::output;
use sccm_tests::agent::Seen;

use crate::chaos::{Taken, Tally};
use crate::left::Objects;

/// An agent may have twice the memory of the first, in KiB besides: pages of its code and of its
/// allocator come in over time.
const MEMORY_SLACK: u64 = 8 << 10;

/// Open files of connections that are just ending.
const FILES_SLACK: u64 = 16;

/// Everything.
pub struct Report {
    /// What the sockets of `eth0` saw.
    pub seen: Seen,
    /// What the kernel counted there as passed to the allowed port.
    pub passed: u64,
    /// What it counted there as dropped.
    pub dropped: u64,
    /// Frames that went over `eth1`.
    pub flapping: u64,
    /// Those of them that were judged.
    pub judged: u64,
    /// How often what happened.
    pub tally: Tally,
    /// Seconds of the longest time that `eth1` was there without a program.
    pub worst_gap: f64,
    /// What the first agent took.
    pub first: Taken,
    /// The most that any took.
    pub most: Taken,
    /// What the kernel held before, and when all was over.
    pub objects: Option<(Objects, Objects)>,
}

impl Report {
    /// Whether everything adds up, and nothing is left over.
    pub fn all_well(&self) -> bool {
        self.rows().iter().all(|row| row.2)
    }

    /// For people.
    pub fn print(&self) -> Result<()> {
        output::print(format!("{}\n", self.tally))?;
        let mut table: Table = output::list(["soak", "", "well"]);
        for (what, figures, is_well) in self.rows() {
            table.add_row([what, &figures, if is_well { "yes" } else { "NO" }]);
        }
        if let Some(column) = table.column_mut(1) {
            column.set_cell_alignment(CellAlignment::Right);
        }
        output::print(output::lines(&table))
    }

    /// What it is about, the figures, and whether all is well with them.
    fn rows(&self) -> Vec<(&'static str, String, bool)> {
        let Seen {
            sent,
            forbidden,
            allowed,
        } = self.seen;
        let mut rows = vec![
            (
                "eth0: sent to the allowed port = arrived = counted",
                format!("{sent} = {allowed} = {}", self.passed),
                sent > 0 && sent == allowed && sent == self.passed,
            ),
            (
                "eth0: sent to the forbidden port = counted; arrived",
                format!("{sent} = {}; {forbidden}", self.dropped),
                sent == self.dropped && forbidden == 0,
            ),
            (
                "eth1, which flaps: sent, judged",
                format!("{}, {}", self.flapping, self.judged),
                self.judged > 0 && self.judged <= self.flapping,
            ),
            (
                "eth1: longest time without a program",
                format!("{:.3} s", self.worst_gap),
                true,
            ),
            (
                "memory of the agent: first, most",
                format!("{}, {} KiB", self.first.memory, self.most.memory),
                self.most.memory <= self.first.memory * 2 + MEMORY_SLACK,
            ),
            (
                "its open files: first, most",
                format!("{}, {}", self.first.files, self.most.files),
                self.most.files <= self.first.files + FILES_SLACK,
            ),
            (
                "pins: first, most",
                format!("{}, {}", self.first.pins, self.most.pins),
                self.most.pins <= self.first.pins,
            ),
        ];
        if let Some((before, after)) = self.objects {
            let pairs = [
                ("programs in the kernel", before.programs, after.programs),
                ("maps in the kernel", before.maps, after.maps),
                ("network namespaces", before.namespaces, after.namespaces),
                ("mounts", before.mounts, after.mounts),
            ];
            rows.extend(pairs.map(|(what, before, after)| {
                let figures = format!("{before} before, {after} after");
                (what, figures, before == after)
            }));
        }
        rows
    }
}
