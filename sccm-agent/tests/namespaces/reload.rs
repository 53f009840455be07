//! A policy that is changed while the agent runs: by command, by signal, over HTTP.

use anyhow::Result;
use nix::sys::signal::Signal;
use sccm_tests::agent::{
    ALLOWED, Agent, FORBIDDEN, Finished, Hosts, POINT, PolicyFile, Status, Witness,
};
use sccm_tests::traffic::Outcome;

/// Opens [`FORBIDDEN`].
const OPEN: &[&str] = &["tcp/21"];

/// What is no policy, and what its refusal says.
const BROKEN: [(&str, &str); 4] = [
    ("]", "policy.toml"),
    ("[[protect]]\nname = \"p\"\nroles = [\"clint\"]\n", "clint"),
    ("[[protect]]\nname = \"p\"\nrolls = []\n", "rolls"),
    ("\0", "policy.toml"),
];

const SUCCESSFUL: &str = "sccm_policy_last_reload_successful";
const SUCCEEDED: &str = "sccm_policy_last_reload_success_timestamp_seconds";

/// Asserts that a command has done what it says, in one line.
#[track_caller]
fn assert_done(finished: &Finished, what: &str) {
    assert_eq!(finished.code, Some(0), "{finished:?}");
    assert!(finished.stdout.starts_with(what), "{what}: {finished:?}");
    assert_eq!(finished.stdout.lines().count(), 1, "{finished:?}");
    assert_eq!(finished.stderr, "", "{finished:?}");
}

fn hash(status: &Status) -> &str {
    status.json["policy"]["hash"].as_str().unwrap_or("-")
}

