//! Agents that end, are killed, fail half way, or find a card that cannot do it natively.

use anyhow::Result;
use nix::sys::signal::Signal;
use sccm_tests::agent::{FORBIDDEN, Hosts, POINT};
use sccm_tests::netns::veth_pair;
use sccm_tests::traffic::Outcome;

/// Nothing of an agent is left, and it shows.
#[track_caller]
fn assert_gone(hosts: &Hosts) -> Result<()> {
    hosts.assert_untouched()?;
    assert_eq!(hosts.status()?.code, Some(3));
    hosts.assert_tcp(&[FORBIDDEN], Outcome::Connected);
    Ok(())
}

#[test]
fn signals_detach() -> Result<()> {
    let (hosts, _servers) = Hosts::with_servers()?;
    // Several times, because a detachment that is not finished when the agent ends would be in
    // the way of the next one only sometimes.
    for signal in [Signal::SIGTERM, Signal::SIGINT].repeat(3) {
        let agent = hosts.enforce(POINT)?;
        assert!(hosts.is_hooked("eth0")?);
        let finished = agent.end(signal)?;
        assert_eq!(finished.code, Some(0), "{signal}: {finished:?}");
        assert_gone(&hosts)?;
    }
    Ok(())
}

#[test]
fn on_exit_keep_keeps_until_detach() -> Result<()> {
    let (hosts, _servers) = Hosts::with_servers()?;
    let agent = hosts.enforce(&format!("{POINT} --on-exit keep"))?;
    assert_eq!(agent.end(Signal::SIGTERM)?.code, Some(0));
    hosts.assert_enforced();
    assert_eq!(hosts.status()?.code, Some(0));

    let finished = hosts.run("detach")?;
    assert_eq!(finished.code, Some(0), "{finished:?}");
    assert_gone(&hosts)?;

    let finished = hosts.run("detach")?;
    assert_eq!(finished.code, Some(0), "{finished:?}");
    assert!(finished.stdout.contains("nothing is attached"));
    Ok(())
}

/// A folder among the maps is no pin, and cannot be removed as one.
#[test]
fn detach_that_fails_after_it_detached_is_no_refusal() -> Result<()> {
    let (hosts, _servers) = Hosts::with_servers()?;
    hosts.enforce(POINT)?.end(Signal::SIGKILL)?;
    let folder = hosts.pins().join("maps/stray");
    std::fs::create_dir(&folder)?;
    let failed = hosts.run("detach")?;
    assert_eq!(failed.code, Some(1), "{failed:?}");
    for part in ["something may have changed", "maps/stray"] {
        assert!(failed.stderr.contains(part), "{failed:?}");
    }
    assert!(!hosts.is_hooked("eth0")?);

    std::fs::remove_dir(&folder)?;
    assert_eq!(hosts.run("detach")?.code, Some(0));
    assert_gone(&hosts)
}

/// What was done before is not undone because nobody can be told.
#[test]
fn output_that_fails_after_a_change_is_no_refusal() -> Result<()> {
    let (hosts, _servers) = Hosts::with_servers()?;
    let full = || std::fs::OpenOptions::new().write(true).open("/dev/full");
    let code = |arguments: &str| -> Result<Option<i32>> {
        let status = hosts.command(arguments)?.stdout(full()?).status()?;
        Ok(status.code())
    };
    let agent = hosts.enforce(POINT)?;
    // Refused before anything is printed.
    assert_eq!(code("detach")?, Some(2));
    agent.end(Signal::SIGKILL)?;
    // The head of the file is all that fits nowhere.
    assert_eq!(code("capture --dropped -w -")?, Some(1));
    // Reads only.
    assert_eq!(code("status")?, Some(2));
    assert_eq!(code("detach")?, Some(1));
    assert_gone(&hosts)
}

#[test]
fn detach_leaves_room_for_the_next_agent_at_once() -> Result<()> {
    let (hosts, _servers) = Hosts::with_servers()?;
    for _ in 0..3 {
        hosts.enforce(POINT)?.end(Signal::SIGKILL)?;
        assert_eq!(hosts.run("detach")?.code, Some(0));
        assert!(!hosts.is_hooked("eth0")?, "no program on the card");
    }
    Ok(())
}

/// The loopback interface has no driver that could run a program natively.
#[test]
fn a_failing_second_interface_takes_the_first_back() -> Result<()> {
    let (hosts, _servers) = Hosts::with_servers()?;
    hosts
        .run(&format!("enforce {POINT} --interface lo"))?
        .assert_refused(&[
            "lo",
            "native",
            "the driver says \"Underlying driver does not support XDP in native mode\"",
            "--hook tc",
        ]);
    assert_gone(&hosts)
}

