//! Programs that are taken off a card behind the agent's back: no card has gone, and the
//! kernel reports nothing of a link.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Result, ensure};
use nix::sys::signal::Signal;
use sccm_tests::agent::{Agent, Hosts, POINT, mode};
use sccm_tests::hooks;
use sccm_tests::traffic::{tcp_exchange, tcp_server};

use super::support::LONG;
use crate::clsact::leave_filter;

const SLOT: u32 = 0;

fn pin(hosts: &Hosts, direction: &str) -> PathBuf {
    hosts
        .pins()
        .join("links")
        .join(format!("{SLOT}-{direction}"))
}

/// Waits until the agent has counted a gap for `eth0`.
fn await_gap(agent: &Agent) -> Result<()> {
    for _ in 0..1000 {
        let metrics = agent.metrics()?;
        if metrics.sum("sccm_interface_gap_seconds_total", &[("interface", "eth0")]) > 0.0 {
            return Ok(());
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    anyhow::bail!("no gap is counted: {}", agent.log()?)
}

#[track_caller]
fn assert_whole(hosts: &Hosts) -> Result<()> {
    hosts.assert_enforced();
    let server = tcp_server(&hosts.client, (Hosts::CLIENT[0], 8443).into())?;
    assert!(tcp_exchange(&hosts.point, server.address(), LONG));
    assert_eq!(hosts.status()?.of("eth0"), ("enforcing", mode()));
    Ok(())
}

#[test]
fn a_detached_link_is_made_anew() -> Result<()> {
    for direction in ["inbound", "outbound"] {
        let (hosts, _servers) = Hosts::with_servers()?;
        let agent = hosts.enforce(POINT)?;
        hooks::detach(&pin(&hosts, direction))?;
        await_gap(&agent)?;
        assert_whole(&hosts)?;
    }
    Ok(())
}

#[test]
fn a_lost_filter_is_made_anew() -> Result<()> {
    let (hosts, _servers) = Hosts::with_servers()?;
    leave_filter(&hosts)?;
    let agent = hosts.enforce(POINT)?;
    let removed = hosts
        .point
        .command("tc")
        .args(["qdisc", "del", "dev", "eth0", "clsact"])
        .output()?;
    ensure!(removed.status.success(), "{removed:?}");
    await_gap(&agent)?;
    assert_whole(&hosts)
}

/// Without an agent, `status` says so.
#[test]
fn a_lost_egress_hook_is_told() -> Result<()> {
    let (hosts, _servers) = Hosts::with_servers()?;
    hosts.enforce(POINT)?.end(Signal::SIGKILL)?;
    assert_eq!(hosts.status()?.of("eth0"), ("enforcing", mode()));
    hooks::detach(&pin(&hosts, "outbound"))?;
    let status = hosts.status()?;
    assert_eq!(status.of("eth0"), ("egress-lost", mode()));
    assert_eq!(status.code, Some(4));
    Ok(())
}
