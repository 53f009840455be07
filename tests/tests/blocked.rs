//! Blocked flows: what is refused lands in the table with exact numbers, and people are told
//! of it; what passes leaves no trace there.

use anyhow::Result;
use nix::sys::signal::Signal;
use sccm_agent::kernel::Clock;
use sccm_agent::policy::Outbound;
use sccm_common::blocked::{BURST, mark};
use sccm_common::{Place, Reason};
use sccm_tests::agent::{Agent, FORBIDDEN, Hosts, POINT};
use sccm_tests::datapath::{Datapath, Settings};
use sccm_tests::packet::Packet;
use sccm_tests::traffic::FrameSocket;
use serde_json::Value;

const ROLES: [&str; 1] = ["distribution-point"];

/// From the peer, of both families.
fn arriving() -> [Packet; 2] {
    [
        Packet::ipv4("198.51.100.7", "192.0.2.10"),
        Packet::ipv6("2001:db8:ffff::7", "2001:db8::10"),
    ]
}

fn loaded(place: Place, settings: &Settings) -> Result<Datapath> {
    let mut kernel = Datapath::load_at(place)?;
    kernel.publish(settings)?;
    Ok(kernel)
}

#[test]
fn what_is_refused_is_noted_and_what_passes_is_not() -> Result<()> {
    let mut kernel = loaded(Place::Host, &Settings::roles(&ROLES))?;
    let leaving = [
        Packet::ipv4("192.0.2.10", "198.51.100.7"),
        Packet::ipv6("2001:db8::10", "2001:db8:ffff::7"),
    ];
    for (family, packet) in (0_u8..).zip(arriving()) {
        let fast = packet.clone().tcp(50000, 445 + 3000).syn().build();
        let slow = packet.clone().icmp_echo_request(7).build();
        let other_echo = packet.clone().icmp_echo_request(8).build();
        for _ in 0..5 {
            assert!(!kernel.run_inbound(&fast)?.passes());
        }
        assert!(!kernel.run_inbound(&slow)?.passes());
        assert!(!kernel.run_inbound(&other_echo)?.passes());
        // Two tags take the long way.
        for packet in [packet.clone(), packet.vlan(20).vlan(30)] {
            let allowed = packet.tcp(50000, 80).syn().build();
            assert!(kernel.run_inbound(&allowed)?.passes());
        }
        let answer = leaving[usize::from(family)].clone().tcp(80, 50000);
        assert!(kernel.run_outbound(&answer.syn().ack().build())?.passes());

        let mut flows = kernel.blocked()?;
        flows.retain(|flow| flow.key.family == family);
        let told: Vec<_> = flows
            .iter()
            .map(|flow| (flow.key.port, flow.packets, flow.bytes))
            .collect();
        let echo_type = if family == 0 { 8 } else { 128 };
        let echo_bytes = (slow.len() + other_echo.len()) as u64;
        // Echoes with different identifiers are one flow.
        let expected = [(echo_type, 2, echo_bytes), (3445, 5, 5 * fast.len() as u64)];
        assert_eq!(told, expected);
        let clock = Clock::read()?;
        for flow in flows {
            assert_eq!(flow.key.reason, Reason::NotAllowed as u8);
            assert_eq!((flow.key.marks, flow.key.slot), (0, 1));
            assert!(flow.first <= flow.last);
            let age = clock.age(flow.last);
            assert!(age < 120, "{age} s ago: the clocks disagree");
        }
    }
    assert_eq!(kernel.unnoted(Reason::NotAllowed)?.suppressed, 0);
    Ok(())
}

#[test]
fn what_is_only_counted_is_not_noted() -> Result<()> {
    let counting = Settings {
        count_only: true,
        outbound: Outbound::Enforce,
        ..Settings::roles(&ROLES)
    };
    let mut kernel = loaded(Place::Host, &counting)?;
    let leaving = Packet::ipv4("192.0.2.10", "198.51.100.7");
    for packet in arriving() {
        // The fast path, and because of two tags the slow one.
        for packet in [packet.clone(), packet.vlan(20).vlan(30)] {
            let refused = packet.clone().tcp(50000, 3389).syn().build();
            assert!(!kernel.run_inbound(&refused)?.passes());
            let allowed = packet.tcp(50000, 80).syn().build();
            assert!(kernel.run_inbound(&allowed)?.passes());
        }
    }
    let refused = leaving.tcp(40000, 25).syn().build();
    assert!(!kernel.run_outbound(&refused)?.passes());

    let counts = kernel.newly_counted()?.0;
    let of = |reason| -> u64 {
        let of_reason = counts.iter().filter(|(place, _)| place.reason == reason);
        of_reason.map(|(_, count)| count.packets).sum()
    };
    assert_eq!(of(Reason::NotAllowed), 4);
    assert_eq!(of(Reason::OutboundNotAllowed), 1);
    assert_eq!(of(Reason::Service), 4);
    assert!(kernel.blocked()?.is_empty());
    assert_eq!(kernel.unnoted(Reason::NotAllowed)?.suppressed, 0);
    Ok(())
}

