//! Cards that get other names, in one look of the agent.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use sccm_agent::kernel::PinDir;
use sccm_common::counter::Direction;
use sccm_tests::agent::{Agent, Hosts, LONG, POINT};
use sccm_tests::hooks::detach;
use sccm_tests::netns::veth_pair;

fn await_true(what: &str, mut is: impl FnMut() -> Result<bool>) -> Result<()> {
    let end = Instant::now() + LONG;
    while !is()? {
        ensure!(Instant::now() < end, "{what} does not come");
        std::thread::sleep(Duration::from_millis(20));
    }
    Ok(())
}

fn states(hosts: &Hosts) -> Result<Vec<String>> {
    let status = hosts.status()?;
    let listed = status.json["interfaces"].as_array().into_iter().flatten();
    let state = |one: &serde_json::Value| format!("{}={}", one["interface"], one["state"]);
    let mut states: Vec<String> = listed.map(state).collect();
    states.sort();
    Ok(states)
}

fn enforcing(agent: &Agent<'_>, name: &str) -> Result<bool> {
    Ok(agent
        .metrics()?
        .sum("sccm_enforcing", &[("interface", name)])
        == 1.0)
}

#[test]
fn cards_that_swap_their_names_stay_enforced() -> Result<()> {
    let (hosts, _servers) = Hosts::with_servers()?;
    veth_pair(&hosts.client, "eth1", &hosts.point, "eth1")?;
    let agent = hosts.enforce(&format!("{POINT} --interface eth1"))?;
    let both = ["\"eth0\"=\"enforcing\"", "\"eth1\"=\"enforcing\""];
    assert_eq!(states(&hosts)?, both);
    let first = hosts.point.ip("-o link show dev eth0")?;
    for card in ["eth0", "eth1"] {
        hosts.point.interface(card).down()?;
    }
    let batch = tempfile::NamedTempFile::new()?;
    std::fs::write(
        batch.path(),
        "link set dev eth0 name tmp\nlink set dev eth1 name eth0\nlink set dev tmp name eth1\n",
    )?;
    hosts
        .point
        .ip(&format!("-batch {}", batch.path().display()))?;
    for card in ["eth0", "eth1"] {
        hosts.point.interface(card).up()?;
    }
    // The same card, by its number.
    let number = |shown: &str| shown.split(':').next().map(str::to_owned);
    let second = hosts.point.ip("-o link show dev eth1")?;
    assert_eq!(number(&first), number(&second));
    // Addresses of IPv6 do not outlive a card that is down.
    hosts.point.interface("eth1").address("2001:db8::2/64")?;
    await_true("both names", || Ok(states(&hosts)? == both))?;
    hosts.assert_enforced();
    for card in ["eth0", "eth1"] {
        assert!(enforcing(&agent, card)?, "{card}");
    }

    // Whatever is taken off either card is put back on that card.
    let pins = PinDir::new(hosts.pins());
    for slot in pins.slots() {
        detach(&pins.link(slot, Direction::Inbound))?;
        await_true("the program", || {
            Ok(hosts.is_hooked("eth0")? && hosts.is_hooked("eth1")? && states(&hosts)? == both)
        })?;
    }
    hosts.assert_enforced();
    Ok(())
}
