//! The result as a person reads it: a headline, three tables of conversations, the counters, and
//! two lines that sum it up.

use anyhow::Result;
use sccm_agent::output;

use crate::attempt::{Opener, Outcome};
use crate::counters::Counters;
use crate::row::Row;
use crate::table::{self, bold};
use crate::{agent, hosts};

/// Everything that the demo found out.
pub struct Report {
    /// The conversations.
    pub rows: Vec<Row>,
    /// What the agent counted.
    pub counters: Counters,
    /// The agent's command line.
    pub command: String,
    /// The name of the host that it ran on.
    pub host: String,
}

impl Report {
    /// Whether the demo shows what it is meant to show.
    pub fn is_as_expected(&self) -> bool {
        self.faults().is_empty()
    }

    /// Writes it to standard output.
    pub fn print(&self) -> Result<()> {
        let mut parts = vec![self.headline()];
        let client = |row: &&Row| row.attempt.opener == Opener::Client;
        let passes = |row: &&Row| row.expectation.passes;
        let groups: [(&str, Vec<&Row>); 3] = [
            (
                "Part of the role",
                self.rows.iter().filter(client).filter(passes).collect(),
            ),
            (
                "No business here",
                self.rows
                    .iter()
                    .filter(client)
                    .filter(|row| !passes(row))
                    .collect(),
            ),
            (
                "Opened by the host",
                self.rows.iter().filter(|row| !client(row)).collect(),
            ),
        ];
        parts.extend(
            groups
                .iter()
                .map(|(title, rows)| table::conversations(title, rows)),
        );
        parts.push(table::counters(&self.counters));
        parts.push(self.details());
        parts.push(self.summary());
        output::print(parts.join("\n\n"))
    }

    fn headline(&self) -> String {
        let text = match self.faults().len() {
            0 => "sccm-agent lets through what a distribution point needs, and drops the rest.",
            1 => "NOT AS EXPECTED in one place, marked with !! below.",
            _ => "NOT AS EXPECTED in several places, marked with !! below.",
        };
        let [[client4, client6], [host4, host6]] = [hosts::CLIENT, hosts::DISTRIBUTION_POINT];
        format!(
            "{}\nClient {client4}, {client6}; distribution point {host4}, {host6}.",
            bold(text)
        )
    }

    fn faults(&self) -> Vec<String> {
        let rows = self.rows.iter().filter_map(Row::fault);
        rows.chain(self.miscounts()).collect()
    }

    /// Where the counters do not account for what was seen.
    fn miscounts(&self) -> Vec<String> {
        let mut faults = Vec::new();
        for protocol in ["tcp", "udp", "icmp", "icmpv6"] {
            let rows = self.rows.iter().filter(|row| {
                !row.expectation.passes
                    && row.with == Outcome::Silent
                    && row.attempt.protocol() == protocol
            });
            let tried = rows.count() as u64;
            let counted = self
                .counters
                .packets(|kind| kind.dropped && kind.protocol == protocol);
            if counted < tried {
                faults.push(format!(
                    "{tried} {protocol} conversations dropped, but {counted} packets counted"
                ));
            }
        }
        if self.counters.enforcing.is_none() {
            faults.push(format!(
                "/metrics says that {} is not enforced",
                hosts::INTERFACE
            ));
        }
        faults
    }

    fn details(&self) -> String {
        format!(
            "The command, on the host {}:\n  {}\n\
             Its metrics, while it ran, on that host: http://{}/metrics",
            self.host,
            self.command.replace(" --", " \\\n    --"),
            agent::METRICS,
        )
    }

    fn summary(&self) -> String {
        let tally = |passes: bool| {
            let rows = || {
                self.rows
                    .iter()
                    .filter(move |row| row.expectation.passes == passes)
            };
            let right = rows().filter(|row| row.fault().is_none()).count();
            format!("{right} of {}", rows().count())
        };
        let mut lines = vec![
            format!(
                "{} allowed conversations worked, and {} others were dropped.",
                tally(true),
                tally(false)
            ),
            format!(
                "The agent counted {} packets passed and {} dropped on {} ({} XDP).",
                self.counters.packets(|kind| !kind.dropped),
                self.counters.packets(|kind| kind.dropped),
                hosts::INTERFACE,
                self.counters.enforcing.as_deref().unwrap_or("no"),
            ),
        ];
        lines.extend(self.miscounts().iter().map(|fault| format!("!! {fault}")));
        lines.join("\n")
    }
}
