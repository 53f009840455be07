//! How the report's tables look.
//!
//! They keep to the terminal's width, at most 100 columns, and are plain where nobody looks on.

use std::env;
use std::io::{self, IsTerminal};

use comfy_table::{
    Attribute, Cell, CellAlignment, Color, ColumnConstraint, Table, TableComponent, Width,
};
use sccm_agent::output;

use crate::attempt::Outcome;
use crate::counters::{Count, Counters, Kind};
use crate::row::{Row, words};

/// Columns of the conversations; what is left over is for the reason.
const COLUMNS: [u16; 4] = [20, 13, 11, 13];

/// A group of conversations under its title.
pub fn conversations(title: &str, rows: &[&Row]) -> String {
    let mut table = underlined([title, "", "without", "with", "why"]);
    for row in rows {
        let (with, colour) = match (row.fault(), &row.with) {
            (Some(_), outcome) => (format!("!! {}", words(outcome)), Color::Red),
            (None, Outcome::Silent) => ("✗ dropped".to_owned(), Color::Yellow),
            (None, outcome) => (format!("✓ {}", words(outcome)), Color::Green),
        };
        let why = match row.fault() {
            Some(fault) => Cell::new(fault).fg(Color::Red),
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
    output::lines(&table)
}

/// What the agent counted.
pub fn counters(counters: &Counters) -> String {
    let mut table = underlined(["Counted", "reason", "service", "packets", "bytes"]);
    let of = |which: fn(&Kind) -> bool| {
        let counts = counters.counts.iter();
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
    output::lines(&table)
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
        service.trim().to_owned(),
        count.packets.to_string(),
        count.bytes.to_string(),
    ]
}

/// A table whose header is underlined, and nothing else.
fn underlined(header: [&str; 5]) -> Table {
    let mut table = output::plain();
    table
        .set_header(header.map(|title| Cell::new(title).add_attribute(Attribute::Bold)))
        .set_style(TableComponent::HeaderLines, '─');
    for column in table.column_iter_mut() {
        column.set_padding((1, 0));
    }
    if !colours() {
        table.force_no_tty();
    }
    table
}

/// The text in bold, for a headline.
pub fn bold(text: &str) -> String {
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
