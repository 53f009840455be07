//! What was decided about policies outlives the agent and the machine.

mod drift;
mod random;

use std::fs;
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use nix::sys::signal::Signal;
use sccm_tests::agent::{ALLOWED, Agent, FORBIDDEN, Hosts, LONG, POINT, PolicyFile, Witness};
use sccm_tests::bpffs::state_dir;
use sccm_tests::traffic::{Outcome, Server};

/// Opens [`FORBIDDEN`].
const OPEN: &[&str] = &["tcp/21"];

struct Stage {
    hosts: Hosts,
    _servers: Vec<Server>,
    policy: PolicyFile,
}

impl Stage {
    /// With a policy file that is closed.
    fn new() -> Result<Self> {
        let (hosts, servers) = Hosts::with_servers()?;
        Ok(Self {
            hosts,
            _servers: servers,
            policy: PolicyFile::allowing(&[])?,
        })
    }

    fn start(&self) -> Result<Agent<'_>> {
        self.hosts.enforce(&self.policy.arguments())
    }

    #[track_caller]
    fn done(&self, command: &str, says: &str) -> Result<()> {
        let finished = self.hosts.run(command)?;
        assert_eq!(finished.code, Some(0), "{finished:?}");
        assert!(finished.stdout.starts_with(says), "{says}: {finished:?}");
        Ok(())
    }

    /// The file is open from now on, and the agent has read it.
    #[track_caller]
    fn open(&self, command: &str) -> Result<()> {
        self.policy.allow(OPEN)?;
        self.done(command, "published")?;
        self.assert_open();
        Ok(())
    }

    #[track_caller]
    fn assert_open(&self) {
        self.hosts
            .assert_tcp(&[ALLOWED, FORBIDDEN], Outcome::Connected);
    }

    /// As power does that fails: nobody is told, and what is pinned is gone.
    fn crash(&self, agent: Agent) -> Result<()> {
        agent.end(Signal::SIGKILL)?;
        self.done("detach", "")
    }

    /// A start that is closed although the file is open, and says why.
    #[track_caller]
    fn starts_closed(&self, why: &str) -> Result<Agent<'_>> {
        let agent = self.start()?;
        self.hosts.assert_enforced();
        let log = agent.log()?;
        assert!(
            log.contains("not the policy that this agent was started with"),
            "{log}"
        );
        assert!(log.contains(why), "{why}: {log}");
        let successful = "sccm_policy_last_reload_successful";
        assert_eq!(agent.metrics()?.sum(successful, &[]), 0.0);
        Ok(agent)
    }
}

#[test]
fn a_trial_ends_with_its_agent_and_is_not_confirmed_by_the_next() -> Result<()> {
    let stage = Stage::new()?;
    let agent = stage.start()?;
    stage.open("reload --confirm-within 1h")?;
    assert_eq!(agent.end(Signal::SIGTERM)?.code, Some(0));
    stage.hosts.assert_untouched()?;
    let agent = stage.starts_closed("rolled back before")?;
    assert_eq!(agent.end(Signal::SIGTERM)?.code, Some(0));
    // However often agents come and go, until somebody asks for it.
    let agent = stage.starts_closed("rolled back before")?;
    stage.open("reload")?;
    assert_eq!(agent.end(Signal::SIGTERM)?.code, Some(0));
    let _agent = stage.start()?;
    stage.assert_open();
    Ok(())
}

#[test]
fn a_reboot_ends_a_trial_too() -> Result<()> {
    let stage = Stage::new()?;
    let agent = stage.start()?;
    stage.open("reload --confirm-within 1h")?;
    stage.crash(agent)?;
    let agent = stage.starts_closed("rolled back before")?;
    // A file that a person has changed since is a decision.
    stage.crash(agent)?;
    stage.policy.allow(&["tcp/21", "tcp/22"])?;
    let _agent = stage.start()?;
    stage.assert_open();
    Ok(())
}

#[test]
fn a_trial_goes_on_after_its_agent_was_killed() -> Result<()> {
    let stage = Stage::new()?;
    let agent = stage.start()?;
    // On a busy machine the next start takes seconds.
    stage.open("reload --confirm-within 10s")?;
    let began = Instant::now();
    let witness = Witness::start(&stage.hosts)?;
    agent.end(Signal::SIGKILL)?;
    let agent = stage.start()?;
    stage.assert_open();
    assert!(agent.log()?.contains("sccm-agent confirm"));
    while stage.hosts.status()?.generation() != 1 {
        ensure!(began.elapsed() < LONG, "nobody takes it back");
        sleep(Duration::from_millis(50));
    }
    assert!(began.elapsed() > Duration::from_secs(8));
    stage.hosts.assert_enforced();

    // And what is confirmed after a start is confirmed.
    stage.open("reload --confirm-within 1h")?;
    agent.end(Signal::SIGKILL)?;
    let agent = stage.start()?;
    stage.done("confirm", "confirmed: generation 3")?;
    assert_eq!(agent.end(Signal::SIGTERM)?.code, Some(0));
    witness.finish()?;
    let _agent = stage.start()?;
    stage.assert_open();
    stage.done("rollback", "rolled back")?;
    stage.hosts.assert_enforced();
    Ok(())
}