/// The clock that reads the times is the one that wrote them, to the second.
#[test]
fn times_are_those_of_the_machine() -> Result<()> {
    let mut kernel = loaded(Place::Host, &Settings::roles(&ROLES))?;
    let [packet, _] = arriving();
    let frame = packet.tcp(50000, 9999).syn().build();
    let before = Clock::read()?;
    kernel.run_inbound(&frame)?;
    let after = Clock::read()?;
    let last = kernel.blocked()?[0].last;
    // A flow that would be ahead of the clock counts as just now.
    let (from, to) = (before.unix(u32::MAX), after.unix(u32::MAX));
    let at = after.unix(last);
    assert!(
        (from.saturating_sub(5)..=to).contains(&at),
        "{from}..{to}: {at}"
    );
    Ok(())
}

#[test]
fn observed_and_leaving_flows_are_marked() -> Result<()> {
    let observing = Settings {
        observe: true,
        outbound: Outbound::Enforce,
        ..Settings::roles(&ROLES)
    };
    let mut kernel = loaded(Place::Host, &observing)?;
    let [packet, _] = arriving();
    assert!(
        kernel
            .run_inbound(&packet.tcp(50000, 3389).syn().build())?
            .passes()
    );
    let leaving = Packet::ipv4("192.0.2.10", "198.51.100.7");
    assert!(
        kernel
            .run_outbound(&leaving.tcp(40000, 25).syn().build())?
            .passes()
    );
    let flows = kernel.blocked()?;
    let marks = flows.iter().map(|flow| (flow.key.port, flow.key.marks));
    let mut marks: Vec<_> = marks.collect();
    marks.sort_unstable();
    assert_eq!(
        marks,
        [
            (25, mark::OUTBOUND | mark::OBSERVED),
            (3389, mark::OBSERVED)
        ]
    );
    Ok(())
}

#[test]
fn what_arrives_at_a_segment_goes_out() -> Result<()> {
    let enforcing = Settings {
        outbound: Outbound::Enforce,
        ..Settings::roles(&ROLES)
    };
    let mut kernel = loaded(Place::Segment, &enforcing)?;
    let packet = Packet::ipv4("192.0.2.10", "198.51.100.7");
    assert!(
        !kernel
            .run_inbound(&packet.tcp(40000, 25).syn().build())?
            .passes()
    );
    let flows = kernel.blocked()?;
    assert_eq!((flows.len(), flows[0].key.marks), (1, mark::OUTBOUND));
    assert_eq!(flows[0].key.reason, Reason::OutboundNotAllowed as u8);
    Ok(())
}

#[test]
fn a_flood_of_sources_is_counted_as_suppressed() -> Result<()> {
    const SOURCES: u32 = 20_000;
    let mut kernel = loaded(Place::Host, &Settings::roles(&ROLES))?;
    let [packet, _] = arriving();
    let mut frame = packet.tcp(50000, 3389).syn().build();
    for source in 0..SOURCES {
        frame[26..30].copy_from_slice(&(0x0a00_0000 + source).to_be_bytes());
        kernel.run_inbound(&frame)?;
    }
    let flows = kernel.blocked()?;
    let unnoted = kernel.unnoted(Reason::NotAllowed)?;
    assert!(flows.len() as u32 >= BURST / 2, "{}", flows.len());
    let suppressed = unnoted.suppressed;
    assert!(
        suppressed > 0 && suppressed <= u64::from(SOURCES - BURST),
        "{suppressed}"
    );
    // Whatever was noted and not pushed out, and what was suppressed, is not more than was sent.
    assert!(flows.len() as u64 + suppressed <= u64::from(SOURCES));
    assert_eq!(unnoted.lost, 0);
    // The counters count all.
    let counted = kernel.newly_counted()?;
    let packets: u64 = counted.0.values().map(|count| count.packets).sum();
    assert_eq!(packets, u64::from(SOURCES));
    Ok(())
}

/// Sends this many SYNs to [`FORBIDDEN`] in each family, and waits until they are counted.
fn knock(hosts: &Hosts, agent: &Agent<'_>, count: u64) -> Result<()> {
    let labels = [("reason", "not-allowed"), ("protocol", "tcp")];
    let before = agent.metrics()?.dropped(&labels);
    let socket = FrameSocket::open(hosts.client.interface("eth0"))?;
    for packet in hosts.packets()? {
        let frame = packet.tcp(40000, FORBIDDEN).syn().build();
        for _ in 0..count {
            socket.send(&frame)?;
        }
    }
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
        ("--reason service", "no reason to block"),
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
