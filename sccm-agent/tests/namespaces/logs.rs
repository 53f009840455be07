//! Logs for programs: JSON that parses whatever is said, and native fields in a journal.

use anyhow::{Context as _, Result};
use nix::sys::signal::Signal;
use sccm_tests::agent::{Agent, FORBIDDEN, Hosts, PolicyFile, run};
use sccm_tests::journal::{Entry, Journal};
use serde_json::Value;

/// A policy that is none: what is said of it quotes a role of two lines.
const BROKEN: &str = "[[protect]]\nname = \"point\"\nroles = [\"two\\nlines\\\"}\"]\n";

/// That role.
const QUOTED: &str = "two\nlines\"}";

#[test]
fn the_journal_gets_native_fields() -> Result<()> {
    let (hosts, journal, policy) = (Hosts::new()?, Journal::new()?, PolicyFile::allowing(&[])?);
    let arguments = format!("enforce {} --log-format journald", policy.arguments());
    let mut command = hosts.command(&arguments)?;
    journal.give_to(&mut command);
    let agent = Agent::start(&hosts.point, command)?;
    let said = |text: &'static str| {
        move |entry: &Entry| {
            entry
                .get("MESSAGE")
                .is_some_and(|message| message.contains(text))
        }
    };
    let start = journal.wait_for(said("enforcing"))?;
    assert_eq!(start["SYSLOG_IDENTIFIER"], "sccm-agent");
    assert_eq!(start["PRIORITY"], "6");
    assert_eq!(start["SCCM_ROLES"], "distribution-point");

    hosts.knock(1)?;
    for source in ["192.0.2.1", "2001:db8::1"] {
        let blocked = journal
            .wait_for(|entry| entry["MESSAGE"] == "blocked" && entry["SCCM_SOURCE"] == source)?;
        let field = |name: &str| blocked.get(name).map(String::as_str);
        for (name, value) in [
            ("SCCM_PROTOCOL", "tcp"),
            ("SCCM_PORT", "21"),
            ("SCCM_SERVICE", "none"),
            ("SCCM_REASON", "not-allowed"),
            ("SCCM_INTERFACE", "eth0"),
            ("SCCM_DIRECTION", "inbound"),
            ("TARGET", "blocked"),
            ("PRIORITY", "6"),
        ] {
            assert_eq!(field(name), Some(value), "{name}: {blocked:#?}");
        }
    }

    policy.write(BROKEN)?;
    agent.signal(Signal::SIGHUP)?;
    let refused = journal.wait_for(said("SIGHUP"))?;
    assert_eq!(refused["PRIORITY"], "3");
    assert!(refused["MESSAGE"].contains(QUOTED), "{refused:#?}");

    // Without its journal the agent goes on.
    journal.remove_socket()?;
    agent.signal(Signal::SIGHUP)?;
    hosts.knock(1)?;
    agent.metrics_when(|metrics| metrics.dropped(&[("reason", "not-allowed")]) >= 4)?;
    assert_eq!(agent.log()?, "", "nothing else is written");
    assert_eq!(agent.end(Signal::SIGTERM)?.code, Some(0));
    Ok(())
}

#[test]
fn without_a_journal_nothing_is_begun() -> Result<()> {
    let (hosts, journal) = (Hosts::new()?, Journal::new()?);
    journal.remove_socket()?;
    let arguments = "enforce --role distribution-point --interface eth0 --log-format journald";
    let mut command = hosts.command(arguments)?;
    journal.give_to(&mut command);
    run(command)?.assert_refused(&["/run/systemd/journal/socket", "--log-format text or json"]);
    assert!(!hosts.is_hooked("eth0")?);
    Ok(())
}

#[test]
fn json_has_one_object_a_line() -> Result<()> {
    let (hosts, policy) = (Hosts::new()?, PolicyFile::allowing(&[])?);
    let arguments = format!("{} --log-format json", policy.arguments());
    let agent = hosts.enforce(&arguments)?;
    hosts.knock(1)?;
    policy.write(BROKEN)?;
    agent.signal(Signal::SIGHUP)?;
    agent.metrics_when(|metrics| {
        let reloaded = metrics.sum("sccm_policy_last_reload_successful", &[]);
        metrics.dropped(&[("reason", "not-allowed")]) >= 2 && reloaded == 0.0
    })?;
    let finished = agent.end(Signal::SIGTERM)?;
    let lines: Vec<Value> = finished
        .stderr
        .lines()
        .map(|line| serde_json::from_str(line).with_context(|| line.to_owned()))
        .collect::<Result<_>>()?;
    for line in &lines {
        assert!(
            line["timestamp"].is_string() && line["level"].is_string(),
            "{line}"
        );
    }
    let message =
        |line: &Value, text: &str| line["message"].as_str().is_some_and(|m| m.contains(text));
    let refused = lines.iter().find(|line| message(line, "SIGHUP"));
    let refused = refused.context("no word of the broken policy")?;
    assert_eq!(refused["level"], "ERROR");
    assert!(message(refused, QUOTED), "{refused}");
    let mut blocked: Vec<_> = lines
        .iter()
        .filter(|line| line["message"] == "blocked")
        .collect();
    blocked.sort_by_key(|line| line["source"].to_string());
    blocked.retain(|line| line["port"] == FORBIDDEN);
    assert_eq!(blocked.len(), 2, "{blocked:#?}");
    for (line, source) in blocked.iter().zip(["192.0.2.1", "2001:db8::1"]) {
        assert_eq!(line["source"], source);
        let mut names: Vec<_> = line
            .as_object()
            .into_iter()
            .flatten()
            .map(|(name, _)| name)
            .collect();
        names.sort();
        assert_eq!(
            names,
            [
                "destination",
                "direction",
                "interface",
                "level",
                "message",
                "port",
                "protocol",
                "reason",
                "service",
                "source",
                "timestamp",
                "would_allow"
            ]
        );
    }
    Ok(())
}