#[test]
fn a_rollback_survives_restart_and_reboot() -> Result<()> {
    let stage = Stage::new()?;
    let agent = stage.start()?;
    stage.open("reload")?;
    stage.done("rollback", "rolled back")?;
    stage.hosts.assert_enforced();
    assert_eq!(agent.end(Signal::SIGTERM)?.code, Some(0));
    let agent = stage.starts_closed("rolled back before")?;
    stage.crash(agent)?;
    // Not only the last one is remembered.
    stage.policy.allow(&["tcp/22"])?;
    let agent = stage.start()?;
    stage.policy.allow(&["tcp/23"])?;
    stage.done("reload", "published")?;
    stage.done("rollback", "rolled back")?;
    stage.policy.allow(OPEN)?;
    stage.crash(agent)?;
    let _agent = stage.starts_closed("rolled back before")?;
    Ok(())
}

#[test]
fn rollback_knows_after_a_restart_what_was_before() -> Result<()> {
    let stage = Stage::new()?;
    let agent = stage.start()?;
    stage.open("reload")?;
    assert_eq!(agent.end(Signal::SIGTERM)?.code, Some(0));
    let agent = stage.start()?;
    stage.assert_open();
    stage.done("rollback", "rolled back")?;
    stage.hosts.assert_enforced();
    // And so it does of a start that brought another file.
    stage.crash(agent)?;
    stage.policy.allow(&["tcp/21", "tcp/22"])?;
    let _agent = stage.start()?;
    stage.assert_open();
    stage.done("rollback", "rolled back")?;
    stage.hosts.assert_enforced();
    Ok(())
}

#[test]
fn what_was_promoted_is_enforced_until_somebody_changes_the_file() -> Result<()> {
    let stage = Stage::new()?;
    stage.policy.allow(OPEN)?;
    let agent = stage.start()?;
    stage.policy.propose(&[])?;
    stage.done("reload --shadow", "shadowed")?;
    stage.done("promote", "promoted")?;
    assert_eq!(agent.end(Signal::SIGTERM)?.code, Some(0));
    let agent = stage.starts_closed("another policy was confirmed")?;
    assert_eq!(agent.end(Signal::SIGTERM)?.code, Some(0));
    let agent = stage.starts_closed("another policy was confirmed")?;
    stage.crash(agent)?;
    stage.policy.allow(&["tcp/21", "tcp/22"])?;
    let _agent = stage.start()?;
    stage.assert_open();
    Ok(())
}

#[test]
fn a_reboot_with_a_broken_policy_file_leaves_nothing_unfiltered() -> Result<()> {
    let stage = Stage::new()?;
    let agent = stage.start()?;
    // As long as something is enforced, a mistake is refused.
    agent.end(Signal::SIGKILL)?;
    stage.policy.write("roles = [\n")?;
    let refused = |arguments: &str| -> Result<()> {
        let finished = stage.hosts.run(&format!("enforce {arguments}"))?;
        assert_eq!(finished.code, Some(2), "{finished:?}");
        Ok(())
    };
    refused(&stage.policy.arguments())?;
    stage.hosts.assert_enforced();

    stage.done("detach", "")?;
    let other = PolicyFile::allowing(&[])?;
    other.write("roles = [\n")?;
    refused(&other.arguments())?;
    let agent = stage.start()?;
    stage.hosts.assert_enforced();
    let log = agent.log()?;
    assert!(
        log.contains("the last confirmed policy is enforced instead"),
        "{log}"
    );
    let successful = "sccm_policy_last_reload_successful";
    assert_eq!(agent.metrics()?.sum(successful, &[]), 0.0);
    stage.open("reload")
}

#[test]
fn a_damaged_file_of_decisions_leaves_nothing_unfiltered() -> Result<()> {
    let stage = Stage::new()?;
    let agent = stage.start()?;
    stage.crash(agent)?;
    let folder = state_dir(&stage.hosts.pins());
    let files: Vec<_> = fs::read_dir(&folder)?.collect::<Result<_, _>>()?;
    assert_eq!(files.len(), 1, "{files:?}");
    fs::write(files[0].path(), "{}")?;
    let agent = stage.start()?;
    stage.hosts.assert_enforced();
    let log = agent.log()?;
    for part in ["is damaged", "enforces the policy file", ".unread"] {
        assert!(log.contains(part), "{part}: {log}");
    }
    // From here on decisions are kept again.
    stage.open("reload --confirm-within 1h")?;
    stage.crash(agent)?;
    let _agent = stage.starts_closed("rolled back before")?;
    Ok(())
}

#[test]
fn where_no_decision_can_be_kept_the_agent_enforces_and_says_so() -> Result<()> {
    let hosts = Hosts::new()?;
    let folder = state_dir(&hosts.pins());
    // Not even root makes a directory of a file.
    fs::write(&folder, "")?;
    let agent = hosts.enforce(POINT)?;
    let log = agent.log()?;
    assert!(log.contains("the decision was not saved"), "{log}");
    agent.end(Signal::SIGTERM)?;
    fs::remove_file(folder)?;
    let agent = hosts.enforce(&format!("{POINT} --observe"))?;
    agent.end(Signal::SIGTERM)?;
    assert!(
        !state_dir(&hosts.pins()).exists(),
        "observing decides nothing"
    );
    Ok(())
}
