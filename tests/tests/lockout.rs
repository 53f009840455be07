//! An operator's own session is not cut by accident.
//!
//! A connection to port 22 counts as an SSH session whoever serves it; on another port, its
//! server must be called `sshd`.

use std::io::{Read, Write};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::process::{Child, Stdio};
use std::time::Duration;

use anyhow::{Context, Result};
use nix::sys::signal::Signal;
use sccm_tests::agent::{Hosts, LONG, POINT};
use sccm_tests::netns::veth_pair;
use sccm_tests::traffic::{PATIENCE, Server};

/// An established connection from the client to the point.
struct Session {
    stream: TcpStream,
    /// The client's end.
    peer: SocketAddr,
}

impl Session {
    fn open(hosts: &Hosts, to: SocketAddr) -> Result<Self> {
        let connect = || TcpStream::connect_timeout(&to, LONG);
        let stream = hosts.client.enter(connect)?;
        let peer = stream.local_addr()?;
        Ok(Self { stream, peer })
    }

    /// Whether it still brings back what is sent.
    fn is_alive(&mut self, patience: Duration) -> Result<bool> {
        self.stream.set_read_timeout(Some(patience))?;
        self.stream.write_all(b"still there?")?;
        Ok(self.stream.read_exact(&mut [0; 12]).is_ok())
    }
}

fn stage() -> Result<(Hosts, Vec<Server>)> {
    let hosts = Hosts::new()?;
    let servers = hosts.tcp_servers(&[22])?;
    Ok((hosts, servers))
}

/// Asserts that `enforce` refuses because of the session; returns what it suggests.
#[track_caller]
fn assert_refused(hosts: &Hosts, session: &Session, arguments: &str) -> Result<String> {
    let finished = hosts.run(&format!("enforce {POINT} {arguments}"))?;
    finished.assert_refused(&["SSH session", &session.peer.to_string(), "--accept-lockout"]);
    hosts.assert_untouched()?;
    let (_, suggested) = finished.stderr.split_once('`').context("no suggestion")?;
    let (suggested, _) = suggested.split_once('`').context("no suggestion")?;
    Ok(suggested.to_owned())
}

#[test]
fn a_session_is_named_and_the_suggestion_keeps_it() -> Result<()> {
    for (point, client) in Hosts::POINT.into_iter().zip(Hosts::CLIENT) {
        let (hosts, _servers) = stage()?;
        let mut session = Session::open(&hosts, (point, 22).into())?;
        let suggested = assert_refused(&hosts, &session, "")?;
        assert_eq!(suggested, format!("--allow tcp/22@{client}"));
        assert!(session.is_alive(LONG)?);

        // A prefix that the operator is not in does not help.
        let elsewhere = match client {
            IpAddr::V4(_) => "203.0.113.0/24",
            IpAddr::V6(_) => "2001:db8:1::/64",
        };
        assert_refused(&hosts, &session, &format!("--allow tcp/22@{elsewhere}"))?;

        let _agent = hosts.enforce(&format!("{POINT} {suggested}"))?;
        assert!(session.is_alive(LONG)?);
    }
    Ok(())
}

#[test]
fn a_lockout_can_be_accepted() -> Result<()> {
    let (hosts, _servers) = stage()?;
    let mut session = Session::open(&hosts, (Hosts::POINT[0], 22).into())?;
    assert_refused(&hosts, &session, "")?;
    let _agent = hosts.enforce(&format!("{POINT} --accept-lockout"))?;
    assert!(!session.is_alive(PATIENCE)?);
    Ok(())
}

#[test]
fn observing_cuts_nobody_and_so_asks_nothing() -> Result<()> {
    let (hosts, _servers) = stage()?;
    let mut session = Session::open(&hosts, (Hosts::POINT[1], 22).into())?;
    let _agent = hosts.enforce(&format!("{POINT} --observe"))?;
    assert!(session.is_alive(LONG)?);
    Ok(())
}

#[test]
fn a_session_through_another_interface_is_in_no_danger() -> Result<()> {
    let (hosts, _servers) = stage()?;
    let (left, right) = veth_pair(&hosts.client, "eth1", &hosts.point, "eth1")?;
    left.address("198.51.100.1/24")?;
    right.address("198.51.100.2/24")?;
    let mut session = Session::open(&hosts, "198.51.100.2:22".parse()?)?;
    let _agent = hosts.enforce(POINT)?;
    assert!(session.is_alive(LONG)?);
    Ok(())
}

/// A process called `sshd` that holds a listening socket; it is killed when this is dropped.
struct Sshd(Child);

impl Sshd {
    /// A process is called after the file that it was started from, so this is `sleep` with the
    /// socket for its standard input.
    fn start(hosts: &Hosts, listener: TcpListener) -> Result<Self> {
        let directory = tempfile::tempdir()?;
        let sshd = directory.path().join("sshd");
        std::os::unix::fs::symlink("/bin/sleep", &sshd)?;
        let child = hosts
            .point
            .command(&sshd)
            .arg("300")
            .stdin(Stdio::from(OwnedFd::from(listener)))
            .spawn()?;
        Ok(Self(child))
    }
}

impl Drop for Sshd {
    fn drop(&mut self) {
        // Both fail only if it has ended and been waited for.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn sshd_is_recognized_on_any_port() -> Result<()> {
    let hosts = Hosts::new()?;
    let to = SocketAddr::from((Hosts::POINT[0], 2222));
    let listener = hosts.point.enter(|| TcpListener::bind(to))?;
    let session = Session::open(&hosts, to)?;
    // Nobody called `sshd` has this socket yet.
    let agent = hosts.enforce(POINT)?;
    assert_eq!(agent.end(Signal::SIGTERM)?.code, Some(0));

    let _sshd = Sshd::start(&hosts, listener)?;
    let suggested = assert_refused(&hosts, &session, "")?;
    assert_eq!(suggested, "--allow tcp/2222@192.0.2.1");
    Ok(())
}
