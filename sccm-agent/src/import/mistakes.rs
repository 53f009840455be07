//! What is wrong with an inventory, each with its line.

use crate::files::{self, Readers, Unread};
use crate::units::MIB;
use crate::visible::one_line;
use std::fmt;
use std::path::{Path, PathBuf};

/// Bytes of one file.
const MOST: u64 = 64 * MIB;

/// As many are listed; the rest is counted.
const LISTED: usize = 20;

/// One of them.
#[derive(Debug, PartialEq, Eq)]
pub struct Mistake {
    pub file: PathBuf,
    /// From 1; 0 means the file as a whole.
    pub line: usize,
    pub message: String,
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&one_line(&self.file.to_string_lossy()))?;
        if self.line > 0 {
            write!(f, ":{}", self.line)?;
        }
        write!(f, ": {}", one_line(&self.message))
    }
}

/// All of them.
#[derive(Debug, Default)]
pub struct Mistakes(pub Vec<Mistake>);

impl Mistakes {
    pub(super) fn add(&mut self, file: &Path, line: usize, message: impl Into<String>) {
        self.0.push(Mistake {
            file: file.to_owned(),
            line,
            message: message.into(),
        });
    }

    /// The text of a file, without the byte order mark that such files often begin with.
    pub(super) fn read(&mut self, path: &Path) -> Option<String> {
        let bytes = match files::read(path, MOST, Readers::Anybody) {
            Ok(bytes) => bytes,
            Err(unread) => {
                let why = match unread {
                    Unread::TooLarge => format!("is larger than {} MiB", MOST / MIB),
                    Unread::Because(why) => why,
                };
                self.add(path, 0, why);
                return None;
            }
        };
        match String::from_utf8(bytes) {
            Ok(text) => Some(text.trim_start_matches('\u{feff}').to_owned()),
            Err(error) => {
                let before = &error.as_bytes()[..error.utf8_error().valid_up_to()];
                let line = before.iter().filter(|byte| **byte == b'\n').count() + 1;
                self.add(path, line, "is not UTF-8 here: export it as UTF-8");
                None
            }
        }
    }
}

impl fmt::Display for Mistakes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let listed = self.0.iter().take(LISTED).map(ToString::to_string);
        f.write_str(&listed.collect::<Vec<_>>().join("\n"))?;
        match self.0.len().saturating_sub(LISTED) {
            0 => Ok(()),
            more => write!(f, "\nand {more} more"),
        }
    }
}

impl std::error::Error for Mistakes {}
