//! System calls that fail, one kind after another, while the agent is busy: enforcement goes on.

use std::fs;
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use sccm_tests::agent::{Agent, Hosts, LONG, PolicyFile};

/// Calls that a busy agent makes, and errors that they may end with. A `close` always closes. (`EBADF` of `epoll_wait` never
/// comes; it stands for a mistake in the agent itself, which ends it.)
const CALLS: [(&str, &str); 23] = [
    ("accept4", "EMFILE"),
    ("bpf", "ENOMEM"),
    ("bpf", "EPERM"),
    ("brk", "ENOMEM"),
    ("clone3", "EAGAIN"),
    ("epoll_ctl", "ENOMEM"),
    ("epoll_wait", "EBADF"),
    ("fcntl", "EMFILE"),
    ("fstat", "ENOMEM"),
    ("fsync", "EIO"),
    ("getdents64", "EIO"),
    ("ioctl", "ENODEV"),
    ("mmap", "ENOMEM"),
    ("newfstatat", "EIO"),
    ("openat", "EMFILE"),
    ("read", "EIO"),
    ("recvfrom", "ENOMEM"),
    ("rename", "ENOSPC"),
    ("sendto", "ENOBUFS"),
    ("socket", "EMFILE"),
    ("statx", "EIO"),
    ("write", "ENOSPC"),
    ("writev", "EPIPE"),
];

/// Has every third of these calls fail, from the first on, until it is dropped.
struct Injection(std::process::Child);

impl Injection {
    fn begin(agent: &Agent<'_>, call: &str, error: &str) -> Result<Self> {
        let proc = agent.proc()?;
        let pid = proc.file_name().context("no number")?;
        let mut strace = Command::new("strace");
        strace
            .args(["-f", "-qq", "-o", "/dev/null", "-e"])
            .arg(format!("trace={call}"))
            .arg("-e")
            .arg(format!("inject={call}:error={error}:when=1+3"))
            .arg("-p")
            .arg(pid)
            .stderr(Stdio::null());
        let strace = strace.spawn().context("running strace: install it")?;
        let this = Self(strace);
        let end = Instant::now() + LONG;
        while !traced(&fs::read_to_string(proc.join("status"))?) {
            ensure!(Instant::now() < end, "strace does not attach");
            sleep(Duration::from_millis(10));
        }
        Ok(this)
    }
}

fn traced(status: &str) -> bool {
    let mut lines = status.lines();
    let tracer = lines.find_map(|line| line.strip_prefix("TracerPid:"));
    tracer.is_some_and(|tracer| tracer.trim() != "0")
}

impl Drop for Injection {
    fn drop(&mut self) {
        // It lets go of the agent then.
        let _ = kill(Pid::from_raw(self.0.id() as i32), Signal::SIGTERM);
        let _ = self.0.wait();
    }
}

/// Gives the agent much to do. What comes of it is all the same.
fn busy(hosts: &Hosts, agent: &Agent<'_>, policy: &PolicyFile, round: usize) -> Result<()> {
    policy.allow(&[["tcp/22"], ["tcp/23"]][round % 2])?;
    for command in ["reload --confirm-within 1s", "rollback", "status"] {
        hosts.run(command)?;
    }
    for path in ["/metrics", "/-/ready", "/"] {
        let _ = agent.get(path);
    }
    hosts.knock(20)?;
    for change in [
        "link add new type veth peer name other",
        "link set dev new up",
        "link delete new",
    ] {
        hosts.point.ip(change)?;
    }
    sleep(Duration::from_millis(300));
    Ok(())
}

/// Whether the agent has ended, and nobody has asked how.
fn has_ended(agent: &Agent<'_>) -> Result<bool> {
    let stat = fs::read_to_string(agent.proc()?.join("stat"))?;
    Ok(stat
        .rsplit(") ")
        .next()
        .is_some_and(|rest| rest.starts_with('Z')))
}

#[test]
fn enforcement_outlives_every_system_call_that_fails() -> Result<()> {
    let (hosts, _servers) = Hosts::with_servers()?;
    let policy = PolicyFile::allowing(&[])?;
    // Detaches when it is told to end, and only then.
    let start = || hosts.enforce(&format!("{} --on-exit detach", policy.arguments()));
    let mut agent = start()?;
    let mut ended = Vec::new();
    for (round, (call, error)) in CALLS.iter().enumerate() {
        println!("{call} {error}");
        let injection = Injection::begin(&agent, call, error)?;
        busy(&hosts, &agent, &policy, round)?;
        drop(injection);
        hosts.assert_enforced();
        assert!(hosts.is_hooked("eth0")?, "{call} {error}: {}", agent.log()?);
        if has_ended(&agent)? {
            let finished = agent.wait()?;
            assert_ne!(finished.code, Some(0), "{call} {error}: {finished:?}");
            ended.push(format!("{call} {error}: {:?}", finished.code));
            agent = start()?;
        }
    }
    println!("ended by {ended:?}");
    // All but what stands for a mistake, memory without which no program goes on, and the calls by
    // which the runtime wakes its own threads.
    let fatal = ["brk ", "mmap ", "epoll_ctl ", "epoll_wait ", "write "];
    let is_fatal = |end: &&String| fatal.iter().any(|call| end.starts_with(call));
    assert!(ended.iter().all(|end| is_fatal(&end)), "{ended:?}");
    let errors = agent.metrics()?.sum("sccm_agent_errors_total", &[]);
    println!("{errors} errors since the last start");
    Ok(())
}
