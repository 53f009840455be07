//! CSV files, row by row, with lines and columns by name.

use super::mistakes::Mistakes;
use csv::{Reader, ReaderBuilder, StringRecord};
use std::path::Path;

/// The rows of a CSV file with a head.
pub(super) struct Rows<'t> {
    file: &'t Path,
    reader: Reader<&'t [u8]>,
    head: StringRecord,
}

impl<'t> Rows<'t> {
    pub(super) fn open(
        text: &'t str,
        file: &'t Path,
        needed: &[&str],
        mistakes: &mut Mistakes,
    ) -> Option<Self> {
        let first = text.lines().next().unwrap_or_default();
        // As a spreadsheet exports it where commas are for numbers.
        let delimiter = match first.contains(',') {
            true => b',',
            false => b';',
        };
        let mut builder = ReaderBuilder::new();
        builder.delimiter(delimiter).trim(csv::Trim::All);
        let mut reader = builder.from_reader(text.as_bytes());
        let head = match reader.headers() {
            Ok(head) => head.clone(),
            Err(error) => {
                mistakes.add(file, 1, format!("is not CSV: {error}"));
                return None;
            }
        };
        let rows = Self { file, reader, head };
        let lacking: Vec<&str> = needed
            .iter()
            .copied()
            .filter(|column| rows.column(column).is_none())
            .collect();
        if !lacking.is_empty() {
            let message = format!("the first line lacks the columns {}", lacking.join(", "));
            mistakes.add(file, 1, message);
            return None;
        }
        Some(rows)
    }

    fn column(&self, name: &str) -> Option<usize> {
        self.head
            .iter()
            .position(|title| title.eq_ignore_ascii_case(name))
    }

    /// The next row that is one; what is wrong with others is noted.
    pub(super) fn next(&mut self, mistakes: &mut Mistakes) -> Option<StringRecord> {
        let mut record = StringRecord::new();
        loop {
            match self.reader.read_record(&mut record) {
                Ok(true) => return Some(record),
                Ok(false) => return None,
                Err(error) => {
                    let line = error.position().map_or(0, csv::Position::line);
                    let message = match error.kind() {
                        csv::ErrorKind::UnequalLengths {
                            expected_len, len, ..
                        } => format!("has {len} cells, and the first line {expected_len}"),
                        _ => format!("is not CSV: {error}"),
                    };
                    mistakes.add(self.file, line as usize, message);
                }
            }
        }
    }

    pub(super) fn cell<'r>(&self, record: &'r StringRecord, column: &str) -> Option<&'r str> {
        record.get(self.column(column)?)
    }

    pub(super) fn line(&self, record: &StringRecord) -> usize {
        record.position().map_or(0, csv::Position::line) as usize
    }
}
