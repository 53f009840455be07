//! Files that hang hold nothing up but who reads them.

use std::fs::{File, OpenOptions};
use std::os::fd::AsRawFd as _;
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sys::signal::Signal;
use nix::sys::stat::Mode;
use nix::unistd::mkfifo;
use sccm_tests::agent::{Finished, Hosts, PolicyFile, Process};
use sccm_tests::bpffs::state_dir;
use tempfile::TempDir;

/// What takes longer waited for something. A busy machine takes a part of it.
const AT_ONCE: Duration = Duration::from_secs(4);

/// An agent that ends waits for a file a little, and takes its programs off.
const END: Duration = Duration::from_secs(10);

/// A file system whose server never answers: whoever looks for a file in it waits for ever.
struct Hanging {
    _server: File,
    at: PathBuf,
    _own: Option<TempDir>,
}

impl Hanging {
    fn mount() -> Result<Self> {
        let own = tempfile::tempdir()?;
        let mut hanging = Self::mount_on(own.path())?;
        hanging._own = Some(own);
        Ok(hanging)
    }

    /// Hides what is in the directory.
    fn mount_on(directory: &Path) -> Result<Self> {
        let mut options = OpenOptions::new();
        let server = options.read(true).write(true).open("/dev/fuse");
        let server = server.context("opening /dev/fuse: load the module fuse")?;
        let options = format!(
            "fd={},rootmode=40000,user_id=0,group_id=0",
            server.as_raw_fd()
        );
        let flags = MsFlags::empty();
        let kind = Some("fuse");
        mount(kind, directory, kind, flags, Some(options.as_str()))?;
        Ok(Self {
            _server: server,
            at: directory.to_owned(),
            _own: None,
        })
    }

    fn file(&self) -> PathBuf {
        self.at.join("clients.txt")
    }
}

impl Drop for Hanging {
    fn drop(&mut self) {
        // Whoever waits gets an error.
        let flags = MntFlags::MNT_FORCE | MntFlags::MNT_DETACH;
        let _ = umount2(&self.at, flags);
    }
}

fn with_list(list: &Path) -> String {
    format!(
        "[peers]\nclient = {{ file = \"{}\" }}\n\
         [[protect]]\nname = \"point\"\nroles = [\"distribution-point\"]\n",
        list.display()
    )
}

#[track_caller]
fn at_once(hosts: &Hosts, command: &str, says: &str) -> Result<Finished> {
    let begun = Instant::now();
    let finished = hosts.run(command)?;
    assert!(
        begun.elapsed() < AT_ONCE,
        "{command}: {:?}",
        begun.elapsed()
    );
    assert_eq!(finished.code, Some(0), "{finished:?}");
    assert!(finished.stdout.starts_with(says), "{says}: {finished:?}");
    Ok(finished)
}

#[test]
fn lists_that_are_no_files_are_refused_at_once() -> Result<()> {
    let hosts = Hosts::new()?;
    let policy = PolicyFile::allowing(&[])?;
    let agent = hosts.enforce(&policy.arguments())?;
    let before = hosts.status()?;
    let folder = tempfile::tempdir()?;
    let pipe = folder.path().join("pipe");
    mkfifo(&pipe, Mode::S_IRWXU)?;
    for (list, why) in [
        (pipe.as_path(), "is not a regular file"),
        (Path::new("/proc/kmsg"), "made up by the kernel"),
        (Path::new("/dev/zero"), "is not a regular file"),
        (folder.path(), "is a directory"),
    ] {
        policy.write(&with_list(list))?;
        let begun = Instant::now();
        hosts
            .run("reload")?
            .assert_refused(&["policy.toml:2:19", why]);
        assert!(begun.elapsed() < AT_ONCE, "{}", list.display());
    }
    assert_eq!(hosts.status()?, before);
    assert_eq!(agent.end(Signal::SIGTERM)?.code, Some(0));
    hosts.assert_untouched()
}

