//! What nothing uses: the kernel notes each use of a right, and keeps it from policy to policy and
//! from agent to agent.

use std::process::Command;
use std::thread::sleep;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use nix::sys::signal::Signal;
use sccm_tests::agent::{Finished, Hosts, PolicyFile, run};
use sccm_tests::gateway::{CLIENT, SERVER, Stage, Topology};
use sccm_tests::scrape::Metrics;
use sccm_tests::traffic::{
    PATIENCE, tcp_connect, tcp_exchange, tcp_server, udp_echo_server, udp_exchange,
};
use serde_json::Value;

const POLICY: &str = r#"
[site]
outbound = "enforce"

[[protect]]
name = "point"
roles = ["distribution-point"]

[[allow]]
name = "echo"
protocol = "udp"
ports = [7]
from = "any"
reason = "a test"

[[allow]]
name = "idle"
protocol = "udp"
ports = [8]
from = "any"
reason = "a test"

[[outbound.allow]]
name = "web"
protocol = "tcp"
ports = [8080]
to = "any"
reason = "a test"

[[outbound.allow]]
name = "never"
protocol = "udp"
ports = [8081]
to = "any"
reason = "a test"
"#;

const RULE: &str = r#"
[[allow]]
name = "late"
protocol = "tcp"
ports = [7001]
from = "any"
reason = "a test"
"#;

const OF_SOME: &str = r#"
[[allow]]
name = "some"
protocol = "tcp"
ports = [7002]
from = ["192.0.2.1", "2001:db8::1"]
reason = "a test"
"#;

/// What `unused` says.
struct Answer(Value);

impl Answer {
    fn of(command: Command) -> Result<Self> {
        let finished: Finished = run(command)?;
        ensure!(matches!(finished.code, Some(0 | 1)), "{finished:?}");
        let answer: Value = serde_json::from_str(&finished.stdout)?;
        // Nothing here was counted for an hour.
        let certain = answer["within"] == 1;
        let idle = answer["unused"]
            .as_array()
            .is_some_and(|idle| !idle.is_empty());
        ensure!(certain || finished.code == Some(0), "{finished:?}");
        ensure!(
            !certain || !idle || finished.code == Some(1),
            "{finished:?}"
        );
        Ok(Self(answer))
    }

    fn rows(&self, key: &str) -> Vec<&Value> {
        self.0[key].as_array().into_iter().flatten().collect()
    }

    /// The rights to a service.
    fn to(&self, direction: &str, service: &str) -> Vec<&Value> {
        let mut rows = self.rows("unused");
        // What may be sent to all is a right of its own, and nobody here sends so.
        rows.retain(|row| row["systems"] != "groups");
        rows.retain(|row| row["direction"] == direction && row["service"] == service);
        rows
    }

    fn rules(&self) -> Vec<&str> {
        let rows = self.rows("rules").into_iter();
        rows.filter_map(|row| row["name"].as_str()).collect()
    }
}

fn unused(hosts: &Hosts, policy: &PolicyFile, since: &str) -> Result<Answer> {
    let file = policy.path();
    let line = format!("unused --since {since} -o json --config {}", file.display());
    Answer::of(hosts.command(&line)?)
}

/// Asserts what is used and what is not, once [`talk`] is over.
#[track_caller]
fn assert_told_apart(answer: &Answer) {
    for (direction, service, is_used) in [
        ("inbound", "http", true),
        ("inbound", "https", false),
        ("inbound", "udp/7", true),
        ("inbound", "udp/8", false),
        ("outbound", "tcp/8080", true),
        ("outbound", "udp/8081", false),
    ] {
        let rows = answer.to(direction, service);
        assert_eq!(rows.is_empty(), is_used, "{direction} {service}: {rows:#?}");
    }
    assert!(
        answer
            .rows("unused")
            .iter()
            .all(|row| row["last_used"].is_null()),
        "{:#}",
        answer.0
    );
}

