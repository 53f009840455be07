//! Which files are the policy's.

use super::location::{Location, Problem};
use crate::files::{self, Readers, Unread};
use crate::units::MIB;
use std::path::{Path, PathBuf};

/// Bytes of all files together.
pub const MAX_BYTES: u64 = 16 * MIB;

/// The directory beside the policy file whose `*.toml` files are part of it.
const MORE: &str = "policy.d";

/// A file that has been read.
#[derive(Debug)]
pub(super) struct PolicyFile {
    pub path: PathBuf,
    pub text: String,
}

/// What may still be read.
#[derive(Debug)]
pub(super) struct Budget(u64);

impl Default for Budget {
    fn default() -> Self {
        Self(MAX_BYTES)
    }
}

impl Budget {
    /// Reads one file.
    pub(crate) fn read(&mut self, path: &Path) -> Result<PolicyFile, Problem> {
        let bytes = files::read(path, self.0, Readers::Anybody);
        let bytes = bytes.map_err(|unread| problem(path, unread))?;
        self.0 -= bytes.len() as u64;
        let text = String::from_utf8(bytes).map_err(|error| {
            let valid = error.utf8_error().valid_up_to();
            let before = String::from_utf8_lossy(&error.as_bytes()[..valid]).into_owned();
            Problem {
                location: Location::within(path, &before, valid),
                message: "is not UTF-8 here: save the file as UTF-8".to_owned(),
            }
        })?;
        Ok(PolicyFile {
            path: path.to_owned(),
            text,
        })
    }
}

/// The policy file, then those of `policy.d` beside it, by name.
pub(super) fn all(path: &Path, budget: &mut Budget) -> Result<Vec<PolicyFile>, Problem> {
    let mut files = vec![budget.read(path)?];
    for path in more(&folder_of(path).join(MORE))? {
        files.push(budget.read(&path)?);
    }
    Ok(files)
}

/// The directory that a file is in.
pub(super) fn folder_of(path: &Path) -> &Path {
    path.parent().unwrap_or(Path::new(""))
}

fn more(folder: &Path) -> Result<Vec<PathBuf>, Problem> {
    let mut paths = files::list(folder).map_err(|unread| problem(folder, unread))?;
    paths.retain(|path| {
        let hidden = path
            .file_name()
            .is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
        // Editors leave `10-site.toml~` and `.10-site.toml.swp` behind.
        !hidden && path.extension().is_some_and(|kind| kind == "toml")
    });
    Ok(paths)
}

fn problem(path: &Path, unread: Unread) -> Problem {
    let message = match unread {
        Unread::Because(why) => why,
        Unread::TooLarge => format!(
            "with this file the policy is larger than {} MiB: name fewer or wider prefixes",
            MAX_BYTES / MIB
        ),
    };
    Problem {
        location: Location::file(path),
        message,
    }
}
