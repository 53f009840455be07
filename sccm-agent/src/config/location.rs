//! Where something stands in the files, and what is wrong there.
//!
//! Every value that is read carries its span, so that a mistake found late (an
//! address outside every protected prefix, a name given twice in two files)
//! still names its location. All mistakes are collected: an operator corrects a
//! file once, not once for each of them.

use crate::visible::one_line;
use std::error::Error;
use std::fmt;
use std::path::{Path, PathBuf};

/// As many mistakes are listed; the rest is counted.
const LISTED: usize = 20;

/// The beginning of a value: a file, by its number, and a byte in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Span {
    pub file: usize,
    pub start: usize,
}

/// A file, and perhaps a location in it, as `policy.toml:3:8`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Location {
    /// The file, as it was named.
    pub file: PathBuf,
    /// Line and column, both from 1, the column in characters; none where the
    /// file as a whole is meant.
    pub position: Option<(usize, usize)>,
}

impl Location {
    /// A file as a whole.
    pub(super) fn file(path: &Path) -> Self {
        Self {
            file: path.to_owned(),
            position: None,
        }
    }

    /// What begins at byte `start` of a file with this text.
    pub(super) fn within(path: &Path, text: &str, start: usize) -> Self {
        let before = &text[..text.floor_char_boundary(start)];
        let line = before.bytes().filter(|byte| *byte == b'\n').count() + 1;
        let of_line = before.rfind('\n').map_or(0, |end| end + 1);
        let column = before[of_line..].chars().count() + 1;
        Self {
            file: path.to_owned(),
            position: Some((line, column)),
        }
    }
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&one_line(&self.file.to_string_lossy()))?;
        match self.position {
            Some((line, column)) => write!(f, ":{line}:{column}"),
            None => Ok(()),
        }
    }
}

/// One mistake.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Problem {
    /// Where it is.
    pub location: Location,
    /// What it is, and what to write instead.
    pub message: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.location, self.message)
    }
}

/// Everything that is wrong with a policy's files.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Problems {
    list: Vec<Problem>,
    /// How many more there are.
    more: usize,
}

impl Problems {
    /// The mistakes, in the order of the files; at most 20.
    #[must_use]
    pub fn list(&self) -> &[Problem] {
        &self.list
    }

    pub(super) fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// Notes a mistake. Its location is worked out only if it will be listed.
    pub(super) fn add(&mut self, location: impl FnOnce() -> Location, message: impl Into<String>) {
        if self.list.len() == LISTED {
            self.more += 1;
            return;
        }
        self.list.push(Problem {
            location: location(),
            message: message.into(),
        });
    }

    /// Puts them into the order of the files.
    pub(super) fn sorted(mut self) -> Self {
        self.list.sort();
        self.list.dedup();
        self
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lines: Vec<String> = self.list.iter().map(ToString::to_string).collect();
        f.write_str(&lines.join("\n"))?;
        match self.more {
            0 => Ok(()),
            more => write!(f, "\nand {more} more"),
        }
    }
}

impl Error for Problems {}
