//! Where a capture, or a support bundle, goes: a new file, or a pipe.
//!
//! Blocks are collected and written together. A file that cannot take all of them, because
//! the disk is full, keeps what it held before, so that it can be read.

use anyhow::{Context as _, Result, bail, ensure};
use nix::fcntl::OFlag;
use nix::unistd::geteuid;
use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, IsTerminal as _, Stdout, Write as _};
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

/// Where to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// Standard output.
    Stdout,
    /// A file.
    File {
        /// Its path.
        path: PathBuf,
        /// Whether one that is there may be replaced.
        force: bool,
    },
}

impl Target {
    /// The file at `path`; `-` is standard output.
    #[must_use]
    pub fn new(path: &Path, force: bool) -> Self {
        match path == Path::new("-") {
            true => Self::Stdout,
            false => Self::File {
                path: path.to_owned(),
                force,
            },
        }
    }

    /// Makes the file; only its owner may read it, as it holds what others have sent.
    ///
    /// # Errors
    /// A file that is there, unless it may be replaced; one that cannot be made; a terminal.
    pub fn open(&self) -> Result<Output> {
        let sink = match self {
            Self::Stdout => {
                let stdout = io::stdout();
                ensure!(
                    !stdout.is_terminal(),
                    "this is not for a terminal: give a file with -w, or pipe it"
                );
                Sink::Stdout(stdout)
            }
            Self::File { path, force } => {
                if *force && let Some(pipe) = make_room(path)? {
                    return Ok(Output::new(Sink::File(pipe)));
                }
                let mut options = OpenOptions::new();
                // Whoever put a link there meanwhile gets nothing: it is not followed.
                let created = options.write(true).create_new(true).mode(0o600).open(path);
                match created {
                    Ok(file) => Sink::File(file),
                    Err(error) if error.kind() == ErrorKind::AlreadyExists => bail!(
                        "{} is there already: choose another name, or say --force to replace it",
                        path.display()
                    ),
                    Err(error) => {
                        return Err(error).with_context(|| format!("creating {}", path.display()));
                    }
                }
            }
        };
        Ok(Output::new(sink))
    }
}

/// Removes the regular file at `path`, if one is there: writing to it would keep the rights that others
/// have. A pipe of this user is opened instead.
///
/// # Errors
/// Something else is there.
fn make_room(path: &Path) -> Result<Option<File>> {
    let found = match fs::symlink_metadata(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        found => found.with_context(|| format!("reading {}", path.display()))?,
    };
    let kind = found.file_type();
    if kind.is_file() {
        fs::remove_file(path).with_context(|| format!("removing {}", path.display()))?;
        return Ok(None);
    }
    let path_text = path.display();
    ensure!(
        !kind.is_symlink(),
        "{path_text} is a symbolic link, and is not followed: name the file itself"
    );
    ensure!(
        kind.is_fifo(),
        "{path_text} is neither a file nor a pipe: choose another name"
    );
    let mut options = OpenOptions::new();
    let opened = options
        .write(true)
        .custom_flags(OFlag::O_NOFOLLOW.bits())
        .open(path);
    let pipe = opened.with_context(|| format!("opening {path_text}"))?;
    let pipe_is = pipe.metadata()?;
    ensure!(
        pipe_is.file_type().is_fifo() && [0, geteuid().as_raw()].contains(&pipe_is.uid()),
        "{path_text} is somebody else's pipe: make one of your own, with mkfifo"
    );
    Ok(Some(pipe))
}

enum Sink {
    Stdout(Stdout),
    File(File),
}

/// What takes blocks.
pub struct Output {
    sink: Sink,
    written: u64,
}

impl Output {
    const fn new(sink: Sink) -> Self {
        Self { sink, written: 0 }
    }

    /// Bytes that were written.
    #[must_use]
    pub const fn written(&self) -> u64 {
        self.written
    }

    /// Writes whole blocks; false if their reader has gone.
    ///
    /// # Errors
    /// If they cannot be written; a file then ends before them.
    pub fn write(&mut self, blocks: &[u8]) -> Result<bool> {
        let done = match &mut self.sink {
            Sink::Stdout(stdout) => stdout.write_all(blocks).and_then(|()| stdout.flush()),
            Sink::File(file) => file.write_all(blocks),
        };
        match done {
            Ok(()) => {
                self.written += blocks.len() as u64;
                Ok(true)
            }
            Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(false),
            Err(error) => {
                if let Sink::File(file) = &self.sink {
                    // A pipe with a name cannot be cut, and need not be.
                    let _ = file.set_len(self.written);
                }
                Err(error).context("writing the file")
            }
        }
    }
}
