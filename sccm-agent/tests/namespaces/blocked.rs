//! Blocked flows: the log and the commands tell people of them.

use anyhow::Result;
use nix::sys::signal::Signal;
use sccm_tests::agent::{Agent, FORBIDDEN, Hosts, POINT};
use sccm_tests::packet::Packet;
use serde_json::Value;

/// Sends this many SYNs to [`FORBIDDEN`] in each family, and waits until they are counted.
fn knock(hosts: &Hosts, agent: &Agent<'_>, count: u64) -> Result<()> {
    let labels = [("reason", "not-allowed"), ("protocol", "tcp")];
    let before = agent.metrics()?.dropped(&labels);
    hosts.knock(count)?;
    agent.metrics_when(|metrics| metrics.dropped(&labels) >= before + 2 * count)?;
    Ok(())
}

fn listed(hosts: &Hosts, arguments: &str) -> Result<Value> {
    let finished = hosts.run(&format!("blocked -o json {arguments}"))?;
    assert_eq!(finished.code, Some(0), "{finished:?}");
    Ok(serde_json::from_str(&finished.stdout)?)
}

/// The packets to [`FORBIDDEN`], by source.
fn packets(listing: &Value) -> Vec<(String, u64)> {
    let flows = listing["flows"].as_array().into_iter().flatten();
    let forbidden = flows.filter(|flow| flow["port"] == FORBIDDEN);
    let mut packets: Vec<_> = forbidden
        .map(|flow| {
            let source = flow["source"].as_str().unwrap_or_default().to_owned();
            (source, flow["packets"].as_u64().unwrap_or_default())
        })
        .collect();
    packets.sort();
    packets
}

/// Lines of the log about [`FORBIDDEN`].
fn lines(log: &str) -> usize {
    let port = format!("\"port\":{FORBIDDEN},");
    let lines = log.lines();
    lines
        .filter(|line| line.contains("\"message\":\"blocked\"") && line.contains(&port))
        .count()
}

#[test]
fn a_forbidden_connection_is_told_to_everybody() -> Result<()> {
    let hosts = Hosts::new()?;
    let arguments = format!("{POINT} --log-format json --metrics-top-flows 50");
    let agent = hosts.enforce(&arguments)?;
    knock(&hosts, &agent, 30)?;

    let expect =
        |count: u64| [("192.0.2.1", count), ("2001:db8::1", count)].map(|(a, n)| (a.to_owned(), n));
    let listing = listed(&hosts, "")?;
    assert_eq!(packets(&listing), expect(30));
    let flows = listing["flows"].as_array().into_iter().flatten();
    for flow in flows.filter(|flow| flow["port"] == FORBIDDEN) {
        assert_eq!(flow["reason"], "not-allowed");
        assert_eq!(
            (&flow["interface"], &flow["direction"]),
            (&"eth0".into(), &"inbound".into())
        );
        assert_eq!(flow["observed"], false);
    }
    assert_eq!(
        packets(&listed(&hosts, "--source 192.0.2.0/24")?),
        expect(30)[..1]
    );
    assert_eq!(
        packets(&listed(&hosts, "--destination 2001:db8::2")?),
        expect(30)[1..]
    );
    assert_eq!(packets(&listed(&hosts, "--reason tcp-data-offset")?), []);
    assert_eq!(
        packets(&listed(
            &hosts,
            "--since 1h --sort last --reason not-allowed"
        )?),
        expect(30)
    );
    assert_eq!(
        listed(&hosts, "--limit 1")?["flows"]
            .as_array()
            .map(Vec::len),
        Some(1)
    );

    let metrics = agent.metrics()?;
    for source in ["192.0.2.1", "2001:db8::1"] {
        let port = FORBIDDEN.to_string();
        let labels = [
            ("source", source),
            ("port", port.as_str()),
            ("interface", "eth0"),
        ];
        assert_eq!(
            metrics.sum("sccm_blocked_flow_packets_total", &labels),
            30.0
        );
    }
    assert!(metrics.sum("sccm_blocked_flows", &[]) >= 2.0);
    assert_eq!(metrics.sum("sccm_events_lost_total", &[]), 0.0);
    assert_eq!(
        lines(&agent.log()?),
        2,
        "one line for each flow: {}",
        agent.log()?
    );

    let table = hosts.run("blocked")?;
    assert_eq!(table.code, Some(0));
    for part in ["192.0.2.1", "tcp/21", "not-allowed"] {
        assert!(table.stdout.contains(part), "no {part} in {}", table.stdout);
    }

    // The table outlives the agent.
    agent.end(Signal::SIGKILL)?;
    assert_eq!(packets(&listed(&hosts, "")?), expect(30));
    let agent = hosts.enforce(&format!("{POINT} --log-format json"))?;
    knock(&hosts, &agent, 1)?;
    assert_eq!(packets(&listed(&hosts, "")?), expect(31));
    assert_eq!(
        agent.metrics()?.sum("sccm_blocked_flow_packets_total", &[]),
        0.0
    );
    Ok(())
}

