//! Stands for systemd: hears what a program says of itself by sd_notify(3).

use std::io::ErrorKind;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use tempfile::TempDir;

use crate::unique;

/// More than anybody says at once.
const LONGEST: usize = 4096;

/// A supervisor, with a watchdog of this time.
#[derive(Debug)]
pub struct Supervisor {
    socket: UnixDatagram,
    name: String,
    watchdog: Duration,
    _directory: Option<TempDir>,
}

impl Supervisor {
    /// One that listens at a path, as systemd does.
    pub fn at_a_path(watchdog: Duration) -> Result<Self> {
        let directory = tempfile::tempdir()?;
        let path = directory.path().join("notify");
        Ok(Self {
            socket: UnixDatagram::bind(&path)?,
            name: path.to_str().context("the path is not UTF-8")?.to_owned(),
            watchdog,
            _directory: Some(directory),
        })
    }

    /// One that listens at a name which is in no file system. It is of this thread's network
    /// namespace: bind it where the program runs.
    pub fn at_a_name(watchdog: Duration) -> Result<Self> {
        let name = unique::name("notify");
        let address = SocketAddr::from_abstract_name(&name)?;
        Ok(Self {
            socket: UnixDatagram::bind_addr(&address)?,
            name: format!("@{name}"),
            watchdog,
            _directory: None,
        })
    }

    /// Makes a command's process tell this one.
    pub fn give_to(&self, command: &mut Command) {
        command
            .env("NOTIFY_SOCKET", &self.name)
            .env("WATCHDOG_USEC", self.watchdog.as_micros().to_string());
    }

    /// Every line that comes within this time.
    pub fn lines_within(&self, time: Duration) -> Result<Vec<String>> {
        let (end, mut lines) = (Instant::now() + time, Vec::new());
        loop {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(lines);
            }
            lines.extend(self.receive(left)?);
        }
    }

    /// Waits for a line that begins so, and returns all until then, with it as the last.
    pub fn wait_for(&self, start: &str, limit: Duration) -> Result<Vec<String>> {
        let (end, mut lines) = (Instant::now() + limit, Vec::new());
        loop {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                bail!("no line begins with {start}: {lines:?}");
            }
            for line in self.receive(left)? {
                let found = line.starts_with(start);
                lines.push(line);
                if found {
                    return Ok(lines);
                }
            }
        }
    }

    /// The lines of one message; none if none comes.
    fn receive(&self, time: Duration) -> Result<Vec<String>> {
        self.socket.set_read_timeout(Some(time))?;
        let mut bytes = [0; LONGEST];
        let length = match self.socket.recv(&mut bytes) {
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(Vec::new()),
            received => received?,
        };
        let text = String::from_utf8(bytes[..length].to_vec())?;
        Ok(text.lines().map(str::to_owned).collect())
    }
}
