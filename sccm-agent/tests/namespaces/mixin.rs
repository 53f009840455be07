//! What `deploy/` ships, with Debian's Prometheus: it scrapes a real agent that passes and drops
//! real packets, and every rule and every query of the dashboard finds something there.

mod dashboard;
mod files;
mod server;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use nix::sys::signal::Signal;
use sccm_agent::metrics::reference;
use sccm_tests::agent::{ALLOWED, Agent, FORBIDDEN, Hosts, PolicyFile};
use sccm_tests::hooks;
use sccm_tests::traffic::{Outcome, Server};

use server::Prometheus;

/// Where the shipped files are.
fn deploy() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy")
}

/// The policy under which what is refused is told by peer.
const NAMING_PEERS: &str = r#"
[peers]
client = ["192.0.2.0/24", "2001:db8::/64"]

[[protect]]
name = "point"
roles = ["distribution-point"]
"#;

/// The host and what runs there, each of which ends before what it stands on.
struct Stage {
    hosts: Hosts,
    policy: PolicyFile,
    _servers: Vec<Server>,
}

impl Stage {
    /// Packets have been counted as passed, and as such that would have been dropped.
    fn new() -> Result<Self> {
        let (hosts, servers) = Hosts::with_servers()?;
        let policy = PolicyFile::allowing(&[])?;
        let observing = format!("{} --observe --on-exit keep", policy.arguments());
        let agent = hosts.enforce(&observing)?;
        hosts.assert_tcp(&[ALLOWED, FORBIDDEN], Outcome::Connected);
        ensure!(agent.end(Signal::SIGTERM)?.code == Some(0));
        Ok(Self {
            hosts,
            policy,
            _servers: servers,
        })
    }

    /// Everything happens that metrics tell of, with a scrape before and behind it.
    fn live(&self) -> Result<(Agent<'_>, Prometheus<'_>)> {
        let hosts = &self.hosts;
        self.policy.write(NAMING_PEERS)?;
        let arguments = format!("{} --metrics-top-flows 20", self.policy.arguments());
        let agent = hosts.enforce(&arguments)?;
        hosts.assert_enforced();
        let prometheus = Prometheus::start(&hosts.point)?;
        prometheus.await_some("sccm_dropped_packets_total")?;

        hosts.assert_enforced();
        self.policy.allow(&["tcp/22"])?;
        let reload = hosts.run("reload")?;
        ensure!(reload.code == Some(0), "{reload:?}");
        // The candidate opens one port more and another one less.
        self.policy.propose(&["tcp/21"])?;
        let shadow = hosts.run("reload --shadow")?;
        ensure!(shadow.code == Some(0), "{shadow:?}");
        hosts.assert_tcp(&[22], Outcome::Refused);
        hosts.assert_enforced();
        for candidate in [
            "sccm_shadow_dropped_packets_total",
            "sccm_shadow_passed_packets_total",
        ] {
            prometheus.await_some(candidate)?;
        }
        hooks::detach(&hosts.pins().join("links/0-inbound"))?;
        let gap = "sccm_interface_gap_seconds_total";
        agent.metrics_when(|metrics| metrics.sum(gap, &[]) > 0.0)?;
        hosts.assert_enforced();
        prometheus.await_some(&format!("increase({gap}[1m]) > 0"))?;
        let drops = "sum(increase(sccm_dropped_packets_total{service=\"none\"}[1m])) > 0";
        prometheus.await_some(drops)?;
        Ok((agent, prometheus))
    }
}

#[test]
fn every_query_and_rule_finds_data_about_a_real_agent() -> Result<()> {
    let stage = Stage::new()?;
    let (agent, prometheus) = stage.live()?;

    let (_, text) = agent.get("/metrics")?;
    files::assert_clean_metrics(&text)?;
    assert_all_metrics(&text);
    prometheus.assert_rules_hold()?;
    dashboard::assert_finds_data(&prometheus)?;

    // No packet comes any more: the numbers are the same everywhere.
    stage.hosts.point.ip("link set eth0 down")?;
    for name in ["sccm_dropped_packets_total", "sccm_passed_packets_total"] {
        let told = agent.metrics()?.sum(name, &[]);
        assert!(told > 0.0, "{name}");
        prometheus.await_some(&format!("sum({name}) == {told}"))?;
    }
    Ok(())
}

/// The scrape has every metric of the table, and no other.
#[track_caller]
fn assert_all_metrics(text: &str) {
    let types = text
        .lines()
        .filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next());
    let told: BTreeSet<&str> = types.collect();
    let known = reference::FAMILIES.iter().map(|family| family.name);
    assert_eq!(told, known.collect());
}

/// Reads a shipped file.
fn read(path: &str) -> Result<String> {
    let path = deploy().join(path);
    std::fs::read_to_string(&path).with_context(|| path.display().to_string())
}
