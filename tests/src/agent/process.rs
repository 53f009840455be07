//! A process whose output is kept, whose end is waited for only so long, and which does not
//! outlive its owner.

use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use nix::unistd::Pid;
use tempfile::NamedTempFile;

use super::LIMIT;
use crate::shape;

/// A process that has ended.
#[derive(Clone, Debug)]
pub struct Finished {
    /// The exit code; none if a signal ended it.
    pub code: Option<i32>,
    /// What it printed.
    pub stdout: String,
    /// What it logged or complained about.
    pub stderr: String,
}

impl Finished {
    /// Asserts that the input was refused: exit code 2, and each of `parts` in the complaint.
    #[track_caller]
    pub fn assert_refused(&self, parts: &[&str]) {
        assert_eq!(self.code, Some(2), "{parts:?}: {self:?}");
        assert_eq!(self.stdout, "", "{self:?}");
        for part in parts {
            assert!(self.stderr.contains(part), "no {part:?} in {self:?}");
        }
    }
}

/// Runs a command to its end.
///
/// # Errors
/// When it cannot be started, or does not end in time; it is killed then. What it printed as JSON is
/// not as `docs/schemas` says.
pub fn run(command: Command) -> Result<Finished> {
    let words = shape::words(&command);
    let finished = Process::spawn(command)?.finish()?;
    shape::check_output(&words, &finished)?;
    Ok(finished)
}

/// A running process; dropping it kills it. Its output goes to files: a full pipe cannot hold it
/// up.
#[derive(Debug)]
pub struct Process {
    child: Child,
    stdout: NamedTempFile,
    stderr: NamedTempFile,
}

impl Process {
    /// Starts a command.
    pub fn spawn(mut command: Command) -> Result<Self> {
        let (stdout, stderr) = (NamedTempFile::new()?, NamedTempFile::new()?);
        let child = command
            .stdin(Stdio::null())
            .stdout(stdout.reopen()?)
            .stderr(stderr.reopen()?)
            .spawn()
            .with_context(|| format!("cannot run {command:?}"))?;
        Ok(Self {
            child,
            stdout,
            stderr,
        })
    }

    pub(super) fn id(&self) -> Result<Pid> {
        Ok(Pid::from_raw(self.child.id().try_into()?))
    }

    /// How it ended, if it has.
    pub fn has_ended(&mut self) -> Result<Option<ExitStatus>> {
        Ok(self.child.try_wait()?)
    }

    /// What it has logged so far.
    pub fn stderr(&self) -> Result<String> {
        Ok(std::fs::read_to_string(self.stderr.path())?)
    }

    /// As text, also where it is none: a capture can be printed.
    fn stdout(&self) -> Result<String> {
        let bytes = std::fs::read(self.stdout.path())?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    pub(super) fn finish(mut self) -> Result<Finished> {
        let end = Instant::now() + LIMIT;
        while Instant::now() < end {
            if let Some(status) = self.has_ended()? {
                return Ok(Finished {
                    code: status.code(),
                    stdout: self.stdout()?,
                    stderr: self.stderr()?,
                });
            }
            sleep(Duration::from_millis(1));
        }
        bail!(
            "the process does not end within {LIMIT:?}: {}",
            self.stderr()?
        )
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Both fail only if it has ended and been waited for.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