/// RARP that announces nothing, and a protocol of switches that is no essential: frames in which no
/// IP packet is found.
#[test]
fn a_frame_without_an_ip_packet_is_told_to_everybody() -> Result<()> {
    let hosts = Hosts::new()?;
    let arguments = format!("{POINT} --log-format json --metrics-top-flows 50");
    let agent = hosts.enforce(&arguments)?;
    let sender = hosts.client.interface("eth0").mac()?;
    let switches = Packet::cisco(0x2001).payload(10);
    let rarp = Packet::ethertype(0x8035)
        .payload(46)
        .destination_mac([0xff; 6]);
    for packet in [&switches, &rarp] {
        hosts.send(&packet.clone().source_mac(sender).build(), 3)?;
    }
    let labels = [("reason", "ethertype-refused")];
    agent.metrics_when(|metrics| metrics.dropped(&labels) >= 6)?;

    let [a, b, c, d, e, f] = sender;
    let sender = format!("{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{f:02x}");
    let expected = [
        ("01:00:0c:cc:cc:cc", "snap", "snap", "00000c-2001"),
        ("ff:ff:ff:ff:ff:ff", "ethernet", "ethertype", "0x8035"),
    ];
    let listing = listed(&hosts, "--reason ethertype-refused")?;
    let (table, log) = (hosts.run("blocked")?.stdout, agent.log()?);
    let metrics = agent.metrics()?;
    for (destination, protocol, field, value) in expected {
        let flows = listing["flows"].as_array().into_iter().flatten();
        let is_it = |flow: &&Value| flow["destination"] == destination;
        let flow = flows.clone().find(is_it).expect("it is listed");
        assert_eq!(flow["source"], sender.as_str());
        assert_eq!(
            (&flow["protocol"], &flow[field]),
            (&protocol.into(), &value.into())
        );
        assert_eq!(
            (&flow["interface"], &flow["packets"]),
            (&"eth0".into(), &3.into())
        );
        assert_eq!(flow["would_allow"], Value::Array(Vec::new()));
        for part in [destination, sender.as_str(), &format!("{protocol}/{value}")] {
            assert!(table.contains(part), "no {part} in {table}");
        }
        let line = format!("\"{field}\":\"{value}\"");
        let of_it = log.lines().filter(|one| one.contains(&line));
        assert_eq!(of_it.clone().count(), 1, "{log}");
        for part in [destination, sender.as_str(), "\"interface\":\"eth0\""] {
            assert!(of_it.clone().all(|one| one.contains(part)), "{log}");
        }
        let labels = [
            ("source", sender.as_str()),
            ("protocol", protocol),
            ("port", value),
        ];
        assert_eq!(metrics.sum("sccm_blocked_flow_packets_total", &labels), 3.0);
    }
    // An address names no frame without one.
    let none = listed(&hosts, "--reason ethertype-refused --source 0.0.0.0/0")?;
    assert_eq!(none["matching"], 0);
    Ok(())
}

#[test]
fn nothing_is_logged_where_nobody_wants_to_read_it() -> Result<()> {
    let hosts = Hosts::new()?;
    let agent = hosts.enforce(&format!("{POINT} --log-format json --log-blocked off"))?;
    knock(&hosts, &agent, 3)?;
    assert_eq!(packets(&listed(&hosts, "")?).len(), 2);
    assert_eq!(lines(&agent.log()?), 0);
    Ok(())
}

#[test]
fn without_flows_or_maps_the_command_says_so() -> Result<()> {
    let hosts = Hosts::new()?;
    hosts
        .run("blocked")?
        .assert_refused(&["nothing is enforced"]);
    let _agent = hosts.enforce(POINT)?;
    let finished = hosts.run("blocked --source 203.0.113.9")?;
    assert_eq!(
        (finished.code, finished.stdout.trim()),
        (Some(0), "no blocked flows")
    );
    for (arguments, part) in [
        ("--reason service", "not a reason to block"),
        ("--since 10", "60s, 5m or 1h"),
        ("--source 192.0.2.1/24", "bits set"),
    ] {
        let arguments = format!("blocked {arguments}");
        let finished = hosts.run(&arguments)?;
        assert_eq!(finished.code, Some(2), "{finished:?}");
        assert!(finished.stderr.contains(part), "{finished:?}");
    }
    Ok(())
}

#[test]
fn what_is_enforced_is_explained_and_suggested() -> Result<()> {
    let hosts = Hosts::new()?;
    let explain = |what: &str, flags: &str| {
        let ends = format!("--from {} --to {}", Hosts::CLIENT[0], Hosts::POINT[0]);
        hosts.run(&format!("explain {what} --live {ends} {flags}"))
    };
    // On failure, too, programs get an object.
    let nothing = explain("tcp/445", "-o json")?;
    let object: Value = serde_json::from_str(&nothing.stdout)?;
    assert_eq!((nothing.code, &object["code"]), (Some(2), &2.into()));
    assert!(object["error"].is_string(), "{nothing:?}");

    let agent = hosts.enforce(POINT)?;
    let passes = explain("tcp/445", "")?;
    assert_eq!(passes.code, Some(0), "{passes:?}");
    assert!(passes.stdout.contains("link 15, smb"), "{passes:?}");
    let forbidden = format!("tcp/{FORBIDDEN}");
    let dropped = explain(&forbidden, "")?;
    assert_eq!(dropped.code, Some(1), "{dropped:?}");
    assert!(
        dropped.stdout.contains("is dropped as not-allowed"),
        "{dropped:?}"
    );
    assert_eq!(explain(&forbidden, "--outwards")?.code, Some(0));

    knock(&hosts, &agent, 3)?;
    let suggested = hosts.run("blocked --suggest")?;
    assert_eq!(suggested.code, Some(0), "{suggested:?}");
    let rule = format!("[[allow]]\nname = \"tcp-{FORBIDDEN}\"\nprotocol = \"tcp\"\n");
    assert!(suggested.stdout.contains(&rule), "{suggested:?}");
    // In a pipe the reason is whole, on the flow's own line.
    let table = hosts.run("blocked")?.stdout;
    let is_it =
        |line: &str| line.contains("192.0.2.1") && line.contains("not-allowed, eth0 inbound");
    assert!(table.lines().any(is_it), "{table}");
    Ok(())
}
