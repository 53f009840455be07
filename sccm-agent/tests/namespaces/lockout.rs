//! An operator's own session is not cut by accident.
//!
//! A connection to port 22 counts as an SSH session whoever serves it; on another port, its
//! server must be called `sshd`.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{IpAddr, Ipv6Addr, SocketAddr, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use nix::sys::signal::Signal;
use sccm_tests::agent::{Agent, Hosts, LONG, POINT, PolicyFile, run};
use sccm_tests::gateway::{FAMILIES, SEGMENT, Stage, Topology, UPLINK};
use sccm_tests::netns::veth_pair;
use sccm_tests::traffic::{PATIENCE, Server, tcp_server};

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

/// A policy that lists the client's whole network behind a bridge, and lets everybody in on port 22.
fn listing_the_client(more: &str) -> Result<tempfile::NamedTempFile> {
    let file = tempfile::NamedTempFile::new()?;
    let text = format!(
        "[site]\n{more}\n[[protect]]\nname = \"point\"\nroles = [\"distribution-point\"]\n\
         addresses = [\"192.0.2.0/24\", \"198.51.100.0/24\", \"2001:db8::/32\"]\n\
         [[management.allow]]\nname = \"ssh\"\nprotocol = \"tcp\"\nports = [22]\n\
         from = \"any\"\nreason = \"a test\"\n"
    );
    fs::write(file.path(), text)?;
    Ok(file)
}

/// The source of a session that comes in at the uplink counts as one of the segment's.
#[test]
fn a_session_that_would_be_taken_for_a_forged_one_is_named() -> Result<()> {
    for family in FAMILIES {
        let stage = Stage::new(Topology::Bridged)?;
        let _server = tcp_server(stage.gateway(), (Ipv6Addr::UNSPECIFIED, 22).into())?;
        let to = SocketAddr::from((UPLINK[family], 22));
        let outside = stage
            .client
            .enter(|| TcpStream::connect_timeout(&to, LONG))?;
        let peer = outside.local_addr()?.ip();
        let refusing = listing_the_client("")?;
        let line = |file: &tempfile::NamedTempFile| {
            let path = file.path().display();
            format!("enforce --config {path} --uplink up0 --segment seg0")
        };
        run(stage.command(&line(&refusing))?)?.assert_refused(&[
            "SSH session",
            "spoofed-source",
            &format!("--pass-source {peer}"),
        ]);
        let passing = listing_the_client(&format!("pass-sources = [\"{peer}\"]"))?;
        let mut session = Session {
            peer: outside.local_addr()?,
            stream: outside,
        };
        let agent = Agent::start(stage.gateway(), stage.command(&line(&passing))?)?;
        assert!(session.is_alive(LONG)?);
        assert_eq!(agent.end(Signal::SIGTERM)?.code, Some(0));
        drop(session);
        // Sockets that wait for the end of a connection are no sessions.
        let to = SocketAddr::from((SEGMENT[family], 22));
        let inside = stage
            .server
            .enter(|| TcpStream::connect_timeout(&to, LONG))?;
        let mut session = Session {
            peer: inside.local_addr()?,
            stream: inside,
        };
        // It comes from the segment.
        let _agent = Agent::start(stage.gateway(), stage.command(&line(&refusing))?)?;
        assert!(session.is_alive(LONG)?);
    }
    Ok(())
}

/// A process called `sshd` that holds a listening socket; it is killed when this is dropped.
struct Sshd(Child);

