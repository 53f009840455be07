//! A terminal with a program at it: a pseudo-terminal, and an emulator that says what is on its
//! screen.
//!
//! The program has it as its controlling terminal, as from a login, so that sizes and hang-ups
//! reach it. Every wait has a limit, and a program that is dropped is killed and reaped.

use std::fs::File;
use std::io::{ErrorKind, Read as _, Write as _};
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, ExitStatus};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::pty::{Winsize, openpty};
use nix::sys::signal::{Signal, kill};
use nix::sys::termios::{Termios, tcgetattr};
use nix::unistd::{Pid, setsid};
use vt100::Parser;

/// How long something may take to appear, or the program to end.
const LIMIT: Duration = Duration::from_secs(60);

mod request {
    nix::ioctl_write_int_bad!(set_controlling_terminal, nix::libc::TIOCSCTTY);
    nix::ioctl_write_ptr_bad!(set_size, nix::libc::TIOCSWINSZ, nix::pty::Winsize);
}

/// A program at a terminal.
pub struct Terminal {
    keyboard: File,
    /// The program's side, kept open so that its settings can be read when it has ended.
    line: OwnedFd,
    /// The settings before the program began.
    settings: Termios,
    child: Child,
    emulator: Parser,
}

/// How a program left its terminal.
#[derive(Debug)]
pub struct Left {
    /// How it ended.
    pub status: ExitStatus,
    /// What is on the screen.
    pub screen: String,
    /// The screen is the one from before, the cursor can be seen, and the line's settings are
    /// the old ones.
    pub restored: bool,
}

impl Terminal {
    /// Starts the program at a terminal of this size.
    pub fn start(mut command: Command, (columns, lines): (u16, u16)) -> Result<Self> {
        let pair = openpty(&size(columns, lines), None)?;
        fcntl(&pair.master, FcntlArg::F_SETFL(OFlag::O_NONBLOCK))?;
        let settings = tcgetattr(&pair.slave)?;
        let line = || pair.slave.try_clone();
        command
            .env("TERM", "xterm-256color")
            .stdin(line()?)
            .stdout(line()?)
            .stderr(line()?);
        let take_terminal = || {
            setsid()?;
            // SAFETY: standard input is the terminal, and 0 means not to steal it.
            unsafe { request::set_controlling_terminal(0, 0) }?;
            Ok(())
        };
        // SAFETY: after the fork only async-signal-safe calls may run; these are two plain
        // system calls.
        unsafe { command.pre_exec(take_terminal) };
        let child = command
            .spawn()
            .context("starting a program at a terminal")?;
        Ok(Self {
            keyboard: pair.master.into(),
            line: pair.slave,
            settings,
            child,
            emulator: Parser::new(lines, columns, 0),
        })
    }

    /// Types.
    pub fn press(&mut self, keys: &str) -> Result<()> {
        Ok(self.keyboard.write_all(keys.as_bytes())?)
    }

    /// Gives the terminal another size.
    pub fn resize(&mut self, columns: u16, lines: u16) -> Result<()> {
        self.emulator.screen_mut().set_size(lines, columns);
        let size = size(columns, lines);
        // SAFETY: the descriptor is open, and the size lives longer than the call.
        unsafe { request::set_size(self.keyboard.as_raw_fd(), &size) }?;
        Ok(())
    }

    /// Sends a signal to the program.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        Ok(kill(Pid::from_raw(self.child.id().try_into()?), signal)?)
    }

    /// The first screen that `wanted` makes something of.
    ///
    /// # Errors
    /// When there is none in time, with the last one.
    pub fn wait_for<T>(&mut self, mut wanted: impl FnMut(&str) -> Option<T>) -> Result<T> {
        let end = Instant::now() + LIMIT;
        loop {
            self.read()?;
            let screen = self.emulator.screen().contents();
            if let Some(found) = wanted(&screen) {
                return Ok(found);
            }
            if Instant::now() > end {
                bail!("what is waited for does not appear:\n{screen}");
            }
            sleep(Duration::from_millis(10));
        }
    }

    /// Waits until all of these are on the screen.
    ///
    /// # Errors
    /// When they are not in time, with the last screen.
    pub fn wait_for_all(&mut self, parts: &[&str]) -> Result<()> {
        let all = |screen: &str| parts.iter().all(|part| screen.contains(part));
        self.wait_for(|screen| all(screen).then_some(()))
            .with_context(|| format!("{parts:?}"))
    }

    /// Waits until the program has ended.
    pub fn wait(mut self) -> Result<Left> {
        let end = Instant::now() + LIMIT;
        let status = loop {
            self.read()?;
            if let Some(status) = self.child.try_wait()? {
                break status;
            }
            if Instant::now() > end {
                bail!(
                    "the program does not end:\n{}",
                    self.emulator.screen().contents()
                );
            }
            sleep(Duration::from_millis(5));
        };
        self.read()?;
        let screen = self.emulator.screen();
        let is_normal = !screen.alternate_screen() && !screen.hide_cursor();
        Ok(Left {
            status,
            screen: screen.contents(),
            restored: is_normal && tcgetattr(&self.line)? == self.settings,
        })
    }

    /// Takes what the program has written.
    fn read(&mut self) -> Result<()> {
        let mut bytes = [0; 4096];
        loop {
            match self.keyboard.read(&mut bytes) {
                Ok(count) => self.emulator.process(&bytes[..count]),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error.into()),
            }
        }
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        // Both fail only if it has ended and been waited for.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

const fn size(columns: u16, lines: u16) -> Winsize {
    Winsize {
        ws_row: lines,
        ws_col: columns,
        ws_xpixel: 0,
        ws_ypixel: 0,
    }
}
