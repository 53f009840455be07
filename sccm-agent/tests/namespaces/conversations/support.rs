//! What several subjects need: files that show every damage, downloads, and datagrams.

use std::fs;
use std::io::ErrorKind;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::path::Path;

use anyhow::{Context, Result, ensure};
use nix::sys::signal::Signal;
use sccm_tests::agent::{Agent, Finished, run};
use sccm_tests::netns::Namespace;
use sccm_tests::scrape::Metrics;

pub use sccm_tests::agent::LONG;
pub use sccm_tests::traffic::PATIENCE;

/// Writes a file of this many bytes (a multiple of four), every four of which differ.
pub fn write_file(path: &Path, bytes: u32) -> Result<()> {
    let content: Vec<u8> = (0..bytes / 4).flat_map(u32::to_be_bytes).collect();
    fs::write(path, content).with_context(|| format!("cannot write {}", path.display()))
}

/// Asserts that two files hold the same.
#[track_caller]
pub fn assert_same(left: &Path, right: &Path) {
    let read = |path: &Path| fs::read(path).unwrap_or_else(|error| panic!("{path:?}: {error}"));
    // Not assert_eq: nobody reads megabytes of a failure.
    assert!(read(left) == read(right), "{left:?} and {right:?} differ");
}

/// Runs curl inside a namespace; `what` are its arguments, separated by spaces.
pub fn curl(inside: &Namespace, what: &str, url: &str, to: &Path) -> Result<Finished> {
    let mut command = inside.command("curl");
    command
        .args(["--silent", "--show-error", "--globoff", "--fail"])
        .args(what.split_whitespace())
        .arg("--output")
        .arg(to)
        .arg(url);
    run(command)
}

/// Ends an agent that takes everything with it, its counters, too.
pub fn end(agent: Agent) -> Result<()> {
    let finished = agent.end(Signal::SIGTERM)?;
    ensure!(finished.code == Some(0), "{finished:?}");
    Ok(())
}

/// An address as it stands in a URL.
pub fn in_url(address: IpAddr) -> String {
    match address {
        IpAddr::V4(address) => address.to_string(),
        IpAddr::V6(address) => format!("[{address}]"),
    }
}

/// A UDP socket inside a namespace. Receiving from it waits no longer than [`PATIENCE`].
pub fn udp(inside: &Namespace, address: impl Into<SocketAddr>) -> Result<UdpSocket> {
    let address = address.into();
    let socket = inside
        .enter(|| UdpSocket::bind(address))
        .with_context(|| format!("cannot bind udp {address} in {}", inside.name()))?;
    socket.set_read_timeout(Some(PATIENCE))?;
    Ok(socket)
}

/// What arrives at a socket in the time that it waits, and from whom.
pub fn hear(socket: &UdpSocket) -> Result<Option<(Vec<u8>, SocketAddr)>> {
    let mut buffer = [0; 65536];
    loop {
        match socket.recv_from(&mut buffer) {
            Ok((length, from)) => return Ok(Some((buffer[..length].to_vec(), from))),
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(None),
            // A machine that is stopped and goes on ends the call (signal(7)).
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error.into()),
        }
    }
}

/// What arrives at a socket where nothing may be lost, and from whom.
pub fn receive(socket: &UdpSocket) -> Result<(Vec<u8>, SocketAddr)> {
    socket.set_read_timeout(Some(LONG))?;
    let heard = hear(socket);
    socket.set_read_timeout(Some(PATIENCE))?;
    heard?.context("nothing arrives")
}

/// Asserts that nothing arrives at a socket.
#[track_caller]
pub fn assert_silent(socket: &UdpSocket) {
    match hear(socket) {
        Ok(heard) => assert_eq!(heard, None),
        Err(error) => panic!("{error:#}"),
    }
}

/// Whether at least one packet was passed, or dropped, with all of these labels.
pub trait Told {
    /// Fails unless packets were passed so.
    fn tells_passed(&self, labels: &[(&str, &str)]) -> Result<()>;
    /// Fails unless packets were dropped so.
    fn tells_dropped(&self, labels: &[(&str, &str)]) -> Result<()>;
    /// Fails if anything towards the protected system was dropped.
    fn tells_no_drop(&self, labels: &[(&str, &str)]) -> Result<()>;
}

impl Told for Metrics {
    fn tells_passed(&self, labels: &[(&str, &str)]) -> Result<()> {
        ensure!(
            self.passed(labels) > 0,
            "none passed as {labels:?}: {self:#?}"
        );
        Ok(())
    }

    fn tells_dropped(&self, labels: &[(&str, &str)]) -> Result<()> {
        ensure!(
            self.dropped(labels) > 0,
            "none dropped as {labels:?}: {self:#?}"
        );
        Ok(())
    }

    fn tells_no_drop(&self, labels: &[(&str, &str)]) -> Result<()> {
        ensure!(
            self.dropped(labels) == 0,
            "some dropped as {labels:?}: {self:#?}"
        );
        Ok(())
    }
}
