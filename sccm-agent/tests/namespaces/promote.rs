//! A candidate beside the policy of a running agent, by command: begun, counted, promoted, ended.

use anyhow::Result;
use nix::sys::signal::Signal;
use sccm_tests::agent::{ALLOWED, Agent, FORBIDDEN, Hosts, POINT, PolicyFile};
use sccm_tests::traffic::Outcome;
use serde_json::Value;

/// Opens [`FORBIDDEN`].
const OPEN: &[&str] = &["tcp/21"];

const PASSED: &str = "sccm_shadow_passed_packets_total";
const DROPPED: &str = "sccm_shadow_dropped_packets_total";

/// Who, what, which way it would change, and why, of the rows of `blocked --shadow` about TCP.
fn changes(hosts: &Hosts, arguments: &str) -> Result<Vec<[String; 5]>> {
    let finished = hosts.run(&format!("blocked --shadow -o json {arguments}"))?;
    assert_eq!(finished.code, Some(0), "{finished:?}");
    let listing: Value = serde_json::from_str(&finished.stdout)?;
    let flows = listing["flows"].as_array().into_iter().flatten();
    let mut rows: Vec<_> = flows
        .filter(|flow| flow["protocol"] == "tcp")
        .map(|flow| {
            assert_eq!(
                (&flow["interface"], &flow["direction"]),
                (&"eth0".into(), &"inbound".into())
            );
            ["source", "port", "change", "reason", "packets"].map(|key| match &flow[key] {
                Value::String(text) => text.clone(),
                other => other.to_string(),
            })
        })
        .collect();
    rows.sort();
    Ok(rows)
}

/// The row about [`FORBIDDEN`] of each family, for so many packets.
fn of_both(change: &str, packets: u64) -> Vec<[String; 5]> {
    let packets = packets.to_string();
    ["192.0.2.1", "2001:db8::1"]
        .map(|source| [source, "21", change, "not-allowed", &packets].map(str::to_owned))
        .into()
}

#[test]
fn whose_traffic_would_change_is_listed() -> Result<()> {
    let hosts = Hosts::new()?;
    let policy = PolicyFile::allowing(&[])?;
    let agent = hosts.enforce(&policy.arguments())?;
    hosts
        .run("blocked --shadow")?
        .assert_refused(&["no shadow", "reload --shadow"]);
    let judged = |count| {
        agent.metrics_when(|metrics| metrics.sum(PASSED, &[]) + metrics.sum(DROPPED, &[]) >= count)
    };

    // A looser one.
    policy.propose(OPEN)?;
    done(&hosts, "reload --shadow", "shadowed: ")?;
    let empty = hosts.run("blocked --shadow")?;
    assert!(empty.stdout.starts_with("no flows"), "{empty:?}");
    hosts.knock(3)?;
    judged(6.0)?;
    assert_eq!(changes(&hosts, "")?, of_both("would-pass", 3));
    assert_eq!(
        changes(&hosts, "--source 192.0.2.0/24")?,
        of_both("would-pass", 3)[..1]
    );
    let table = hosts.run("blocked --shadow")?.stdout;
    assert!(
        table.contains("would pass; now not-allowed, eth0 inbound"),
        "{table}"
    );
    // What it lets pass needs no suggestion.
    let suggested = hosts.run("blocked --shadow --suggest")?.stdout;
    assert!(!suggested.contains("[[allow]]"), "{suggested}");

    // A stricter one, in its place: the table begins anew.
    policy.allow(OPEN)?;
    done(&hosts, "reload", "published: ")?;
    policy.propose(&[])?;
    done(&hosts, "reload --shadow", "shadowed: ")?;
    assert_eq!(changes(&hosts, "")?, [] as [[String; 5]; 0]);
    hosts.knock(2)?;
    judged(4.0)?;
    assert_eq!(changes(&hosts, "")?, of_both("would-drop", 2));
    let table = hosts.run("blocked --shadow")?.stdout;
    assert!(
        table.contains("would drop: not-allowed, eth0 inbound"),
        "{table}"
    );
    let candidate = policy.path().with_file_name("policy.candidate.toml");
    let suggest = format!(
        "blocked --shadow --suggest --config {}",
        candidate.display()
    );
    let suggested = hosts.run(&suggest)?.stdout;
    assert!(suggested.contains("ports = [21]"), "{suggested}");

    done(&hosts, "reload --no-shadow", "shadow ended: ")?;
    hosts
        .run("blocked --shadow")?
        .assert_refused(&["no shadow"]);
    Ok(())
}

#[track_caller]
fn done(hosts: &Hosts, command: &str, what: &str) -> Result<()> {
    let finished = hosts.run(command)?;
    assert_eq!(finished.code, Some(0), "{finished:?}");
    assert!(finished.stdout.starts_with(what), "{what}: {finished:?}");
    Ok(())
}

/// Asserts that `status` and metrics say the same about whether there is a shadow.
#[track_caller]
fn assert_shadow(hosts: &Hosts, agent: &Agent, there: bool) -> Result<()> {
    let status = hosts.status()?;
    let shadow = &status.json["shadow"];
    let metrics = agent.metrics()?;
    let info = |hash| metrics.sum("sccm_shadow_info", &[("hash", hash)]);
    if there {
        let hash = shadow["hash"].as_str().expect("a hash");
        assert_ne!(status.json["policy"]["hash"], hash);
        assert_eq!(info(hash), 1.0);
        let since = shadow["since"].as_f64().expect("since when");
        assert_eq!(
            metrics.sum("sccm_shadow_start_timestamp_seconds", &[]),
            since
        );
        let finished = hosts.run("status")?;
        assert!(
            finished
                .stdout
                .contains(&format!("Shadow: {}", &hash[..12])),
            "{finished:?}"
        );
    } else {
        assert!(shadow.is_null(), "{shadow}");
        assert_eq!(metrics.sum("sccm_shadow_info", &[]), 0.0);
    }
    Ok(())
}

