//! Reads the files, with everything that can be wrong with a file as such.

use super::location::{Location, Problem};
use crate::units::MIB;
use std::fs::{self, OpenOptions};
use std::io::{self, ErrorKind, Read as _};
use std::os::unix::fs::OpenOptionsExt as _;
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
        let problem = |message: String| Problem {
            location: Location::file(path),
            message,
        };
        let unread = |error: io::Error| problem(why_not(path, &error));
        let metadata = fs::metadata(path).map_err(unread)?;
        if metadata.is_dir() {
            return Err(problem(
                "is a directory: name the policy file in it".to_owned(),
            ));
        }
        if !metadata.is_file() {
            // Reading a pipe would wait for whoever writes into it.
            return Err(problem("is not a regular file".to_owned()));
        }
        let mut bytes = Vec::new();
        // Nor does opening one, should it take the file's place meanwhile.
        let mut options = OpenOptions::new();
        let options = options.read(true).custom_flags(libc::O_NONBLOCK);
        let file = options.open(path).map_err(unread)?;
        if !file.metadata().map_err(unread)?.is_file() {
            return Err(problem("is not a regular file".to_owned()));
        }
        file.take(self.0 + 1)
            .read_to_end(&mut bytes)
            .map_err(unread)?;
        self.0 = self.0.checked_sub(bytes.len() as u64).ok_or_else(|| {
            problem(format!(
                "with this file the policy is larger than {} MiB: name fewer or wider prefixes",
                MAX_BYTES / MIB
            ))
        })?;
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
    let unread = |error: io::Error| Problem {
        location: Location::file(folder),
        message: why_not(folder, &error),
    };
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(unread(error)),
    };
    let mut paths = Vec::new();
    for entry in entries {
        let path = entry.map_err(unread)?.path();
        let hidden = path
            .file_name()
            .is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
        // Editors leave `10-site.toml~` and `.10-site.toml.swp` behind.
        if !hidden && path.extension().is_some_and(|kind| kind == "toml") {
            paths.push(path);
        }
    }
    paths.sort();
    Ok(paths)
}

fn why_not(path: &Path, error: &io::Error) -> String {
    match error.kind() {
        ErrorKind::NotFound if fs::symlink_metadata(path).is_ok() => {
            "is a symbolic link to a file that does not exist".to_owned()
        }
        ErrorKind::NotFound => "there is no such file".to_owned(),
        ErrorKind::PermissionDenied => {
            "may not be read: run as root, or correct its permissions".to_owned()
        }
        ErrorKind::NotADirectory => "a part of this path is not a directory".to_owned(),
        _ => format!("cannot be read: {error}"),
    }
}
