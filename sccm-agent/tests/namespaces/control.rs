//! The control socket: who may speak, and what becomes of those who speak nonsense.

mod floods;
mod rights;

use std::fs;
use std::io::{ErrorKind, Read, Write};
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use nix::sys::signal::Signal;
use sccm_agent::control::default_socket;
use sccm_tests::agent::{Agent, Hosts, LONG, POINT};
use sccm_tests::shape;
use serde_json::Value;
use tempfile::NamedTempFile;

/// Nobody's ids (Debian's base-passwd).
const NOBODY: u32 = 65534;

/// A group that the tests make up.
const MEMBERS: u32 = 61234;

fn socket(hosts: &Hosts) -> PathBuf {
    default_socket(&hosts.pins())
}

/// Sends this and no more; returns the answer.
fn ask(socket: &Path, text: &[u8]) -> Result<Value> {
    let mut stream = UnixStream::connect(socket)?;
    stream.set_read_timeout(Some(LONG))?;
    // The agent may have answered before it has read all.
    let _ = stream.write_all(text);
    let mut answer = String::new();
    // It then closes a connection that still holds something.
    if let Err(error) = stream.read_to_string(&mut answer) {
        ensure!(error.kind() == ErrorKind::ConnectionReset, "{error}");
    }
    ensure!(answer.lines().count() == 1, "{answer:?}");
    let answer = serde_json::from_str(&answer)?;
    shape::check("answer", &answer)?;
    Ok(answer)
}

/// What a process of this user and group gets when it connects. Only a thread changes its ids,
/// which is what the kernel knows of them.
fn connect_as(user: u32, group: u32, socket: &Path) -> std::io::Result<UnixStream> {
    let become_user = || {
        for (call, id) in [(libc::SYS_setresgid, group), (libc::SYS_setresuid, user)] {
            // SAFETY: the call takes three numbers.
            let result = unsafe { libc::syscall(call, id, id, id) };
            assert_eq!(result, 0, "{}", std::io::Error::last_os_error());
        }
        UnixStream::connect(socket)
    };
    std::thread::scope(|scope| {
        let thread = scope.spawn(|| {
            // SAFETY: the list of groups is empty, so nothing is read.
            let result = unsafe { libc::syscall(libc::SYS_setgroups, 0, 0) };
            assert_eq!(result, 0, "{}", std::io::Error::last_os_error());
            become_user()
        });
        thread.join().expect("the thread does not panic")
    })
}

#[test]
fn nonsense_is_answered_and_changes_nothing() -> Result<()> {
    let hosts = Hosts::new()?;
    let agent = hosts.enforce(POINT)?;
    let before = hosts.status()?;
    let long = vec![b'x'; 100_000];
    for text in [
        b"\n".as_slice(),
        b"reload\n",
        b"{}\n",
        b"{\"command\":\"detach\"}\n",
        b"{\"command\":\"reload\",\"config\":\"/etc/shadow\"}\n",
        b"{\"command\":\"confirm\",\"config\":\"/etc/shadow\"}\n",
        b"{\"command\":\"reload\",\"confirm_within\":0}\n",
        b"{\"command\":\"reload\",\"confirm_within\":1e300}\n",
        b"\xff\xfe\n",
        &long,
    ] {
        let answer = ask(&socket(&hosts), text)?;
        let name = String::from_utf8_lossy(&text[..text.len().min(60)]);
        assert_eq!(answer["result"], "refused", "{name}: {answer}");
        assert!(answer["error"].is_string(), "{name}: {answer}");
    }
    assert_eq!(hosts.status()?, before);
    let log = agent.log()?;
    assert!(log.contains("uid=0"), "{log}");
    Ok(())
}

#[test]
fn who_says_nothing_holds_nobody_up_for_long() -> Result<()> {
    let hosts = Hosts::new()?;
    let _agent = hosts.enforce(POINT)?;
    let silent: Vec<UnixStream> = (0..3)
        .map(|_| UnixStream::connect(socket(&hosts)))
        .collect::<Result<_, _>>()?;
    let answer = ask(&socket(&hosts), b"{\"command\":\"confirm\"}\n")?;
    assert_eq!(answer["result"], "refused", "{answer}");
    for mut stream in silent {
        stream.set_read_timeout(Some(LONG))?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        assert!(answer.contains("no request within"), "{answer}");
    }
    Ok(())
}