/// Uses three of the rights, and tries what nobody may.
fn talk(hosts: &Hosts) -> Result<()> {
    for (client, point) in Hosts::CLIENT.into_iter().zip(Hosts::POINT) {
        let _web = tcp_server(&hosts.point, (point, 80).into())?;
        let _echo = udp_echo_server(&hosts.point, (point, 7).into())?;
        let _outside = tcp_server(&hosts.client, (client, 8080).into())?;
        let _refused = tcp_server(&hosts.client, (client, 8081).into())?;
        ensure!(tcp_exchange(&hosts.client, (point, 80).into(), PATIENCE));
        ensure!(udp_exchange(&hosts.client, (point, 7).into(), PATIENCE));
        ensure!(tcp_exchange(&hosts.point, (client, 8080).into(), PATIENCE));
        // Other protocols at ports of rules: dropped.
        tcp_connect(&hosts.client, (point, 8).into(), PATIENCE);
        tcp_connect(&hosts.point, (client, 8081).into(), PATIENCE);
    }
    Ok(())
}

#[test]
fn a_use_is_told_from_none_and_outlives_policies_and_agents() -> Result<()> {
    let hosts = Hosts::new()?;
    let policy = PolicyFile::allowing(&[])?;
    policy.write(POLICY)?;
    let agent = hosts.enforce(&policy.arguments())?;
    let before = unused(&hosts, &policy, "1h")?;
    assert_eq!(
        before.rows("unused").len() as u64,
        before.0["rights"].as_u64().context("rights")?
    );
    assert_eq!(before.rules(), ["echo", "idle", "web", "never"]);
    talk(&hosts)?;
    let after = unused(&hosts, &policy, "1h")?;
    assert_told_apart(&after);
    assert_eq!(after.rules(), ["idle", "never"]);

    // Each packet that passes by a right is counted with it, and no other.
    sleep(Duration::from_secs(3));
    let (all, metrics) = (unused(&hosts, &policy, "1s")?, agent.metrics()?);
    let packets = |direction: &str, service: &str| {
        let rows = all.to(direction, service);
        rows.iter()
            .filter_map(|row| row["packets"].as_u64())
            .sum::<u64>()
    };
    let passed = |metrics: &Metrics, direction, service| {
        metrics.passed(&[("direction", direction), ("service", service)])
    };
    for (direction, service) in [
        ("inbound", "http"),
        ("inbound", "udp/7"),
        ("outbound", "tcp/8080"),
    ] {
        let counted = passed(&metrics, direction, service);
        assert!(counted > 0);
        assert_eq!(
            packets(direction, service),
            counted,
            "{direction} {service}"
        );
    }
    assert_eq!(
        packets("inbound", "udp/8") + packets("outbound", "udp/8081"),
        0
    );
    let unused_rights = metrics.sum("sccm_rights_unused", &[]);
    assert_eq!(unused_rights as usize, after.rows("unused").len());
    assert_eq!(
        metrics.sum("sccm_rights", &[]),
        after.0["rights"].as_f64().context("rights")?
    );
    let last = "sccm_service_last_used_timestamp_seconds";
    assert!(metrics.sum(last, &[("direction", "inbound"), ("service", "http")]) > 1e9);
    assert_eq!(metrics.sum(last, &[("service", "udp/8")]), 0.0);

    // Another policy: what stays keeps its age, also where a new rule parts the peers.
    let since = |answer: &Answer, service: &str| -> Vec<u64> {
        let rows = answer.to("inbound", service).into_iter();
        rows.filter_map(|row| row["counted_since"].as_u64())
            .collect()
    };
    let begun = since(&after, "udp/8");
    for added in [RULE, OF_SOME] {
        sleep(Duration::from_secs(2));
        policy.write(&format!("{POLICY}{added}"))?;
        ensure!(hosts.run("reload")?.code == Some(0));
        let reloaded = unused(&hosts, &policy, "1h")?;
        assert_told_apart(&reloaded);
        let kept = since(&reloaded, "udp/8");
        assert!(
            kept.iter().all(|since| begun.contains(since)),
            "{kept:?} {begun:?}"
        );
        let new = if added == RULE {
            "tcp/7001"
        } else {
            "tcp/7002"
        };
        let late = since(&reloaded, new);
        assert!(
            !late.is_empty() && late.iter().all(|since| *since >= begun[0] + 2),
            "{late:?}"
        );
    }
    // And back: nothing was lost on the way.
    policy.write(POLICY)?;
    ensure!(hosts.run("reload")?.code == Some(0));
    assert_told_apart(&unused(&hosts, &policy, "1h")?);

    agent.end(Signal::SIGKILL)?;
    assert_told_apart(&unused(&hosts, &policy, "1h")?);
    let _agent = hosts.enforce(&policy.arguments())?;
    assert_told_apart(&unused(&hosts, &policy, "1h")?);

    // A file that is not in force tells nothing of what is.
    policy.write(&format!("{POLICY}{RULE}"))?;
    let line = format!("unused --config {}", policy.path().display());
    hosts
        .run(&line)?
        .assert_refused(&["is not what is enforced", "reload it"]);
    Ok(())
}