#[test]
fn a_file_system_that_hangs_holds_nothing_up() -> Result<()> {
    let (hosts, _servers) = Hosts::with_servers()?;
    let policy = PolicyFile::allowing(&[])?;
    let agent = hosts.enforce(&policy.arguments())?;
    policy.allow(&["tcp/22"])?;
    at_once(&hosts, "reload", "published: generation 2")?;
    let hanging = Hanging::mount()?;
    policy.write(&with_list(&hanging.file()))?;
    let hang = || -> Result<Process> {
        policy.propose(&["tcp/21"])?;
        at_once(&hosts, "reload --shadow", "shadowed")?;
        let reload = Process::spawn(hosts.command("reload")?)?;
        sleep(Duration::from_millis(500));
        Ok(reload)
    };

    // A trial ends at its deadline.
    let reload = hang()?;
    at_once(
        &hosts,
        "promote --confirm-within 1s",
        "promoted: generation 3",
    )?;
    let end = Instant::now() + AT_ONCE;
    while hosts.status()?.generation() != 2 {
        ensure!(Instant::now() < end, "the trial goes on");
        sleep(Duration::from_millis(50));
    }
    reload.finish()?.assert_refused(&["not read within"]);

    let reload = hang()?;
    at_once(
        &hosts,
        "promote --confirm-within 1h",
        "promoted: generation 4",
    )?;
    at_once(&hosts, "rollback", "rolled back: generation 2")?;
    at_once(&hosts, "rollback", "rolled back: generation 5")?;
    reload.finish()?.assert_refused(&["not read within"]);

    let reload = hang()?;
    at_once(
        &hosts,
        "promote --confirm-within 1h",
        "promoted: generation 6",
    )?;
    at_once(&hosts, "confirm", "confirmed: generation 6")?;
    at_once(&hosts, "rollback", "rolled back: generation 7")?;
    agent.signal(Signal::SIGHUP)?;
    agent.metrics()?;
    hosts.assert_enforced();
    reload.finish()?.assert_refused(&["not read within"]);

    let _reload = Process::spawn(hosts.command("reload")?)?;
    sleep(Duration::from_millis(500));
    let begun = Instant::now();
    let ended = agent.end(Signal::SIGTERM)?;
    assert!(begun.elapsed() < END, "{:?}", begun.elapsed());
    assert_eq!(ended.code, Some(0), "{ended:?}");
    hosts.assert_untouched()
}

#[test]
fn a_state_directory_that_hangs_holds_nothing_up() -> Result<()> {
    let (hosts, _servers) = Hosts::with_servers()?;
    let policy = PolicyFile::allowing(&[])?;
    let agent = hosts.enforce(&policy.arguments())?;
    policy.allow(&["tcp/22"])?;
    at_once(&hosts, "reload", "published: generation 2")?;

    let hanging = Hanging::mount_on(&state_dir(&hosts.pins()))?;
    at_once(&hosts, "rollback", "rolled back: generation 3")?;
    assert!(
        agent.log()?.contains("is not saved yet"),
        "{}",
        agent.log()?
    );
    policy.allow(&["tcp/23"])?;
    let reload = hosts.run("reload --confirm-within 1h")?;
    assert!(
        reload.stdout.starts_with("published: generation 4"),
        "{reload:?}"
    );
    at_once(&hosts, "confirm", "confirmed: generation 4")?;
    hosts.assert_enforced();
    let begun = Instant::now();
    assert_eq!(agent.end(Signal::SIGTERM)?.code, Some(0));
    assert!(begun.elapsed() < END, "{:?}", begun.elapsed());
    hosts.assert_untouched()?;

    // Nor a start.
    let agent = hosts.enforce(&policy.arguments())?;
    let log = agent.log()?;
    assert!(
        log.contains("which policies were confirmed before cannot be read"),
        "{log}"
    );
    hosts.assert_enforced();
    drop(hanging);
    assert_eq!(agent.end(Signal::SIGTERM)?.code, Some(0));
    hosts.assert_untouched()
}
