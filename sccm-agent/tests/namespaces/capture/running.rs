//! A capture that runs, and what it is given to see.

use std::fs;
use std::path::PathBuf;
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use nix::sys::signal::Signal;
use sccm_tests::agent::{Agent, FORBIDDEN, Hosts};
use tempfile::{TempDir, tempdir};

use super::reader::{Captured, read};

/// How long a capture may take to begin.
pub const LIMIT: Duration = Duration::from_secs(60);

/// A capture that is running, and its file.
pub struct Running<'n> {
    pub process: Agent<'n>,
    pub path: PathBuf,
    _directory: TempDir,
}

impl<'n> Running<'n> {
    /// Starts `capture --dropped ARGUMENTS`, and waits until the kernel has its order.
    pub fn start(hosts: &'n Hosts, arguments: &str) -> Result<Self> {
        let directory = tempdir()?;
        let path = directory.path().join("dropped.pcapng");
        let command = hosts.command(&format!(
            "capture --dropped -w {} {arguments}",
            path.display()
        ))?;
        let process = Agent::spawn(&hosts.point, command)?;
        let end = Instant::now() + LIMIT;
        // The file is made when the order is given.
        while !path.exists() {
            ensure!(Instant::now() < end, "no capture: {}", process.log()?);
            sleep(Duration::from_millis(10));
        }
        Ok(Self {
            process,
            path,
            _directory: directory,
        })
    }

    /// Ends it by a signal, and returns what it captured and its summary.
    pub fn end(self, signal: Signal) -> Result<(Vec<Captured>, String)> {
        let finished = self.process.end(signal)?;
        ensure!(finished.code == Some(0), "{finished:?}");
        Ok((read(&self.path)?, finished.stderr))
    }

    /// Waits until a bound has ended it.
    pub fn wait(self) -> Result<(Vec<Captured>, String, u64)> {
        let finished = self.process.wait()?;
        ensure!(finished.code == Some(0), "{finished:?}");
        let size = fs::metadata(&self.path)?.len();
        Ok((read(&self.path)?, finished.stderr, size))
    }
}

pub fn forbidden(hosts: &Hosts) -> Result<Vec<u8>> {
    let [packet, _] = hosts.packets()?;
    Ok(packet.tcp(40000, FORBIDDEN).syn().build())
}

pub fn with<'c>(packets: &'c [Captured], text: &str) -> Vec<&'c Captured> {
    let has = |packet: &&Captured| packet.comment.contains(text);
    packets.iter().filter(has).collect()
}