/// Without a trial's rights, and with them again.
#[test]
fn a_trial_that_is_rolled_back_takes_no_age_away() -> Result<()> {
    let hosts = Hosts::new()?;
    let policy = PolicyFile::allowing(&[])?;
    policy.write(POLICY)?;
    let _agent = hosts.enforce(&policy.arguments())?;
    talk(&hosts)?;
    let before = unused(&hosts, &policy, "1h")?;
    assert_told_apart(&before);
    let cut = POLICY.find("[[allow]]").context("a rule")?;
    policy.write(&POLICY[..cut])?;
    ensure!(hosts.run("reload --confirm-within 60s")?.code == Some(0));
    assert!(
        unused(&hosts, &policy, "1h")?
            .to("inbound", "udp/8")
            .is_empty()
    );
    ensure!(hosts.run("rollback")?.code == Some(0));
    policy.write(POLICY)?;
    let after = unused(&hosts, &policy, "1h")?;
    assert_told_apart(&after);
    assert_eq!(after.0["unused"], before.0["unused"]);
    Ok(())
}

#[test]
fn a_gateway_tells_who_uses_what_behind_it() -> Result<()> {
    let stage = Stage::new(Topology::Routed)?;
    let policy = PolicyFile::allowing(&[])?;
    let [client, client_v6] = CLIENT;
    let [server, server_v6] = SERVER;
    policy.write(&format!(
        r#"
[peers]
client = ["{client}", "{client_v6}", "203.0.113.0/24"]
site-server = ["192.0.2.99"]

[[protect]]
name = "point"
roles = ["distribution-point"]
addresses = ["{server}", "{server_v6}"]

[[protect]]
name = "other"
roles = ["distribution-point"]
addresses = ["198.51.100.99"]
"#
    ))?;
    let file = policy.path().display().to_string();
    let line = format!("enforce --config {file} --uplink up0 --segment seg0");
    let _agent = stage.start(&line)?;
    for server in SERVER {
        let _web = tcp_server(&stage.server, (server, 80).into())?;
        ensure!(tcp_exchange(&stage.client, (server, 80).into(), PATIENCE));
        tcp_connect(&stage.client, (server, 1433).into(), PATIENCE);
    }
    let line = format!("unused --since 1h -o json --config {file}");
    let answer = Answer::of(stage.command(&line)?)?;
    let http = answer.to("inbound", "http");
    let of = |systems: &str, peers: &str| {
        let mut rows = http.iter();
        rows.any(|row| row["systems"] == systems && row["peers"] == peers)
    };
    assert!(!of("point", "client") && of("other", "client"), "{http:#?}");
    let prefixes = answer.rows("prefixes");
    let names: Vec<&str> = prefixes
        .iter()
        .filter_map(|row| row["name"].as_str())
        .collect();
    assert_eq!(
        names,
        ["192.0.2.99/32", "198.51.100.99/32"],
        "{prefixes:#?}"
    );
    Ok(())
}
