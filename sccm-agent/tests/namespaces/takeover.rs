//! One agent after another: pins, counters and policy outlive the first, and nothing slips through.

use anyhow::Result;
use nix::sys::signal::Signal;
use sccm_tests::agent::{FORBIDDEN, Hosts, LONG, POINT, Witness, mode};
use sccm_tests::netns::veth_pair;
use sccm_tests::scrape::Metrics;
use sccm_tests::traffic::{Outcome, tcp_connect};

#[test]
fn enforcement_survives_kill_9_and_a_new_agent_takes_over_without_a_gap() -> Result<()> {
    let (hosts, _servers) = Hosts::with_servers()?;
    let agent = hosts.enforce(POINT)?;
    let witness = Witness::start(&hosts)?;
    witness.look()?;
    let before = agent.metrics()?;
    agent.end(Signal::SIGKILL)?;

    witness.look()?;
    hosts.assert_enforced();
    let status = hosts.status()?;
    assert_eq!(status.of("eth0"), ("enforcing", mode()));
    assert_eq!((status.code, status.generation()), (Some(0), 1));

    let agent = hosts.enforce(POINT)?;
    witness.look()?;
    hosts.assert_enforced();
    // The same policy is not published again.
    assert_eq!(hosts.status()?, status);
    let seen = witness.finish()?;
    seen.assert_no_gap();
    let sent = seen.sent;

    let labels = |service| {
        [
            ("direction", "inbound"),
            ("protocol", "udp"),
            ("service", service),
        ]
    };
    let passed = |metrics: &Metrics| metrics.passed(&labels("multicast"));
    let dropped = |metrics: &Metrics| metrics.dropped(&labels("none"));
    let after = agent.metrics_when(|metrics| passed(metrics) >= sent)?;
    assert_eq!((passed(&after), dropped(&after)), (sent, sent));
    // What is unused becomes less.
    let of_maps = |name: &str| !name.starts_with("process_") && name != "sccm_rights_unused";
    for sample in before.samples.iter().filter(|sample| of_maps(&sample.name)) {
        let labels: Vec<(&str, &str)> = sample
            .labels
            .iter()
            .map(|(label, value)| (label.as_str(), value.as_str()))
            .collect();
        let now = after.sum(&sample.name, &labels);
        assert!(now >= sample.value, "{sample:?} is now {now}");
    }
    Ok(())
}

#[test]
fn a_new_policy_replaces_the_old_one_without_a_gap() -> Result<()> {
    let (hosts, _servers) = Hosts::with_servers()?;
    hosts.enforce(POINT)?.end(Signal::SIGKILL)?;
    let hash = hosts.status()?.json["policy"]["hash"].clone();

    let witness = Witness::start(&hosts)?;
    let _agent = hosts.enforce(&format!("{POINT} --allow tcp/{FORBIDDEN}"))?;
    witness.look()?;
    witness.finish()?.assert_no_gap();
    hosts.assert_tcp(&[FORBIDDEN], Outcome::Connected);
    let status = hosts.status()?;
    assert_eq!(status.generation(), 2);
    assert_ne!(status.json["policy"]["hash"], hash);
    Ok(())
}

#[test]
fn a_second_agent_for_the_same_pins_is_refused() -> Result<()> {
    let (hosts, _servers) = Hosts::with_servers()?;
    let agent = hosts.enforce(POINT)?;
    let before = hosts.status()?;
    for arguments in [
        &format!("enforce {POINT} --metrics-listen 127.0.0.1:19471"),
        "detach",
    ] {
        hosts
            .run(arguments)?
            .assert_refused(&["another sccm-agent", "--pin-dir"]);
    }
    assert_eq!(hosts.status()?, before);
    assert_eq!(agent.get("/-/ready")?.0, 200);
    hosts.assert_enforced();
    Ok(())
}

#[test]
fn a_new_agent_lets_go_of_interfaces_that_it_was_not_given() -> Result<()> {
    let (hosts, _servers) = Hosts::with_servers()?;
    let (left, right) = veth_pair(&hosts.client, "eth1", &hosts.point, "eth1")?;
    left.address("198.51.100.1/24")?;
    right.address("198.51.100.2/24")?;
    let agent = hosts.enforce(&format!("{POINT} --interface eth1"))?;
    agent.end(Signal::SIGKILL)?;
    assert!(hosts.is_hooked("eth1")?);

    let _agent = hosts.enforce(POINT)?;
    hosts.assert_enforced();
    let to = "198.51.100.2:21".parse()?;
    assert_eq!(tcp_connect(&hosts.client, to, LONG), Outcome::Connected);
    assert!(!hosts.is_hooked("eth1")?);
    assert_eq!(hosts.status()?.code, Some(0));
    Ok(())
}

#[test]
fn a_card_that_was_made_anew_is_noticed_and_taken_again() -> Result<()> {
    let (hosts, _servers) = Hosts::with_servers()?;
    let agent = hosts.enforce(POINT)?;
    hosts.assert_enforced();
    let before = agent.metrics()?.dropped(&[]);
    agent.end(Signal::SIGKILL)?;

    hosts.client.ip("link delete dev eth0")?;
    assert_eq!(hosts.status()?.of("eth0"), ("stale-pin", "-"));
    hosts.join_by_cable()?;
    let status = hosts.status()?;
    assert_eq!(status.of("eth0"), ("stale-pin", "-"));
    assert_eq!(status.code, Some(4));

    let agent = hosts.enforce(POINT)?;
    hosts.assert_enforced();
    let status = hosts.status()?;
    assert_eq!(status.of("eth0"), ("enforcing", mode()));
    assert!(
        agent.metrics()?.dropped(&[]) > before,
        "the counters went on"
    );
    Ok(())
}

#[test]
fn the_next_agent_knows_the_names() -> Result<()> {
    let (hosts, _servers) = Hosts::with_servers()?;
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("policy.toml");
    let write = |roles: &[&str]| {
        let holds = |role| format!("{role} = [\"192.0.2.0/24\", \"2001:db8::/64\"]\n");
        let peers: String = roles.iter().map(holds).collect();
        let protect = "[[protect]]\nname = \"p\"\nroles = [\"distribution-point\"]\n";
        std::fs::write(&file, format!("[peers]\n{peers}{protect}"))
    };
    write(&["client"])?;
    let enforce = format!("--interface eth0 --config {}", file.display());
    let agent = hosts.enforce(&enforce)?;
    hosts.assert_enforced();
    let client = |metrics: &Metrics| metrics.dropped(&[("peer", "client")]);
    let before = client(&agent.metrics()?);
    assert!(before > 0, "nobody was refused");
    agent.end(Signal::SIGKILL)?;

    write(&["client", "console"])?;
    let agent = hosts.enforce(&enforce)?;
    hosts.assert_enforced();
    let metrics = agent.metrics()?;
    assert!(client(&metrics) >= before);
    assert!(metrics.dropped(&[("peer", "client+console")]) > 0);
    let all = metrics.dropped(&[("reason", "not-allowed")]);
    let named: u64 = ["client", "client+console", "other", ""]
        .iter()
        .map(|name| metrics.dropped(&[("reason", "not-allowed"), ("peer", name)]))
        .sum();
    assert_eq!(all, named);
    Ok(())
}
