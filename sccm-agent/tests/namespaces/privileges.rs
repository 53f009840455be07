//! What a running agent may still do.

use std::fs;
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use nix::sys::signal::Signal;
use sccm_tests::agent::{Hosts, LONG, PolicyFile};

/// CAP_NET_ADMIN, CAP_PERFMON and CAP_BPF, in include/uapi/linux/capability.h.
const NEEDED: u64 = 1 << 12 | 1 << 38 | 1 << 39;

/// A line of `/proc/PID/status`, without its name.
fn line<'s>(status: &'s str, name: &str) -> Result<&'s str> {
    let mut lines = status.lines();
    let line = lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    Ok(line.with_context(|| format!("no {name}"))?.trim())
}

#[test]
fn no_thread_keeps_more_than_enforcing_takes() -> Result<()> {
    let (hosts, _servers) = Hosts::with_servers()?;
    let policy = PolicyFile::allowing(&[])?;
    let agent = hosts.enforce(&policy.arguments())?;
    // Everything that it does later works with that.
    policy.allow(&["tcp/22"])?;
    let reload = hosts.run("reload")?;
    assert_eq!(reload.code, Some(0), "{reload:?}");
    hosts.point.ip("link del eth0")?;
    hosts.join_by_cable()?;
    let end = Instant::now() + LONG;
    while !hosts.is_hooked("eth0")? {
        ensure!(Instant::now() < end, "{}", agent.log()?);
        sleep(Duration::from_millis(50));
    }
    let mut threads = 0;
    for thread in fs::read_dir(agent.proc()?.join("task"))? {
        let status = fs::read_to_string(thread?.path().join("status"))?;
        for set in ["CapInh", "CapPrm", "CapEff", "CapAmb"] {
            let has = u64::from_str_radix(line(&status, set)?, 16)?;
            let may = if set == "CapPrm" || set == "CapEff" {
                NEEDED
            } else {
                0
            };
            assert_eq!(has, may, "{set}: {status}");
        }
        assert_eq!(line(&status, "NoNewPrivs")?, "1", "{status}");
        assert_eq!(line(&status, "Seccomp")?, "2", "{status}");
        threads += 1;
    }
    assert!(threads >= 3, "{threads}");
    assert_eq!(agent.end(Signal::SIGTERM)?.code, Some(0));
    hosts.assert_untouched()
}
