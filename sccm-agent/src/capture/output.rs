//! Where a capture goes: a new file, or a pipe.
//!
//! Blocks are collected and written together. A file that cannot take all of them, because
//! the disk is full, keeps what it held before, so that it can be read.

use anyhow::{Context as _, Result, bail, ensure};
use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, IsTerminal as _, Stdout, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
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
    /// A file that is there, or cannot be made; a terminal.
    pub fn open(&self) -> Result<Output> {
        let sink = match self {
            Self::Stdout => {
                let stdout = io::stdout();
                ensure!(
                    !stdout.is_terminal(),
                    "packets are not for a terminal: give a file with -w, or pipe them"
                );
                Sink::Stdout(stdout)
            }
            Self::File { path, force } => {
                let mut options = OpenOptions::new();
                options.write(true).mode(0o600);
                match force {
                    true => options.create(true).truncate(true),
                    false => options.create_new(true),
                };
                match options.open(path) {
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
        Ok(Output { sink, written: 0 })
    }
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
                Err(error).context("writing packets")
            }
        }
    }
}