/// A card with fewer receive queues than its other end has transmit queues.
#[test]
fn a_driver_that_refuses_is_quoted_with_what_mends_it() -> Result<()> {
    let (hosts, _servers) = Hosts::with_servers()?;
    hosts.point.ip(&format!(
        "link add name eth1 numtxqueues 1 numrxqueues 1 type veth peer name eth1 numtxqueues 4 \
         numrxqueues 4 netns {}",
        hosts.client.name()
    ))?;
    for host in [&hosts.client, &hosts.point] {
        host.ip("link set dev eth1 up")?;
    }
    hosts
        .run(&format!("enforce {POINT} --interface eth1"))?
        .assert_refused(&[
            "attaching to eth1 in native mode: No space left on device",
            "XDP expects number of rx queues not less than peer tx queues\": give it as many",
            "`ethtool -L eth1 rx N`",
            "`--hook tc`",
        ]);
    assert_gone(&hosts)?;
    // The question leaves nothing behind.
    assert!(!hosts.is_hooked("eth1")?);
    let _agent = hosts.enforce(&format!("{POINT} --interface eth1 --hook tc"))?;
    assert_eq!(hosts.status()?.of("eth1"), ("enforcing", "tc"));
    Ok(())
}

#[test]
fn a_failing_interface_leaves_the_others_and_the_policy_as_they_were() -> Result<()> {
    let (hosts, _servers) = Hosts::with_servers()?;
    veth_pair(&hosts.client, "eth1", &hosts.point, "eth1")?;
    hosts.enforce(POINT)?.end(Signal::SIGKILL)?;
    let before = hosts.status()?;
    // With the program's id.
    let card = hosts.point.ip("link show dev eth0")?;

    hosts
        .run(&format!(
            "enforce {POINT} --interface eth1 --interface lo --allow tcp/{FORBIDDEN}"
        ))?
        .assert_refused(&["lo", "native"]);
    assert_eq!(hosts.status()?, before);
    assert_eq!(hosts.point.ip("link show dev eth0")?, card);
    assert!(!hosts.is_hooked("eth1")?, "a program on a new interface");
    hosts.assert_enforced();

    // And the next one that succeeds is a later generation.
    let _agent = hosts.enforce(&format!("{POINT} --allow tcp/{FORBIDDEN}"))?;
    assert!(hosts.status()?.generation() > before.generation());
    Ok(())
}

#[test]
fn a_start_that_was_never_finished_is_taken_back() -> Result<()> {
    let (hosts, _servers) = Hosts::with_servers()?;
    hosts.enforce(POINT)?.end(Signal::SIGKILL)?;
    // The version is written last.
    hosts.set_layout_version(0)?;
    let _agent = hosts.enforce(POINT)?;
    hosts.assert_enforced();
    let status = hosts.status()?;
    assert_eq!((status.code, status.generation()), (Some(0), 1));
    Ok(())
}

#[test]
fn generic_mode_works_and_is_named() -> Result<()> {
    let (hosts, _servers) = Hosts::with_servers()?;
    let agent = hosts.enforce(&format!("{POINT} --hook xdp-generic"))?;
    hosts.assert_enforced();
    let status = hosts.status()?;
    assert_eq!(status.of("eth0"), ("generic", "generic"));
    assert_eq!(status.code, Some(4));
    let generic = [("interface", "eth0"), ("mode", "generic")];
    assert_eq!(agent.metrics()?.sum("sccm_enforcing", &generic), 1.0);
    Ok(())
}

#[test]
fn scrapes_and_changes_at_once_do_not_end_enforcement() -> Result<()> {
    let (hosts, _servers) = Hosts::with_servers()?;
    let agent = hosts.enforce(POINT)?;
    hosts.point.ip("link add other type bridge")?;
    std::thread::scope(|scope| -> Result<()> {
        let scrapes: Vec<_> = (0..4)
            .map(|_| scope.spawn(|| (0..50).try_for_each(|_| agent.metrics().map(drop))))
            .collect();
        for state in ["up", "down"].repeat(50) {
            hosts.point.ip(&format!("link set dev other {state}"))?;
        }
        scrapes
            .into_iter()
            .try_for_each(|scrape| scrape.join().expect("a scrape does not panic"))
    })?;
    hosts.assert_enforced();
    assert!(hosts.is_hooked("eth0")?, "{}", agent.log()?);
    Ok(())
}
