//! Cards that come, go and change by the thousand beside an enforced one.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use sccm_agent::kernel::PinDir;
use sccm_common::counter::Direction;
use sccm_tests::agent::{Agent, Hosts, LONG, POINT};
use sccm_tests::hooks::detach;

/// How much more the agent may need in a storm than for the same work without one, in KiB.
const MORE: u64 = 8 * 1024;

/// How often the program is put back before the storm.
const REPAIRS: u32 = 5;

const PAIRS: u32 = 600;
const FLAPS: u32 = 6000;

/// The most memory that the agent needed since [`forget_peak`].
fn peak(agent: &Agent<'_>) -> Result<u64> {
    let status = fs::read_to_string(agent.proc()?.join("status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let number = line.and_then(|line| line.split_whitespace().next());
    Ok(number.context("no VmHWM")?.parse()?)
}

/// `CLEAR_REFS_MM_HIWATER_RSS`, proc(5).
fn forget_peak(agent: &Agent<'_>) -> Result<()> {
    Ok(fs::write(agent.proc()?.join("clear_refs"), "5")?)
}

/// Takes the program off, and waits until it is back.
fn mended(hosts: &Hosts, pin: &Path) -> Result<Duration> {
    detach(pin)?;
    let begun = Instant::now();
    // The next one is taken off by its pin.
    while !(hosts.is_hooked("eth0")? && pin.exists()) {
        ensure!(begun.elapsed() < LONG, "the program does not come back");
        std::thread::sleep(Duration::from_millis(10));
    }
    Ok(begun.elapsed())
}

#[test]
fn a_storm_of_cards_costs_little_and_hides_nothing() -> Result<()> {
    let (hosts, _servers) = Hosts::with_servers()?;
    let agent = hosts.enforce(POINT)?;
    let pin = PinDir::new(hosts.pins()).link(0, Direction::Inbound);
    // What it takes to put a program back is needed for a moment, with a storm or without. The
    // heap is split up more from time to time, and the code is read in as it is run.
    forget_peak(&agent)?;
    let mut usual = Duration::ZERO;
    for _ in 0..REPAIRS {
        usual = usual.max(mended(&hosts, &pin)?);
    }
    let before = peak(&agent)?;
    let mut lines = String::new();
    for pair in 0..PAIRS {
        lines += &format!("link add s{pair}a type veth peer name s{pair}b\n");
    }
    for flap in 0..FLAPS {
        let state = ["up", "down"][(flap / PAIRS % 2) as usize];
        lines += &format!("link set dev s{}a {state}\n", flap % PAIRS);
    }
    for pair in 0..PAIRS {
        lines += &format!("link delete s{pair}a\n");
    }
    let batch = tempfile::NamedTempFile::new()?;
    fs::write(batch.path(), lines)?;

    let mut slowest = Duration::ZERO;
    std::thread::scope(|scope| -> Result<()> {
        let storm = scope.spawn(|| {
            let batch = batch.path().display();
            hosts.point.ip(&format!("-batch {batch}"))
        });
        while !storm.is_finished() {
            slowest = slowest.max(mended(&hosts, &pin)?);
            std::thread::sleep(Duration::from_millis(500));
        }
        storm.join().expect("the storm does not panic").map(drop)
    })?;
    let needed = peak(&agent)?;
    println!("{before} KiB, {needed} KiB in the storm; mended within {usual:?}, and {slowest:?}");
    assert!(needed < before + MORE, "{before} KiB, then {needed} KiB");
    assert!(slowest < Duration::from_secs(5) + 3 * usual, "{slowest:?}");
    hosts.assert_enforced();
    Ok(())
}