impl Sshd {
    /// A process is called after the file that it was started from, so this is `sleep` with the
    /// socket for its standard input. (A `sleep` of several programs in one file goes by its first argument.)
    fn start(hosts: &Hosts, listener: TcpListener) -> Result<Self> {
        let directory = tempfile::tempdir()?;
        let sshd = directory.path().join("sshd");
        std::os::unix::fs::symlink("/bin/sleep", &sshd)?;
        let child = hosts
            .point
            .command(&sshd)
            .arg0("sleep")
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

/// `enforce`, with no more rights than the unit gives.
fn shut_in(hosts: &Hosts, arguments: &str) -> Result<Command> {
    let agent = hosts.command(&format!("enforce {arguments}"))?;
    let mut command = hosts.point.command("setpriv");
    command
        .args(["--bounding-set", "-all,+bpf,+perfmon,+net_admin"])
        .arg(agent.get_program())
        .args(agent.get_args())
        .env_remove("RUST_LOG");
    Ok(command)
}

#[test]
fn sshd_is_recognized_on_any_port() -> Result<()> {
    let hosts = Hosts::new()?;
    let to = SocketAddr::from((Hosts::POINT[0], 2222));
    let listener = hosts.point.enter(|| TcpListener::bind(to))?;
    let session = Session::open(&hosts, to)?;
    // Nobody called `sshd` has this socket yet.
    let policy = PolicyFile::allowing(&[])?;
    let agent = Agent::start(&hosts.point, shut_in(&hosts, &policy.arguments())?)?;

    let _sshd = Sshd::start(&hosts, listener)?;
    let named = ["SSH session", "--allow tcp/2222@192.0.2.1"];
    policy.allow(&["tcp/80"])?;
    hosts.run("reload")?.assert_refused(&named);
    assert_eq!(agent.end(Signal::SIGTERM)?.code, Some(0));
    run(shut_in(&hosts, &policy.arguments())?)?.assert_refused(&named);
    hosts.assert_untouched()?;
    drop(session);
    Ok(())
}

/// OpenSSH's server in the point and a session to it from the client, by keys of their own.
struct OpenSsh {
    server: Child,
    client: Child,
    to: ChildStdin,
    from: BufReader<ChildStdout>,
    directory: tempfile::TempDir,
}

impl OpenSsh {
    /// Logs in as the user who runs this, and has `cat` answer.
    fn log_in(hosts: &Hosts, port: u16) -> Result<Self> {
        let directory = tempfile::tempdir()?;
        let file = |name: &str| directory.path().join(name);
        for key in ["host", "user"] {
            let line = ["-q", "-t", "ed25519", "-N", "", "-f"];
            let made = Command::new("ssh-keygen")
                .args(line)
                .arg(file(key))
                .status()
                .context("running ssh-keygen: `cargo xtask test` installs it")?;
            ensure!(made.success(), "ssh-keygen: {made}");
        }
        fs::copy(file("user.pub"), file("authorized"))?;
        // Where Debian's server wants to lock itself in.
        fs::create_dir_all("/run/sshd")?;
        let server = hosts
            .point
            .command("/usr/sbin/sshd")
            .args(["-D", "-e", "-f", "/dev/null", "-p", &port.to_string(), "-h"])
            .arg(file("host"))
            .arg("-o")
            .arg(format!(
                "AuthorizedKeysFile={}",
                file("authorized").display()
            ))
            .args([
                "-o",
                "StrictModes=no",
                "-o",
                "PidFile=none",
                "-o",
                "UsePAM=no",
            ])
            .args(["-o", "PermitRootLogin=yes"])
            .stderr(fs::File::create(file("log"))?)
            .spawn()
            .context("running sshd: `cargo xtask test` installs it")?;
        let mut client = hosts
            .client
            .command("ssh")
            .args(["-F", "none", "-p", &port.to_string(), "-i"])
            .arg(file("user"))
            .args([
                "-o",
                "StrictHostKeyChecking=no",
                "-o",
                "UserKnownHostsFile=/dev/null",
            ])
            .args(["-o", "BatchMode=yes", "-o", "ConnectionAttempts=20"])
            .args(["root@192.0.2.2", "cat"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()?;
        let to = client.stdin.take().context("no input")?;
        let from = BufReader::new(client.stdout.take().context("no output")?);
        let mut ssh = Self {
            server,
            client,
            to,
            from,
            directory,
        };
        ensure!(ssh.answers()?, "no session: {}", ssh.log()?);
        Ok(ssh)
    }

    /// Whether `cat` at the other end brings back a line.
    fn answers(&mut self) -> Result<bool> {
        if self.to.write_all(b"still there?\n").is_err() {
            return Ok(false);
        }
        let mut line = String::new();
        self.from.read_line(&mut line)?;
        Ok(line == "still there?\n")
    }

    fn log(&self) -> Result<String> {
        let path: &Path = self.directory.path();
        Ok(fs::read_to_string(path.join("log"))?)
    }
}

impl Drop for OpenSsh {
    fn drop(&mut self) {
        for child in [&mut self.client, &mut self.server] {
            // Both fail only if it has ended and been waited for.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

#[test]
fn a_real_session_is_not_cut_at_the_start_nor_by_a_reload() -> Result<()> {
    // OpenSSH's own port, and one that only the name of its server tells.
    for port in [22, 2222] {
        let hosts = Hosts::new()?;
        let mut ssh = OpenSsh::log_in(&hosts, port)?;
        let (allowed, named) = (
            format!("tcp/{port}"),
            format!("--allow tcp/{port}@192.0.2.1"),
        );
        let policy = PolicyFile::allowing(&[])?;
        let line = format!("enforce {}", policy.arguments());
        hosts
            .run(&line)?
            .assert_refused(&["SSH session", &named, "--accept-lockout"]);
        hosts.assert_untouched()?;
        assert!(ssh.answers()?);

        policy.allow(&[&allowed])?;
        let agent = hosts.enforce(&policy.arguments())?;
        assert!(ssh.answers()?);
        let before = hosts.status()?;
        policy.allow(&[])?;
        hosts
            .run("reload")?
            .assert_refused(&["SSH session", &named, "--accept-lockout"]);
        agent.signal(Signal::SIGHUP)?;
        let end = Instant::now() + LONG;
        while !agent.log()?.contains("SIGHUP: the policy stays") {
            ensure!(Instant::now() < end, "no answer to SIGHUP");
            sleep(Duration::from_millis(10));
        }
        assert_eq!(hosts.status()?, before);
        assert!(ssh.answers()?);

        // Whoever insists is cut; and gets the session back, because it was only on trial.
        let service = [("service", allowed.as_str())];
        // The closed policy knows no name for the port.
        let unknown = [("service", "none"), ("protocol", "tcp")];
        let dropped = agent.metrics()?.dropped(&unknown);
        let finished = hosts.run("reload --accept-lockout --confirm-within 2s")?;
        assert_eq!(finished.code, Some(0), "{finished:?}");
        let passed = agent.metrics()?.passed(&service);
        ssh.to.write_all(b"still there?\n")?;
        let metrics = agent.metrics_when(|metrics| metrics.dropped(&unknown) > dropped)?;
        assert_eq!(metrics.passed(&service), passed);
        let mut line = String::new();
        ssh.from.read_line(&mut line)?;
        assert_eq!(hosts.status()?, before);
        assert!(ssh.answers()?);
    }
    Ok(())
}
