//! A shell of root's on the machine, over its second serial port.

use std::io::{ErrorKind, Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};

use super::until;

/// What the machine's shell says when it has started: see `files/shell`.
const UP: &str = "@@up";

/// How long a boot may take, beside other builds: where these leave a tenth of a processor, five minutes
/// were too short.
const BOOT: Duration = Duration::from_secs(900);

/// How long a command may take.
const COMMAND: Duration = Duration::from_secs(600);

pub struct Shell {
    stream: UnixStream,
    /// What came and was not asked for yet.
    came: Vec<u8>,
    commands: u32,
}

impl Shell {
    /// Connects to the emulator's socket.
    pub fn connect(socket: &Path) -> Result<Self> {
        let connect = || Ok(UnixStream::connect(socket).ok());
        let stream = until(
            "the emulator's serial port",
            Duration::from_secs(10),
            connect,
        )?;
        stream.set_read_timeout(Some(Duration::from_millis(500)))?;
        Ok(Self {
            stream,
            came: Vec::new(),
            commands: 0,
        })
    }

    /// Waits until the machine has booted.
    pub fn wait_for_boot(&mut self) -> Result<()> {
        loop {
            if self.line(BOOT).context("the machine did not boot")? == UP {
                return Ok(());
            }
        }
    }

    /// Runs lines of shell, and returns what they print.
    ///
    /// # Errors
    /// They failed; with what they printed.
    pub fn run(&mut self, lines: &str) -> Result<String> {
        let (code, printed) = self.attempt(lines)?;
        ensure!(code == 0, "on the machine, `{lines}` failed: {printed}");
        Ok(printed)
    }

    /// Runs lines of shell, and returns their exit code and what they print.
    pub fn attempt(&mut self, lines: &str) -> Result<(i32, String)> {
        self.commands += 1;
        let end = format!("@@{} ", self.commands);
        self.send(&format!(
            "(\n{lines}\n) 2>&1 </dev/null\ncode=$?; echo; echo \"{end}$code\"\n"
        ))?;
        let mut printed = String::new();
        loop {
            let line = self.line(COMMAND);
            let line = line.with_context(|| format!("`{lines}` on the machine: {printed}"))?;
            if let Some(code) = line.strip_prefix(&end) {
                let code = code.parse().context("a strange exit code")?;
                return Ok((code, printed.trim().to_owned()));
            }
            printed += &line;
            printed.push('\n');
        }
    }

    /// Sends lines that are not waited for.
    pub fn send(&mut self, lines: &str) -> Result<()> {
        let sent = self.stream.write_all(lines.as_bytes());
        sent.context("writing to the machine's serial port")
    }

    fn line(&mut self, limit: Duration) -> Result<String> {
        let end = Instant::now() + limit;
        loop {
            if let Some(at) = self.came.iter().position(|&byte| byte == b'\n') {
                let line: Vec<u8> = self.came.drain(..=at).collect();
                return Ok(String::from_utf8_lossy(&line).trim_end().to_owned());
            }
            ensure!(Instant::now() < end, "no answer in {} s", limit.as_secs());
            let mut buffer = [0; 4096];
            match self.stream.read(&mut buffer) {
                Ok(0) => bail!("the emulator has ended"),
                Ok(length) => self.came.extend_from_slice(&buffer[..length]),
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(error) => return Err(error).context("reading the machine's serial port"),
            }
        }
    }
}