/// Waits until the agent has logged this.
fn await_log(agent: &Agent, text: &str) -> Result<()> {
    for _ in 0..1000 {
        if agent.log()?.contains(text) {
            return Ok(());
        }
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    anyhow::bail!("no {text:?} in {}", agent.log()?)
}

#[test]
fn reload_changes_what_passes_and_back_without_a_gap() -> Result<()> {
    let (hosts, _servers) = Hosts::with_servers()?;
    let policy = PolicyFile::allowing(&[])?;
    let agent = hosts.enforce(&policy.arguments())?;
    let before = hosts.status()?;
    let witness = Witness::start(&hosts)?;
    hosts.assert_enforced();
    let tcp_21 = |service| [("direction", "inbound"), ("service", service)];
    let metrics = agent.metrics()?;
    assert!(metrics.dropped(&[("service", "none"), ("protocol", "tcp")]) > 0);
    assert_eq!(metrics.passed(&tcp_21("tcp/21")), 0);

    policy.allow(OPEN)?;
    assert_done(&hosts.run("reload")?, "published: generation 2, ");
    hosts.assert_tcp(&[ALLOWED, FORBIDDEN], Outcome::Connected);
    let metrics = agent.metrics()?;
    let rule = [("rule", "tcp-21"), ("reason", "a test")];
    assert_eq!(metrics.sum("sccm_policy_rule_info", &rule), 1.0);
    assert!(metrics.passed(&tcp_21("tcp/21")) > 0);
    assert_eq!(metrics.dropped(&tcp_21("tcp/21")), 0);
    let changed = hosts.status()?;
    assert_eq!((changed.code, changed.generation()), (Some(0), 2));
    assert_ne!(hash(&changed), hash(&before));

    policy.allow(&[])?;
    assert_done(&hosts.run("reload")?, "published: generation 3, ");
    hosts.assert_enforced();
    assert!(agent.metrics()?.dropped(&tcp_21("none")) > 0);
    witness.look()?;
    witness.finish()?.assert_no_gap();
    assert_eq!(agent.metrics()?.sum(SUCCESSFUL, &[]), 1.0);
    Ok(())
}

#[test]
fn a_broken_file_leaves_everything_as_it_was() -> Result<()> {
    let (hosts, _servers) = Hosts::with_servers()?;
    let policy = PolicyFile::allowing(OPEN)?;
    let agent = hosts.enforce(&policy.arguments())?;
    let before = hosts.status()?;
    let succeeded = agent.metrics()?.sum(SUCCEEDED, &[]);
    assert!(succeeded > 0.0);
    assert_eq!(agent.metrics()?.sum(SUCCESSFUL, &[]), 1.0);

    for (text, named) in BROKEN {
        policy.write(text)?;
        hosts.run("reload")?.assert_refused(&[named]);
        assert_eq!(hosts.status()?, before, "{text:?}");
        let metrics = agent.metrics()?;
        assert_eq!(metrics.sum(SUCCESSFUL, &[]), 0.0, "{text:?}");
        assert_eq!(metrics.sum(SUCCEEDED, &[]), succeeded, "{text:?}");
    }
    std::fs::remove_file(policy.path())?;
    hosts.run("reload")?.assert_refused(&["policy.toml"]);
    assert_eq!(hosts.status()?, before);
    hosts.assert_tcp(&[ALLOWED, FORBIDDEN], Outcome::Connected);

    policy.allow(OPEN)?;
    assert_done(&hosts.run("reload")?, "unchanged: generation 1, ");
    assert_eq!(hosts.status()?, before);
    let metrics = agent.metrics()?;
    assert_eq!(metrics.sum(SUCCESSFUL, &[]), 1.0);
    assert!(metrics.sum(SUCCEEDED, &[]) >= succeeded);
    Ok(())
}

#[test]
fn sighup_reloads() -> Result<()> {
    let (hosts, _servers) = Hosts::with_servers()?;
    let policy = PolicyFile::allowing(&[])?;
    let agent = hosts.enforce(&policy.arguments())?;
    policy.allow(OPEN)?;
    agent.signal(Signal::SIGHUP)?;
    await_log(&agent, "SIGHUP: published: generation 2")?;
    hosts.assert_tcp(&[ALLOWED, FORBIDDEN], Outcome::Connected);

    let before = hosts.status()?;
    policy.write(BROKEN[1].0)?;
    agent.signal(Signal::SIGHUP)?;
    await_log(&agent, "SIGHUP: the policy stays: ")?;
    assert_eq!(hosts.status()?, before);
    assert_eq!(agent.metrics()?.sum(SUCCESSFUL, &[]), 0.0);
    Ok(())
}

#[test]
fn a_post_reloads_nothing_unless_it_was_enabled() -> Result<()> {
    let (hosts, _servers) = Hosts::with_servers()?;
    let policy = PolicyFile::allowing(&[])?;
    let agent = hosts.enforce(&policy.arguments())?;
    policy.allow(OPEN)?;
    let (code, text) = agent.post("/-/reload")?;
    assert_eq!(code, 403, "{text}");
    assert!(text.contains("--enable-reload"), "{text}");
    hosts.assert_enforced();
    Ok(())
}

#[test]
fn what_cannot_be_reloaded_says_what_to_do() -> Result<()> {
    let hosts = Hosts::new()?;
    for command in ["reload", "confirm", "rollback"] {
        let finished = hosts.run(command)?;
        finished.assert_refused(&["no sccm-agent listens on", "--pin-dir"]);
    }
    let agent = hosts.enforce(POINT)?;
    hosts.run("reload")?.assert_refused(&["--config"]);
    hosts
        .run("confirm")?
        .assert_refused(&["nothing waits to be confirmed"]);
    hosts
        .run("rollback")?
        .assert_refused(&["no policy before", "sccm-agent reload"]);
    for wait in ["60", "0s", "25h", "soon"] {
        let finished = hosts.run(&format!("reload --confirm-within {wait}"))?;
        finished.assert_refused(&["--confirm-within"]);
    }
    assert_eq!(hosts.status()?.generation(), 1);
    assert_eq!(agent.end(Signal::SIGTERM)?.code, Some(0));
    Ok(())
}

#[test]
fn the_answer_is_json_where_asked_for() -> Result<()> {
    let hosts = Hosts::new()?;
    let policy = PolicyFile::allowing(&[])?;
    let _agent = hosts.enforce(&policy.arguments())?;
    policy.allow(OPEN)?;
    let finished = hosts.run("reload --confirm-within 1h -o json")?;
    let answer: serde_json::Value = serde_json::from_str(&finished.stdout)?;
    assert_eq!(answer["what"], "published");
    assert_eq!(answer["generation"], 2);
    assert_eq!(answer["confirm_within"], 3600);
    assert_eq!(answer["hash"], hash(&hosts.status()?));
    Ok(())
}