#[test]
fn without_the_group_the_socket_is_roots_alone() -> Result<()> {
    let hosts = Hosts::new()?;
    let agent = start_with_groups(&hosts, "root:x:0:\n", POINT)?;
    let path = socket(&hosts);
    let found = fs::metadata(&path)?;
    assert_eq!(found.permissions().mode() & 0o7777, 0o660);
    assert_eq!((found.uid(), found.gid()), (0, 0));
    for (user, group) in [(NOBODY, NOBODY), (NOBODY, MEMBERS)] {
        let refused = connect_as(user, group, &path).map_err(|error| error.kind());
        assert_eq!(refused.err(), Some(ErrorKind::PermissionDenied));
    }
    // Not even where somebody has opened the file to all.
    fs::set_permissions(&path, fs::Permissions::from_mode(0o666))?;
    let mut stream = connect_as(NOBODY, NOBODY, &path)?;
    stream.write_all(b"{\"command\":\"confirm\"}\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    assert!(answer.contains("only root"), "{answer}");
    let log = agent.log()?;
    assert!(log.contains("no group sccm-agent"), "{log}");
    Ok(())
}

#[test]
fn members_of_the_group_may_give_commands_and_are_logged() -> Result<()> {
    let hosts = Hosts::new()?;
    let agent = start_with_groups(&hosts, &format!("sccm-agent:x:{MEMBERS}:\n"), POINT)?;
    let path = socket(&hosts);
    let found = fs::metadata(&path)?;
    assert_eq!(found.permissions().mode() & 0o7777, 0o660);
    assert_eq!((found.uid(), found.gid()), (0, MEMBERS));
    let refused = connect_as(NOBODY, NOBODY, &path).map_err(|error| error.kind());
    assert_eq!(refused.err(), Some(ErrorKind::PermissionDenied));

    let mut stream = connect_as(NOBODY, MEMBERS, &path)?;
    stream.write_all(b"{\"command\":\"confirm\"}\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    assert!(answer.contains("nothing waits"), "{answer}");
    let log = agent.log()?;
    assert!(log.contains("uid=65534 gid=61234"), "{log}");
    assert!(log.contains("command: confirm"), "{log}");
    Ok(())
}

/// `enforce ARGUMENTS`, which sees this as the machine's groups for as long as the file lives.
fn with_groups(hosts: &Hosts, groups: &str, arguments: &str) -> Result<(Command, NamedTempFile)> {
    let file = NamedTempFile::new()?;
    fs::write(file.path(), groups)?;
    let agent = hosts.command(&format!("enforce {arguments}"))?;
    let mut command: Command = hosts.point.command("unshare");
    command
        .args(["--mount", "sh", "-c"])
        .arg("mount --bind \"$0\" /etc/group && exec \"$@\"")
        .arg(file.path())
        .arg(agent.get_program())
        .args(agent.get_args())
        .env_remove("RUST_LOG");
    Ok((command, file))
}

/// Starts it.
fn start_with_groups<'h>(hosts: &'h Hosts, groups: &str, arguments: &str) -> Result<Agent<'h>> {
    let (command, _groups) = with_groups(hosts, groups, arguments)?;
    Agent::start(&hosts.point, command).context("in a mount namespace of its own")
}

#[test]
fn a_socket_that_was_left_is_replaced_and_ones_own_is_removed() -> Result<()> {
    let hosts = Hosts::new()?;
    let path = socket(&hosts);
    hosts.enforce(POINT)?.end(Signal::SIGKILL)?;
    assert!(fs::symlink_metadata(&path)?.file_type().is_socket());
    hosts
        .run("confirm")?
        .assert_refused(&["no sccm-agent listens on"]);

    let agent = hosts.enforce(POINT)?;
    hosts
        .run("confirm")?
        .assert_refused(&["nothing waits to be confirmed"]);
    assert_eq!(agent.end(Signal::SIGTERM)?.code, Some(0));
    assert!(!path.exists());
    Ok(())
}

#[test]
fn what_belongs_to_others_is_not_replaced() -> Result<()> {
    let hosts = Hosts::new()?;
    let directory = tempfile::tempdir()?;
    let path = directory.path().join("socket");
    let line = format!("enforce {POINT} --control-socket {}", path.display());
    fs::write(&path, "precious")?;
    hosts.run(&line)?.assert_refused(&["is no socket"]);
    assert_eq!(fs::read_to_string(&path)?, "precious");
    hosts.assert_untouched()?;

    fs::remove_file(&path)?;
    let listener = UnixListener::bind(&path)?;
    hosts
        .run(&line)?
        .assert_refused(&["another program listens"]);
    hosts.assert_untouched()?;
    listener.set_nonblocking(true)?;
    assert!(listener.accept().is_ok(), "it is still the listener's");
    drop(listener);

    // What nobody listens on any more has been left by somebody who died.
    let agent = Agent::start(&hosts.point, hosts.command(&line)?)?;
    let confirm = format!("confirm --control-socket {}", path.display());
    hosts
        .run(&confirm)?
        .assert_refused(&["nothing waits to be confirmed"]);
    assert_eq!(agent.end(Signal::SIGTERM)?.code, Some(0));
    assert!(!path.exists());

    let nowhere = format!("enforce {POINT} --control-socket /nowhere/at/all.sock");
    hosts
        .run(&nowhere)?
        .assert_refused(&["/nowhere/at/all.sock"]);
    hosts.assert_untouched()?;
    Ok(())
}