#[test]
fn a_candidate_is_counted_and_then_promoted() -> Result<()> {
    let (hosts, _servers) = Hosts::with_servers()?;
    let policy = PolicyFile::allowing(&[])?;
    let agent = hosts.enforce(&policy.arguments())?;
    assert_shadow(&hosts, &agent, false)?;
    let before = hosts.status()?;

    policy.propose(OPEN)?;
    done(&hosts, "reload --shadow", "shadowed: generation 1, ")?;
    assert_shadow(&hosts, &agent, true)?;
    assert_eq!(hosts.status()?.json["policy"], before.json["policy"]);
    hosts.assert_enforced();
    let labels = [
        ("interface", "eth0"),
        ("direction", "inbound"),
        ("reason", "service"),
        ("protocol", "tcp"),
        ("service", "tcp/21"),
    ];
    let metrics = agent.metrics_when(|metrics| metrics.sum(PASSED, &labels) > 0.0)?;
    assert_eq!(metrics.sum(PASSED, &[]), metrics.sum(PASSED, &labels));
    assert_eq!(metrics.sum(DROPPED, &[]), 0.0);
    assert!(metrics.sum("sccm_shadow_passed_bytes_total", &labels) >= 54.0);

    // What was judged with, and not what the file says by now.
    policy.propose(&["tcp/2222"])?;
    done(
        &hosts,
        "promote --confirm-within 1h",
        "promoted: generation 2, ",
    )?;
    hosts.assert_tcp(&[ALLOWED, FORBIDDEN], Outcome::Connected);
    assert_shadow(&hosts, &agent, false)?;
    hosts
        .run("promote")?
        .assert_refused(&["wait", "sccm-agent confirm"]);
    done(&hosts, "rollback", "rolled back: generation 1, ")?;
    hosts.assert_enforced();
    hosts
        .run("promote")?
        .assert_refused(&["no shadow", "reload --shadow"]);
    Ok(())
}

#[test]
fn a_shadow_ends_by_command_and_with_the_next_agent() -> Result<()> {
    let (hosts, _servers) = Hosts::with_servers()?;
    let policy = PolicyFile::allowing(OPEN)?;
    let agent = hosts.enforce(&format!("{} --on-exit keep", policy.arguments()))?;
    hosts
        .run("reload --no-shadow")?
        .assert_refused(&["no shadow"]);
    policy.propose(&[])?;
    done(&hosts, "reload --shadow", "shadowed: ")?;
    hosts.assert_tcp(&[ALLOWED, FORBIDDEN], Outcome::Connected);
    agent.metrics_when(|metrics| {
        metrics.sum(DROPPED, &[("reason", "not-allowed"), ("service", "none")]) > 0.0
    })?;
    assert_eq!(agent.metrics()?.sum(PASSED, &[]), 0.0);
    done(&hosts, "reload --no-shadow", "shadow ended: generation 1, ")?;
    assert_shadow(&hosts, &agent, false)?;
    let counted = agent.metrics()?.sum(DROPPED, &[]);
    hosts.assert_tcp(&[FORBIDDEN], Outcome::Connected);
    assert_eq!(agent.metrics()?.sum(DROPPED, &[]), counted);

    done(&hosts, "reload --shadow", "shadowed: ")?;
    assert_eq!(agent.end(Signal::SIGTERM)?.code, Some(0));
    assert!(hosts.status()?.json["shadow"].is_object());
    let agent = hosts.enforce(&policy.arguments())?;
    assert_shadow(&hosts, &agent, false)?;
    assert!(
        agent
            .log()?
            .contains("the candidate of the previous agent is no longer tried")
    );
    Ok(())
}

#[test]
fn what_is_no_candidate_leaves_everything_as_it_was() -> Result<()> {
    let hosts = Hosts::new()?;
    let policy = PolicyFile::allowing(&[])?;
    let agent = hosts.enforce(&policy.arguments())?;
    let before = hosts.status()?;
    hosts
        .run("reload --shadow")?
        .assert_refused(&["policy.candidate.toml"]);
    policy.propose(&["ctp/21"])?;
    hosts
        .run("reload --shadow")?
        .assert_refused(&["policy.candidate.toml", "ctp"]);
    assert_eq!(hosts.status()?, before);
    policy.propose(OPEN)?;
    done(&hosts, "reload --shadow", "shadowed: ")?;
    policy.propose(&["ctp/21"])?;
    hosts.run("reload --shadow")?.assert_refused(&["ctp"]);
    assert_shadow(&hosts, &agent, true)?;
    for wrong in ["--shadow --no-shadow", "--shadow --confirm-within 60s"] {
        let finished = hosts.run(&format!("reload {wrong}"))?;
        finished.assert_refused(&["cannot be used with"]);
    }
    agent.end(Signal::SIGTERM)?;

    let _agent = hosts.enforce(POINT)?;
    hosts
        .run("reload --shadow")?
        .assert_refused(&["--shadow-config"]);
    Ok(())
}
