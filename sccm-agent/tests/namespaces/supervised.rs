//! What an agent tells systemd, or another supervisor, of itself.

use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use aya::maps::{Array, Map, MapData};
use nix::sys::signal::Signal;
use sccm_common::abi::map;
use sccm_tests::agent::{Agent, Hosts, LONG, POINT, PolicyFile, mode};
use sccm_tests::hooks::detach;
use sccm_tests::supervisor::Supervisor;

/// The agent looks three times in it.
const WATCHDOG: Duration = Duration::from_millis(600);

/// Longer than the agent may be silent.
const SILENCE: Duration = Duration::from_secs(2);

fn is_alive(supervisor: &Supervisor) -> Result<bool> {
    let lines = supervisor.lines_within(SILENCE)?;
    Ok(lines.iter().any(|line| line == "WATCHDOG=1"))
}

/// Waits until the agent has said this of itself, and is silent from then on.
fn assert_falls_silent(supervisor: &Supervisor, status: &str) -> Result<()> {
    supervisor.wait_for(&format!("STATUS={status}"), LONG)?;
    assert!(!is_alive(supervisor)?, "{status}");
    Ok(())
}

#[test]
fn it_is_ready_when_every_card_is_held_and_alive_while_that_is_so() -> Result<()> {
    let hosts = Hosts::new()?;
    let policy = PolicyFile::allowing(&[])?;
    let supervisor = Supervisor::at_a_path(WATCHDOG)?;
    let line = format!("enforce {} --wait-for-interfaces", policy.arguments());
    let mut command = hosts.command(&format!("{line} --interface eth7"))?;
    supervisor.give_to(&mut command);
    let agent = Agent::spawn(&hosts.point, command)?;
    let before = supervisor.wait_for("READY=1", LONG)?;
    let status = hosts.status()?;
    assert_eq!(status.of("eth0"), ("enforcing", mode()));
    assert_eq!(status.of("eth7"), ("missing", "-"));
    let said = before.iter().find(|line| line.starts_with("STATUS="));
    let said = said.map(String::as_str).unwrap_or_default();
    assert!(said.ends_with(", on eth0, waiting for eth7"), "{before:?}");
    assert!(
        !before.iter().any(|line| line == "WATCHDOG=1"),
        "{before:?}"
    );
    assert!(is_alive(&supervisor)?);

    // A driver that refuses keeps the agent from putting back what somebody took off.
    let end = Instant::now() + LONG;
    loop {
        detach(&hosts.pins().join("links/0-inbound"))?;
        if hosts.client.ip("link set eth0 mtu 60000").is_ok() {
            break;
        }
        ensure!(Instant::now() < end, "the agent is faster each time");
        sleep(Duration::from_millis(50));
    }
    assert_falls_silent(&supervisor, "without the agent's programs: eth0")?;
    hosts.client.ip("link set eth0 mtu 1500")?;
    supervisor.wait_for("WATCHDOG=1", LONG)?;
    assert_eq!(hosts.status()?.of("eth0"), ("enforcing", mode()));

    // Somebody who writes to the maps makes another bank the active one.
    let pin = hosts.pins().join("maps").join(map::ACTIVE.name);
    let active = Map::from_map_data(MapData::from_pin(pin)?)?;
    let mut active = Array::<_, u32>::try_from(active)?;
    let bank = active.get(&0, 0)?;
    active.set(0, bank ^ 1, 0)?;
    assert_falls_silent(&supervisor, "policy 000000000000 is active")?;
    active.set(0, bank, 0)?;
    supervisor.wait_for("WATCHDOG=1", LONG)?;

    drop(agent.end(Signal::SIGTERM)?);
    supervisor.wait_for("STOPPING=1", LONG)?;
    Ok(())
}

#[test]
fn a_reload_is_told_from_its_beginning_to_its_end() -> Result<()> {
    let hosts = Hosts::new()?;
    let policy = PolicyFile::allowing(&[])?;
    let supervisor = hosts
        .point
        .enter(|| Supervisor::at_a_name(Duration::from_secs(60)))?;
    let mut command = hosts.command(&format!("enforce {}", policy.arguments()))?;
    supervisor.give_to(&mut command);
    let agent = Agent::spawn(&hosts.point, command)?;
    supervisor.wait_for("READY=1", LONG)?;
    policy.allow(&["tcp/22"])?;
    assert_eq!(hosts.run("reload")?.code, Some(0));
    let told = supervisor.wait_for("READY=1", LONG)?;
    let told: Vec<&str> = told
        .iter()
        .map(|line| line.split('=').next().unwrap_or_default())
        .filter(|name| *name != "WATCHDOG")
        .collect();
    assert_eq!(told, ["RELOADING", "MONOTONIC_USEC", "READY"]);
    // One that is refused has an end, too.
    policy.write("nonsense")?;
    agent.signal(Signal::SIGHUP)?;
    supervisor.wait_for("RELOADING=1", LONG)?;
    supervisor.wait_for("READY=1", LONG)?;
    assert_eq!(agent.end(Signal::SIGTERM)?.code, Some(0));
    Ok(())
}

/// Nobody needs a supervisor, and one that is gone ends nothing.
#[test]
fn a_supervisor_that_is_not_there_is_logged() -> Result<()> {
    let hosts = Hosts::new()?;
    let mut command = hosts.command(&format!("enforce {POINT}"))?;
    command.env("NOTIFY_SOCKET", "/nowhere/notify");
    let agent = Agent::start(&hosts.point, command)?;
    assert!(agent.log()?.contains("nobody is told how this agent is"));
    assert_eq!(agent.end(Signal::SIGTERM)?.code, Some(0));
    Ok(())
}
