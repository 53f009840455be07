//! Interfaces that the machine does not have yet when the agent starts.

use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use nix::sys::signal::Signal;
use sccm_tests::agent::{Agent, Hosts, LONG, POINT, mode};

fn await_state(hosts: &Hosts, interface: &str, state: &str) -> Result<()> {
    let end = Instant::now() + LONG;
    loop {
        let status = hosts.status()?;
        if status.of(interface).0 == state {
            return Ok(());
        }
        ensure!(
            Instant::now() < end,
            "{interface} is never {state}: {status:?}"
        );
        sleep(Duration::from_millis(50));
    }
}

fn add_card(hosts: &Hosts, name: &str) -> Result<()> {
    hosts
        .point
        .ip(&format!("link add {name} type veth peer name far-{name}"))?;
    hosts.point.ip(&format!("link set far-{name} up"))?;
    hosts.point.ip(&format!("link set {name} up"))?;
    Ok(())
}

#[test]
fn a_card_that_is_missing_does_not_leave_the_others_open() -> Result<()> {
    let (hosts, _servers) = Hosts::with_servers()?;
    let line = format!("enforce {POINT} --interface eth7 --interface br7");
    hosts.run(&line)?.assert_refused(&["eth7"]);
    hosts.assert_untouched()?;

    let command = hosts.command(&format!("{line} --wait-for-interfaces"))?;
    let agent = Agent::start_guarded(&hosts.point, command)?;
    hosts.assert_enforced();
    assert!(agent.log()?.contains("waiting for eth7, br7"));
    let status = hosts.status()?;
    assert_eq!(status.code, Some(4));
    assert_eq!(status.of("eth0"), ("enforcing", mode()));
    for missing in ["eth7", "br7"] {
        assert_eq!(status.of(missing), ("missing", "-"));
        let enforcing = |metrics: &sccm_tests::scrape::Metrics| {
            metrics.sum(
                "sccm_enforcing",
                &[("interface", missing), ("mode", "none")],
            )
        };
        assert_eq!(enforcing(&agent.metrics()?), 0.0);
    }
    let (code, body) = agent.get("/-/ready")?;
    assert_eq!(code, 503);
    assert!(body.contains("eth7 is missing"), "{body}");

    add_card(&hosts, "eth7")?;
    await_state(&hosts, "eth7", "enforcing")?;
    // A bridge without members carries nothing yet.
    hosts.point.ip("link add br7 type bridge")?;
    hosts.point.ip("link set br7 up")?;
    assert_eq!(hosts.status()?.of("br7"), ("missing", "-"));
    add_card(&hosts, "eth8")?;
    hosts.point.ip("link set eth8 master br7")?;
    await_state(&hosts, "eth8", "enforcing")?;
    let status = hosts.status()?;
    assert_eq!((status.code, status.of("br7")), (Some(0), ("-", "-")));
    assert_eq!(agent.get("/-/ready")?.0, 200);
    assert_eq!(agent.end(Signal::SIGTERM)?.code, Some(0));
    hosts.assert_untouched()
}

#[test]
fn an_agent_may_wait_for_all_its_interfaces() -> Result<()> {
    let hosts = Hosts::new()?;
    let line = "enforce --role distribution-point --interface eth7 --wait-for-interfaces";
    let agent = Agent::start_guarded(&hosts.point, hosts.command(line)?)?;
    let status = hosts.status()?;
    assert_eq!(
        (status.code, status.of("eth7")),
        (Some(4), ("missing", "-"))
    );
    add_card(&hosts, "eth7")?;
    await_state(&hosts, "eth7", "enforcing")?;
    assert_eq!(hosts.status()?.code, Some(0));
    assert_eq!(agent.end(Signal::SIGTERM)?.code, Some(0));
    Ok(())
}

#[test]
fn a_card_that_comes_and_cannot_be_attached_to_stays_missing() -> Result<()> {
    let (hosts, _servers) = Hosts::with_servers()?;
    let line = format!("enforce {POINT} --hook xdp --interface eth7.20 --wait-for-interfaces");
    let agent = Agent::start_guarded(&hosts.point, hosts.command(&line)?)?;
    assert_eq!(hosts.status()?.of("eth7.20"), ("missing", "-"));
    // The other end hands tags over beside the frame, where XDP programs do not see them.
    add_card(&hosts, "eth7")?;
    await_state(&hosts, "eth7", "missing")?;
    assert_eq!(hosts.status()?.code, Some(4));
    assert!(agent.log()?.contains("ethtool -K far-eth7 txvlan off"));
    hosts.assert_enforced();
    Ok(())
}
