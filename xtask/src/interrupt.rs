//! Signals while something must be put back: Ctrl-C, SIGTERM and SIGHUP wait until it is.

use std::process::{Child, Command, ExitStatus};
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use nix::sys::signal::{SigSet, Signal, kill, raise};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::unistd::Pid;

use crate::process::line;

/// How long a signal may wait.
const LOOK: Duration = Duration::from_millis(50);

/// While it lives, signals do not end this process. Programs that it starts get them as usual.
pub struct Held {
    before: SigSet,
    signals: SignalFd,
    came: Option<Signal>,
}

impl Held {
    pub fn new() -> Result<Self> {
        let set = SigSet::from_iter([Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP]);
        let before = SigSet::thread_get_mask().context("asking which signals are blocked")?;
        set.thread_block().context("blocking signals")?;
        let flags = SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC;
        let signals = SignalFd::with_flags(&set, flags).context("watching signals")?;
        Ok(Self {
            before,
            signals,
            came: None,
        })
    }

    /// Runs `command` to its end. At a signal it is told to stop, as by Ctrl-C: apt-get
    /// finishes the packages that it has begun to unpack, and leaves out the rest.
    pub fn run(&mut self, command: &mut Command) -> Result<()> {
        if self.came.is_some() {
            bail!("interrupted before `{}`", line(command));
        }
        let child = command.spawn();
        let child = child.with_context(|| format!("starting {}", line(command)))?;
        let status = self.wait(child)?;
        if self.came.is_some() {
            bail!("interrupted in `{}`", line(command));
        }
        if !status.success() {
            bail!("`{}` failed: {status}", line(command));
        }
        Ok(())
    }

    fn wait(&mut self, mut child: Child) -> Result<ExitStatus> {
        loop {
            // In this order, so that a signal is not missed that ended the child, too.
            let ended = child.try_wait().context("waiting for a program")?;
            let signal = self.signals.read_signal().context("reading a signal")?;
            if let Some(signal) = signal {
                self.came = Some(Signal::try_from(signal.ssi_signo.cast_signed())?);
                if ended.is_none() {
                    kill(Pid::from_raw(child.id().cast_signed()), Signal::SIGINT)
                        .context("stopping a program")?;
                }
            }
            if let Some(status) = ended {
                return Ok(status);
            }
            thread::sleep(LOOK);
        }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        // A signal that came and was not read yet ends the process here ...
        if let Err(error) = self.before.thread_set_mask() {
            eprintln!("unblocking signals: {error}");
        }
        // ... and one that was read, here.
        if let Some(signal) = self.came
            && let Err(error) = raise(signal)
        {
            eprintln!("ending by {signal}: {error}");
        }
    }
}
