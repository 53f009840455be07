//! How commands print: a table for people, JSON for programs.
//!
//! Tables are as wide as the terminal. In a file or a pipe, and on a terminal without a width, they are
//! plain: no rules between rows, no colours, and nothing is broken over lines, so that `grep` finds what is there. A reader that closes
//! the pipe early (`| head`) has what it wants: that is no error.

use crate::visible::visible;
use anyhow::{Context as _, Result};
use clap::{Args, ValueEnum};
use comfy_table::{ContentArrangement, Table, TableComponent, presets};
use serde::Serialize;
use std::{
    ffi::OsString,
    fmt::Display,
    io::{self, ErrorKind, Write},
};

/// What `-o` chooses from.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum OutputFormat {
    /// Table, for people
    #[default]
    Table,
    /// JSON, for programs
    Json,
}

/// The flag of every command that prints.
#[derive(Debug, Clone, Copy, Default, Args)]
pub struct OutputArgs {
    /// Output format
    #[arg(short, long, value_enum, default_value_t)]
    pub output: OutputFormat,
}

/// Whether a command line asks for JSON, also where it is wrong otherwise.
pub fn wants_json(args: impl IntoIterator<Item = OsString>) -> bool {
    let args: Vec<OsString> = args.into_iter().collect();
    let is_flag = |arg: &OsString| arg == "-o" || arg == "--output";
    let apart = |pair: &[OsString]| is_flag(&pair[0]) && pair[1] == "json";
    args.windows(2).any(apart)
        || ["-ojson", "-o=json", "--output=json"]
            .iter()
            .any(|joined| args.iter().any(|arg| arg == joined))
}

/// The columns of the terminal on which standard output is; `None`: it is a file, a pipe, or a terminal
/// that does not know, such as a serial port.
fn terminal() -> Option<u16> {
    columns().filter(|columns| *columns > 0)
}

#[cfg(not(test))]
fn columns() -> Option<u16> {
    Table::new().width()
}

#[cfg(test)]
fn columns() -> Option<u16> {
    tests::TERMINAL.get()
}

/// Whether standard output is a file, a pipe, or of unknown width: each row is one line there.
#[must_use]
pub fn is_plain() -> bool {
    terminal().is_none()
}

/// The lines of a cell, or in a file or a pipe all on one.
#[must_use]
pub fn joined(lines: &[String]) -> String {
    lines.join(if is_plain() { ", " } else { "\n" })
}

/// An empty table with this header, for rows of several lines: rules part them.
#[must_use]
pub fn table<const N: usize>(header: [&str; N]) -> Table {
    let mut table = plain();
    if !is_plain() {
        table.load_preset(presets::UTF8_HORIZONTAL_ONLY);
    }
    table.set_header(header);
    for column in table.column_iter_mut() {
        column.set_padding((1, 0));
    }
    table
}

/// An empty table with this header, for rows of one line.
#[must_use]
pub fn list<const N: usize>(header: [&str; N]) -> Table {
    let mut list = table(header);
    list.remove_style(TableComponent::HorizontalLines)
        .remove_style(TableComponent::MiddleIntersections);
    list
}

/// The id on lines of at most `width`, as far as breaks after its hyphens allow:
/// a table would break it anywhere. In a file or a pipe it is not broken.
#[must_use]
pub fn wrap_id(id: &str, width: usize) -> String {
    if is_plain() {
        return id.to_owned();
    }
    let mut text = String::new();
    let mut column = 0;
    for part in id.split_inclusive('-') {
        if column > 0 && column + part.len() > width {
            text.push('\n');
            column = 0;
        }
        text += part;
        column += part.len();
    }
    text
}

/// A table without lines or header, for lists of marks and what they mean.
#[must_use]
pub fn plain() -> Table {
    let mut table = Table::new();
    table.load_preset(presets::NOTHING);
    match terminal() {
        Some(width) => table
            .set_content_arrangement(ContentArrangement::Dynamic)
            .set_width(width),
        None => table.set_content_arrangement(ContentArrangement::Disabled),
    };
    table
}

/// The table as text, without the spaces that fill its lines up to the right.
#[must_use]
pub fn lines(table: &Table) -> String {
    let lines: Vec<String> = table
        .lines()
        .map(|line| line.trim_end().to_owned())
        .collect();
    lines.join("\n")
}

/// Writes the text, made [`visible`], and a line end to standard output.
///
/// # Errors
/// If it cannot be written, unless the reader has gone.
pub fn print(text: impl Display) -> Result<()> {
    let text = text.to_string();
    ended_early_is_fine(writeln!(io::stdout().lock(), "{}", visible(&text)))
}

/// Writes the value to standard output as indented JSON.
pub fn print_json(value: &impl Serialize) -> Result<()> {
    print(serde_json::to_string_pretty(value)?)
}

fn ended_early_is_fine(written: io::Result<()>) -> Result<()> {
    match written {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        other => other.context("writing to standard output"),
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use std::cell::Cell as Setting;

    thread_local! {
        /// The columns of a test's terminal.
        pub static TERMINAL: Setting<Option<u16>> = const { Setting::new(Some(100)) };
    }

    #[test]
    fn json_is_asked_for_in_any_form() {
        let asks = |line: &str| wants_json(line.split_whitespace().map(OsString::from));
        for line in [
            "-o json",
            "--output json",
            "-ojson",
            "-o=json",
            "--output=json",
        ] {
            assert!(asks(&format!("explain {line} tcp/80")), "{line}");
        }
        for line in ["", "-o table", "--log-format json", "check json"] {
            assert!(!asks(line), "{line}");
        }
    }

    #[test]
    fn only_a_closed_pipe_is_no_error() {
        let failed = |kind: ErrorKind| ended_early_is_fine(Err(kind.into()));
        assert!(failed(ErrorKind::BrokenPipe).is_ok());
        assert!(failed(ErrorKind::StorageFull).is_err());
    }

    #[test]
    fn ids_break_after_hyphens_only() {
        assert_eq!(wrap_id("out-of-band-console", 12), "out-of-band-\nconsole");
        assert_eq!(wrap_id("out-of-band-console", 19), "out-of-band-console");
        assert_eq!(wrap_id("synchronization", 5), "synchronization");
        assert_eq!(wrap_id("long-synchronization", 5), "long-\nsynchronization");
    }

    fn drawn(terminal: Option<u16>) -> String {
        TERMINAL.set(terminal);
        let mut table = table(["left", "right"]);
        let several = ["not-allowed".to_owned(), "word ".repeat(30)];
        table.add_row([wrap_id("out-of-band-console", 12), joined(&several)]);
        table.add_row(["word ".repeat(30), "last".to_owned()]);
        lines(&table)
    }

    #[test]
    fn tables_are_as_wide_as_their_terminal() {
        for width in [60, 100, 200] {
            let text = drawn(Some(width));
            let longest = text.lines().map(|line| line.chars().count()).max();
            let least = usize::from(width) * 3 / 4;
            assert!(
                longest.is_some_and(|longest| longest <= width.into() && longest > least),
                "{text}"
            );
            assert!(text.contains('─'), "{text}");
        }
    }

    #[test]
    fn in_a_pipe_or_on_a_serial_port_each_row_is_one_plain_line() {
        // A serial port is a terminal of no columns.
        for columns in [None, Some(0)] {
            let text = drawn(columns);
            let rows: Vec<&str> = text.lines().collect();
            assert_eq!(rows.len(), 3, "{text}");
            assert!(text.is_ascii(), "{text}");
            for part in ["out-of-band-console", "not-allowed, word word"] {
                assert!(rows[1].contains(part), "{text}");
            }
        }
    }
}
