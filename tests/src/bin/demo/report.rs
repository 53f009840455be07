//! The result as a person reads it: a headline, three tables of conversations, the counters, and
//! two lines that sum it up.

use std::env;
use std::io::{self, IsTerminal};

use anyhow::Result;
use comfy_table::{Cell, CellAlignment, Color, ColumnConstraint, Table, TableComponent, Width};
use sccm_agent::output;

use crate::attempt::{Attempt, Opener, Outcome};
use crate::counters::{Count, Counters, Kind};
use crate::reasons::Expectation;
use crate::{agent, hosts};

/// Columns of the conversations; what is left over is for the reason.
const COLUMNS: [u16; 4] = [20, 13, 10, 12];

/// One conversation: what should happen and what did.
pub struct Row {
    /// What was tried.
    pub attempt: Attempt,
    /// What should come of it.
    pub expectation: Expectation,
    /// What came of it without the agent.
    pub without: Outcome,
    /// What came of it with the agent.
    pub with: Outcome,
}

impl Row {
    /// What is wrong, if anything is.
    fn fault(&self) -> Option<String> {
        let works = |outcome: &Outcome| matches!(outcome, Outcome::Worked(_));
        if !works(&self.without) {
            return Some(format!(
                "should work without the agent: {}",
                words(&self.without)
            ));
        }
        let should = match (self.expectation.passes, &self.with) {
            (true, Outcome::Worked(_)) | (false, Outcome::Silent) => return None,
            (true, _) => "should work",
            (false, _) => "should be dropped",
        };
        Some(format!(
            "{should} ({}): {}",
            self.expectation.reason,
            words(&self.with)
        ))
    }
}

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
    ///
    /// # Errors
    /// If that cannot be written.
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
                "Opened by itself",
                self.rows.iter().filter(|row| !client(row)).collect(),
            ),
        ];
        parts.extend(
            groups
                .iter()
                .map(|(title, rows)| conversations(title, rows)),
        );
        parts.push(self.counters_table());
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
            let silent =
                |row: &&Row| row.with == Outcome::Silent && row.attempt.protocol() == protocol;
            let tried = self.rows.iter().filter(silent).count() as u64;
            let counted = self
                .counters
                .packets(|kind| kind.dropped && kind.protocol == protocol);
            if counted < tried {
                faults.push(format!(
                    "{tried} {protocol} conversations were dropped, but only {counted} packets counted"
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

    fn counters_table(&self) -> String {
        let mut table = output::list(["Counted", "reason", "service", "packets", "bytes"]);
        let of = |which: fn(&Kind) -> bool| {
            let counts = self.counters.counts.iter();
            counts.filter(move |(kind, _)| which(kind))
        };
        for (kind, count) in of(|kind| !kind.dropped && !kind.outbound) {
            table.add_row(counter_cells(kind, *count));
        }
        // What the host sends all passes, and half of it answers the lines above: one line for it.
        let mut sent = Count::default();
        for (_, count) in of(|kind| !kind.dropped && kind.outbound) {
            sent.packets += count.packets;
            sent.bytes += count.bytes;
        }
        let outbound = Kind {
            reason: "outbound".into(),
            ..Kind::default()
        };
        table.add_row(counter_cells(&outbound, sent));
        for (kind, count) in of(|kind| kind.dropped) {
            table.add_row(counter_cells(kind, *count));
        }
        for index in [3, 4] {
            if let Some(column) = table.column_mut(index) {
                column.set_cell_alignment(CellAlignment::Right);
            }
        }
        finish(&mut table)
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

fn conversations(title: &str, rows: &[&Row]) -> String {
    let mut table = output::list([title, "", "without", "with", "why"]);
    for row in rows {
        let (with, colour) = match (row.fault(), &row.with) {
            (Some(_), outcome) => (format!("!! {}", words(outcome)), Color::Red),
            (None, Outcome::Silent) => ("✗ dropped".to_owned(), Color::Yellow),
            (None, outcome) => (format!("✓ {}", words(outcome)), Color::Green),
        };
        let why = match row.fault() {
            Some(fault) => Cell::new(format!("!! {fault}")).fg(Color::Red),
            None => Cell::new(&row.expectation.reason),
        };
        table.add_row([
            Cell::new(row.attempt.name),
            Cell::new(row.attempt),
            Cell::new(words(&row.without)),
            Cell::new(with).fg(colour),
            why,
        ]);
    }
    // All tables of conversations alike, whatever is in them.
    let rest = table.width().unwrap_or_default();
    let rest = rest.saturating_sub(COLUMNS.iter().sum());
    for (index, width) in COLUMNS.into_iter().chain([rest]).enumerate() {
        if let Some(column) = table.column_mut(index) {
            column.set_constraint(ColumnConstraint::Absolute(Width::Fixed(width)));
        }
    }
    finish(&mut table)
}

fn counter_cells(kind: &Kind, count: Count) -> [String; 5] {
    let verdict = if kind.dropped { "dropped" } else { "passed" };
    let service = match kind.service.as_str() {
        "none" => format!("{}, no service", kind.protocol),
        service => format!("{} {service}", kind.protocol),
    };
    [
        verdict.to_owned(),
        kind.reason.clone(),
        format!("{} {}", kind.protocol, kind.service)
            .trim()
            .to_owned(),
        count.packets.to_string(),
        count.bytes.to_string(),
    ]
}

fn words(outcome: &Outcome) -> &str {
    match outcome {
        Outcome::Worked(how) => how,
        Outcome::Silent => "no answer",
        Outcome::Odd(what) => what,
    }
}

/// The table's text, in colour only where [`colours`] says so.
fn finish(table: &mut Table) -> String {
    for border in [TableComponent::TopBorder, TableComponent::BottomBorder] {
        table.remove_style(border);
    }
    table.set_style(TableComponent::HeaderLines, '─');
    if !colours() {
        table.force_no_tty();
    }
    output::lines(table)
}

fn bold(text: &str) -> String {
    if colours() {
        format!("\x1b[1m{text}\x1b[0m")
    } else {
        text.to_owned()
    }
}

/// Whether a person looks on who has not asked for plain text (no-color.org).
fn colours() -> bool {
    io::stdout().is_terminal() && env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}
