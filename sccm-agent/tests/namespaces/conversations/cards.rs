//! Cards that go down and up, get another name, or are replaced while the agent runs.

use anyhow::Result;
use sccm_tests::agent::Agent;
use sccm_tests::gateway::{FAMILIES, SERVER, Stage, Topology};
use sccm_tests::traffic::{Outcome, Server, tcp_connect, tcp_server};

use super::support::{LONG, PATIENCE};

const ALLOWED: u16 = 80;
const FORBIDDEN: u16 = 8080;

fn servers(stage: &Stage) -> Result<Vec<Server>> {
    let mut servers = Vec::new();
    for family in FAMILIES {
        for port in [ALLOWED, FORBIDDEN] {
            servers.push(tcp_server(&stage.server, (SERVER[family], port).into())?);
        }
    }
    Ok(servers)
}

/// Asserts that the allowed port is reached, and not the forbidden one.
#[track_caller]
fn assert_enforced(stage: &Stage) {
    for family in FAMILIES {
        let connect =
            |port, patience| tcp_connect(&stage.client, (SERVER[family], port).into(), patience);
        assert_eq!(connect(ALLOWED, LONG), Outcome::Connected);
        assert_eq!(connect(FORBIDDEN, PATIENCE), Outcome::TimedOut);
    }
}

/// The value of a metric of one interface.
fn value(agent: &Agent, metric: &str, interface: &str) -> Result<f64> {
    Ok(agent.metrics()?.sum(metric, &[("interface", interface)]))
}

/// Waits until a metric of an interface is above 0.
fn await_positive(agent: &Agent, metric: &str, interface: &str) -> Result<()> {
    let labels = [("interface", interface)];
    agent.metrics_when(|metrics| metrics.sum(metric, &labels) > 0.0)?;
    Ok(())
}

const GAP: &str = "sccm_interface_gap_seconds_total";
const ENFORCING: &str = "sccm_enforcing";

#[test]
fn a_replaced_card_is_enforced_again() -> Result<()> {
    let stage = Stage::new(Topology::Routed)?;
    let _servers = servers(&stage)?;
    let agent = stage.enforce("distribution-point", "")?;
    assert_enforced(&stage);
    assert_eq!(value(&agent, GAP, "up0")?, 0.0);

    stage.gateway().ip("link delete up0")?;
    stage.replace_uplink()?;
    await_positive(&agent, GAP, "up0")?;
    assert_eq!(value(&agent, ENFORCING, "up0")?, 1.0);
    assert_enforced(&stage);
    Ok(())
}

#[test]
fn a_card_that_is_replaced_often_leaves_nothing_open() -> Result<()> {
    let stage = Stage::new(Topology::Routed)?;
    let agent = stage.enforce("distribution-point", "")?;
    let open = "process_open_fds";
    let before = agent.metrics()?.sum(open, &[]);
    for _ in 0..4 {
        let gap = value(&agent, GAP, "up0")?;
        stage.gateway().ip("link delete up0")?;
        stage.replace_uplink()?;
        agent.metrics_when(|metrics| metrics.sum(GAP, &[("interface", "up0")]) > gap)?;
    }
    // The connection of the scrape before may still be ending.
    agent.metrics_when(|metrics| metrics.sum(open, &[]) <= before + 1.0)?;
    Ok(())
}

#[test]
fn a_replaced_card_at_the_segment_is_enforced_again() -> Result<()> {
    let stage = Stage::new(Topology::Routed)?;
    let agent = stage.enforce("distribution-point", "")?;
    stage.gateway().ip("link delete seg0")?;
    stage.replace_segment()?;
    await_positive(&agent, GAP, "seg0")?;
    // Without its program, what the segment opens would find no answer.
    for family in FAMILIES {
        let internet = tcp_server(
            &stage.client,
            (sccm_tests::gateway::CLIENT[family], 443).into(),
        )?;
        assert_eq!(
            tcp_connect(&stage.server, internet.address(), LONG),
            Outcome::Connected
        );
    }
    Ok(())
}

#[test]
fn a_renamed_card_stays_enforced_under_its_new_name() -> Result<()> {
    let stage = Stage::new(Topology::Routed)?;
    let _servers = servers(&stage)?;
    let agent = stage.enforce("distribution-point", "")?;
    let gateway = stage.gateway();
    gateway.ip("link set dev up0 down")?;
    gateway.ip("link set dev up0 name wan0")?;
    gateway.interface("wan0").up()?;
    // Addresses of IPv6 do not outlive a card that is down.
    stage.give_uplink("wan0")?;
    await_positive(&agent, ENFORCING, "wan0")?;
    assert_eq!(value(&agent, ENFORCING, "up0")?, 0.0);
    assert_enforced(&stage);
    assert_eq!(value(&agent, GAP, "wan0")?, 0.0);
    Ok(())
}

#[test]
fn a_card_that_was_down_stays_enforced() -> Result<()> {
    let stage = Stage::new(Topology::Routed)?;
    let _servers = servers(&stage)?;
    let agent = stage.enforce("distribution-point", "")?;
    let card = stage.gateway().interface("up0");
    card.down()?;
    card.up()?;
    stage.give_uplink("up0")?;
    assert_enforced(&stage);
    assert_eq!(value(&agent, ENFORCING, "up0")?, 1.0);
    assert_eq!(value(&agent, GAP, "up0")?, 0.0);
    Ok(())
}
