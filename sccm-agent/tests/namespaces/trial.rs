//! Policies on trial: confirmed in time, too late, or by nobody because the agent died.

use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use nix::sys::signal::Signal;
use sccm_tests::agent::{
    ALLOWED, Agent, FORBIDDEN, Hosts, LONG, PolicyFile, Status, Witness, command,
};
use sccm_tests::gateway::{Stage, Topology};
use sccm_tests::traffic::Outcome;

/// Opens [`FORBIDDEN`].
const OPEN: &[&str] = &["tcp/21"];

fn confirm_by(status: &Status) -> Option<u64> {
    status.json["policy"]["confirm_by"].as_u64()
}

/// Waits until this is the active generation.
fn await_generation(hosts: &Hosts, generation: u64) -> Result<()> {
    let end = Instant::now() + LONG;
    while hosts.status()?.generation() != generation {
        ensure!(Instant::now() < end, "generation {generation} never comes");
        sleep(Duration::from_millis(50));
    }
    Ok(())
}

#[track_caller]
fn assert_ok(hosts: &Hosts, command: &str, says: &str) -> Result<()> {
    let finished = hosts.run(command)?;
    assert_eq!(finished.code, Some(0), "{finished:?}");
    assert!(finished.stdout.starts_with(says), "{says}: {finished:?}");
    Ok(())
}

/// A start that took back what nobody confirmed, and then met a bad policy file, is no refusal.
#[track_caller]
fn assert_fails_with_a_change(hosts: &Hosts, command: &str) -> Result<()> {
    let failed = hosts.run(command)?;
    assert_eq!(failed.code, Some(1), "{failed:?}");
    for part in ["something may have changed", "policy.toml"] {
        assert!(failed.stderr.contains(part), "{part}: {failed:?}");
    }
    Ok(())
}

/// An agent with generation 1, closed, confirmed, and the file open.
fn stage() -> Result<(Hosts, Vec<sccm_tests::traffic::Server>, PolicyFile)> {
    let (hosts, servers) = Hosts::with_servers()?;
    Ok((hosts, servers, PolicyFile::allowing(&[])?))
}

/// Publishes a policy that opens a port, on trial for so long.
#[track_caller]
fn open_for(hosts: &Hosts, policy: &PolicyFile, time: &str) -> Result<()> {
    policy.allow(OPEN)?;
    let reload = format!("reload --confirm-within {time}");
    assert_ok(hosts, &reload, "published: generation 2")
}

#[test]
fn who_confirms_too_late_finds_the_policy_before() -> Result<()> {
    let (hosts, _servers, policy) = stage()?;
    let agent = hosts.enforce(&policy.arguments())?;
    let before = hosts.status()?;
    assert_eq!(confirm_by(&before), None);
    let witness = Witness::start(&hosts)?;
    open_for(&hosts, &policy, "2s")?;
    let trial = hosts.status()?;
    assert_eq!((trial.code, trial.generation()), (Some(0), 2));
    assert!(confirm_by(&trial) > trial.json["policy"]["published"].as_u64());
    assert_eq!(agent.metrics()?.sum("sccm_policy_unconfirmed", &[]), 1.0);
    let table = hosts.run("status")?.stdout;
    assert!(table.contains("sccm-agent confirm"), "{table}");

    await_generation(&hosts, 1)?;
    assert_eq!(hosts.status()?, before);
    hosts.assert_enforced();
    hosts
        .run("confirm")?
        .assert_refused(&["nothing waits to be confirmed"]);
    assert_eq!(agent.metrics()?.sum("sccm_policy_unconfirmed", &[]), 0.0);
    witness.finish()?.assert_no_gap();

    // The number is not given twice.
    assert_ok(&hosts, "reload", "published: generation 3")?;
    hosts.assert_tcp(&[ALLOWED, FORBIDDEN], Outcome::Connected);
    Ok(())
}

#[test]
fn what_is_confirmed_stays_and_can_be_rolled_back() -> Result<()> {
    let (hosts, _servers, policy) = stage()?;
    let _agent = hosts.enforce(&policy.arguments())?;
    open_for(&hosts, &policy, "4s")?;
    assert_ok(&hosts, "confirm", "confirmed: generation 2")?;
    assert_eq!(confirm_by(&hosts.status()?), None);
    sleep(Duration::from_secs(5));
    hosts.assert_tcp(&[ALLOWED, FORBIDDEN], Outcome::Connected);
    assert_eq!(hosts.status()?.generation(), 2);

    assert_ok(&hosts, "rollback", "rolled back: generation 3")?;
    hosts.assert_enforced();
    assert_ok(&hosts, "rollback", "rolled back: generation 4")?;
    hosts.assert_tcp(&[ALLOWED, FORBIDDEN], Outcome::Connected);
    Ok(())
}

#[test]
fn a_trial_is_ended_by_rollback_and_disturbed_by_nothing_else() -> Result<()> {
    let (hosts, _servers, policy) = stage()?;
    let agent = hosts.enforce(&policy.arguments())?;
    let before = hosts.status()?;
    open_for(&hosts, &policy, "1h")?;
    let trial = hosts.status()?;

    policy.allow(&["tcp/22"])?;
    let finished = hosts.run("reload")?;
    finished.assert_refused(&["generation 2 still waits", "sccm-agent confirm"]);
    assert_eq!(hosts.status()?, trial);

    assert_ok(&hosts, "rollback", "rolled back: generation 1")?;
    assert_eq!(hosts.status()?, before);
    hosts.assert_enforced();
    assert_eq!(agent.end(Signal::SIGTERM)?.code, Some(0));
    hosts.assert_untouched()
}

#[test]
fn an_agent_that_died_in_the_wait_is_followed_by_the_confirmed_policy() -> Result<()> {
    let (hosts, _servers, policy) = stage()?;
    let agent = hosts.enforce(&policy.arguments())?;
    let before = hosts.status()?;
    let witness = Witness::start(&hosts)?;
    open_for(&hosts, &policy, "1s")?;
    agent.end(Signal::SIGKILL)?;
    sleep(Duration::from_secs(2));
    let table = hosts.run("status")?.stdout;
    assert!(table.contains("without an agent"), "{table}");

    // The way back comes before everything that may go wrong.
    policy.write("]")?;
    let line = format!("enforce {}", policy.arguments());
    assert_fails_with_a_change(&hosts, &line)?;
    assert_eq!(hosts.status()?, before);
    hosts.assert_enforced();

    // What was taken back stays so, however often agents come and go.
    policy.allow(OPEN)?;
    for _ in 0..2 {
        let agent = hosts.enforce(&policy.arguments())?;
        let log = agent.log()?;
        assert!(log.contains("rolled back before"), "{log}");
        assert_eq!(hosts.status()?, before);
        let successful = "sccm_policy_last_reload_successful";
        assert_eq!(agent.metrics()?.sum(successful, &[]), 0.0);
        agent.end(Signal::SIGKILL)?;
    }
    hosts.assert_enforced();
    // Until somebody asks for it,
    let agent = hosts.enforce(&policy.arguments())?;
    assert_ok(&hosts, "reload", "published: generation 3")?;
    hosts.assert_tcp(&[ALLOWED, FORBIDDEN], Outcome::Connected);
    agent.end(Signal::SIGKILL)?;
    let _agent = hosts.enforce(&policy.arguments())?;
    hosts.assert_tcp(&[ALLOWED, FORBIDDEN], Outcome::Connected);
    witness.finish()?.assert_no_gap();
    Ok(())
}

#[test]
fn another_policy_than_the_one_taken_back_is_published() -> Result<()> {
    let (hosts, _servers, policy) = stage()?;
    let agent = hosts.enforce(&policy.arguments())?;
    policy.allow(&["tcp/22"])?;
    assert_ok(
        &hosts,
        "reload --confirm-within 1h",
        "published: generation 2",
    )?;
    agent.end(Signal::SIGKILL)?;
    policy.allow(OPEN)?;
    let _agent = hosts.enforce(&policy.arguments())?;
    hosts.assert_tcp(&[ALLOWED, FORBIDDEN], Outcome::Connected);
    assert_eq!(hosts.status()?.generation(), 3);
    Ok(())
}

#[test]
fn a_rolled_back_policy_does_not_come_back_with_the_next_agent() -> Result<()> {
    let (hosts, _servers, policy) = stage()?;
    let agent = hosts.enforce(&policy.arguments())?;
    policy.allow(OPEN)?;
    assert_ok(&hosts, "reload", "published: generation 2")?;
    assert_ok(&hosts, "rollback", "rolled back: generation 3")?;
    agent.end(Signal::SIGKILL)?;
    let _agent = hosts.enforce(&policy.arguments())?;
    hosts.assert_enforced();
    assert_eq!(hosts.status()?.generation(), 3);
    Ok(())
}

#[test]
fn a_first_policy_that_nobody_confirms_is_let_go_of() -> Result<()> {
    let (hosts, _servers, policy) = stage()?;
    let line = format!("{} --on-exit keep --confirm-within", policy.arguments());
    let agent = hosts.enforce(&format!("{line} 3s"))?;
    hosts.assert_enforced();
    hosts
        .run("rollback")?
        .assert_refused(&["no policy was confirmed before"]);
    let finished = agent.wait()?;
    assert_eq!(finished.code, Some(1), "{finished:?}");
    assert!(finished.stderr.contains("nobody confirmed"), "{finished:?}");
    hosts.assert_untouched()?;
    hosts.assert_tcp(&[FORBIDDEN], Outcome::Connected);

    // Nor is it left behind by an agent that is told to end,
    let agent = hosts.enforce(&format!("{line} 1h"))?;
    assert_eq!(agent.end(Signal::SIGTERM)?.code, Some(0));
    hosts.assert_untouched()?;

    // unless it was confirmed.
    let agent = hosts.enforce(&format!("{line} 1h"))?;
    assert_ok(&hosts, "confirm", "confirmed: generation 1")?;
    assert_eq!(agent.end(Signal::SIGTERM)?.code, Some(0));
    hosts.assert_enforced();
    // The same policy needs no second confirmation.
    let _agent = hosts.enforce(&format!("{line} 1h"))?;
    assert_eq!(confirm_by(&hosts.status()?), None);
    Ok(())
}

#[test]
fn an_agent_that_died_in_the_first_wait_leaves_nothing_to_the_next() -> Result<()> {
    let (hosts, _servers, policy) = stage()?;
    let line = format!("{} --confirm-within 1h", policy.arguments());
    hosts.enforce(&line)?.end(Signal::SIGKILL)?;
    hosts.assert_enforced();
    policy.write("]")?;
    assert_fails_with_a_change(&hosts, &format!("enforce {line}"))?;
    hosts.assert_tcp(&[FORBIDDEN], Outcome::Connected);
    assert_eq!(hosts.status()?.code, Some(3));

    policy.allow(&[])?;
    let agent = hosts.enforce(&line)?;
    hosts.assert_enforced();
    agent.end(Signal::SIGKILL)?;
    let _agent = hosts.enforce(&line)?;
    hosts.assert_enforced();
    let status = hosts.status()?;
    assert_eq!(status.generation(), 1);
    assert!(confirm_by(&status).is_some());
    Ok(())
}

#[test]
fn an_agent_that_ends_in_the_wait_keeps_the_confirmed_policy() -> Result<()> {
    let (hosts, _servers, policy) = stage()?;
    let agent = hosts.enforce(&format!("{} --on-exit keep", policy.arguments()))?;
    let before = hosts.status()?;
    open_for(&hosts, &policy, "1h")?;
    assert_eq!(agent.end(Signal::SIGTERM)?.code, Some(0));
    assert_eq!(hosts.status()?, before);
    hosts.assert_enforced();
    Ok(())
}

#[test]
fn new_addresses_of_a_gateway_wait_for_the_end_of_a_trial() -> Result<()> {
    let stage = Stage::new(Topology::Routed)?;
    let policy = PolicyFile::allowing(&[])?;
    let gateway = stage.gateway();
    let line = format!(
        "enforce --config {} --uplink up0 --segment seg0",
        policy.path().display()
    );
    let agent = Agent::start(gateway, command(gateway, &line, &stage.pins())?)?;
    let run = |arguments: &str| -> Result<String> {
        let command = command(gateway, arguments, &stage.pins())?;
        let finished = sccm_tests::agent::run(command)?;
        ensure!(finished.code == Some(0), "{arguments}: {finished:?}");
        Ok(finished.stdout)
    };
    let generation = || -> Result<f64> { Ok(agent.metrics()?.sum("sccm_policy_generation", &[])) };
    policy.manage(&["tcp/22"])?;
    run("reload --confirm-within 1h")?;
    assert_eq!(generation()?, 2.0);
    gateway.interface("up0").address("203.0.113.1/24")?;
    sleep(Duration::from_millis(500));
    assert_eq!(generation()?, 2.0);
    run("confirm")?;
    agent.metrics_when(|metrics| metrics.sum("sccm_policy_generation", &[]) == 3.0)?;

    // And rolled back is the policy as it was written, for the addresses of now.
    run("rollback")?;
    assert_eq!(generation()?, 4.0);
    gateway.interface("up0").address("203.0.113.2/24")?;
    agent.metrics_when(|metrics| metrics.sum("sccm_policy_generation", &[]) == 5.0)?;
    Ok(())
}

/// Whoever was faster, such as somebody with a right to reload, must not make a trial of it that is
/// none: then nobody would take back what cuts the operator off.
#[test]
fn a_reload_that_was_to_be_on_trial_and_is_not_says_so() -> Result<()> {
    let (hosts, _servers, policy) = stage()?;
    let _agent = hosts.enforce(&policy.arguments())?;
    policy.allow(OPEN)?;
    assert_ok(&hosts, "reload", "published: generation 2")?;
    let before = hosts.status()?;
    let finished = hosts.run("reload --confirm-within 2s")?;
    finished.assert_refused(&["nothing is on trial", "generation 2", "sccm-agent rollback"]);
    policy.propose(OPEN)?;
    assert_ok(&hosts, "reload --shadow", "shadowed")?;
    let finished = hosts.run("promote --confirm-within 2s")?;
    finished.assert_refused(&["nothing is on trial"]);
    assert_ok(&hosts, "reload --no-shadow", "shadow ended")?;
    assert_eq!(hosts.status()?, before);
    Ok(())
}
