//! Who is refused: counters tell the roles that the other end's address holds in the policy.

use anyhow::Result;
use sccm_agent::policy::{Compiled, Outbound, ServiceName, Surroundings};
use sccm_common::counter::{Counter, Direction, peer_index};
use sccm_common::{Place as Seat, Reason, Verdict};
use sccm_tests::datapath::{Counts, Datapath, INTERFACE, Place, Settings, runs_at_tc};
use sccm_tests::packet::Packet;

const ROLES: [&str; 1] = ["distribution-point"];

const PEERS: [(&str, &str); 5] = [
    ("client", "198.51.100.0/24"),
    ("client", "2001:db8:a::/48"),
    ("site-server", "198.51.100.7/32"),
    ("site-server", "2001:db8:a::7/128"),
    ("sql-server", "203.0.113.0/28"),
];

/// An address of each kind, of both families, and its name.
const NAMED: [(&str, &str, &str); 3] = [
    ("198.51.100.9", "2001:db8:a::9", "client"),
    ("198.51.100.7", "2001:db8:a::7", "client+site-server"),
    ("192.0.2.200", "2001:db8:ffff::1", "other"),
];

const LOCAL: [&str; 2] = ["192.0.2.10", "2001:db8::10"];

fn settings() -> Settings {
    Settings {
        peers: PEERS.to_vec(),
        outbound: Outbound::Enforce,
        ..Settings::roles(&ROLES)
    }
}

fn loaded(seat: Seat, settings: &Settings) -> Result<(Datapath, Compiled)> {
    let mut kernel = Datapath::load_at(seat)?;
    let compiled = kernel.publish(settings)?;
    Ok((kernel, compiled))
}

/// From every kind of peer to the protected system: its name, and the packet.
fn arriving() -> Vec<(&'static str, Packet)> {
    let both = NAMED.iter().flat_map(|(v4, v6, name)| {
        [(name, v4, LOCAL[0]), (name, v6, LOCAL[1])]
            .map(|(name, from, to)| (*name, Packet::ip(from, to)))
    });
    both.collect()
}

fn place(direction: Direction, reason: Reason, service: &str, peer: Option<&str>) -> Place {
    Place {
        interface: INTERFACE.to_owned(),
        direction,
        observing: false,
        reason,
        service: Some(service.to_owned()),
        peer: peer.map(str::to_owned),
    }
}

fn one(place: Place, frame: &[u8]) -> Counts {
    let mut counts = Counts::default();
    let bytes = frame.len() as u64;
    counts.add(place, Counter { packets: 1, bytes });
    counts
}

#[test]
fn what_is_refused_tells_who_asked() -> Result<()> {
    for observing in [false, true] {
        let (mut kernel, _) = loaded(
            Seat::Host,
            &Settings {
                observe: observing,
                ..settings()
            },
        )?;
        for (name, packet) in arriving() {
            // The fast path, and because of two tags the slow one.
            for packet in [packet.clone(), packet.vlan(20).vlan(30)] {
                let frame = packet.clone().tcp(50000, 1433).syn().build();
                assert_eq!(kernel.run_inbound(&frame)?.passes(), observing);
                let counted = Place {
                    observing,
                    ..place(
                        Direction::Inbound,
                        Reason::NotAllowed,
                        "tcp sql",
                        Some(name),
                    )
                };
                assert_eq!(kernel.newly_counted()?, one(counted, &frame));
                // What passes is counted whoever sent it.
                if name.starts_with("client") {
                    let frame = packet.tcp(50000, 80).syn().build();
                    assert!(kernel.run_inbound(&frame)?.passes());
                    let counted = Place {
                        observing,
                        ..place(Direction::Inbound, Reason::Service, "tcp http", None)
                    };
                    assert_eq!(kernel.newly_counted()?, one(counted, &frame));
                }
            }
        }
    }
    Ok(())
}

#[test]
fn what_protected_systems_may_not_open_tells_to_whom() -> Result<()> {
    for (seat, arrives) in [(Seat::Host, false), (Seat::Segment, true)] {
        let (mut kernel, _) = loaded(seat, &settings())?;
        for (v4, v6, name) in NAMED {
            for (from, to) in [(LOCAL[0], v4), (LOCAL[1], v6)] {
                let frame = Packet::ip(from, to).tcp(50000, 22).syn().build();
                let action = match arrives {
                    true => kernel.run_inbound(&frame)?,
                    false => kernel.run_outbound(&frame)?,
                };
                assert!(!action.passes());
                let reason = Reason::OutboundNotAllowed;
                let counted = place(Direction::Outbound, reason, "tcp none", Some(name));
                assert_eq!(kernel.newly_counted()?, one(counted, &frame));
            }
        }
    }
    Ok(())
}

#[test]
fn where_nobody_is_named_nobody_is_told() -> Result<()> {
    let role_only = Settings {
        peers: Vec::new(),
        ..settings()
    };
    let own = Settings {
        machine: Surroundings::gateway(&["192.0.2.1".parse()?]),
        ..settings()
    };
    let listed = Settings {
        addresses: vec!["192.0.2.99/32"],
        ..settings()
    };
    let to_own = Packet::ip("192.0.2.10", "192.0.2.1");
    let from_client = Packet::ip("198.51.100.9", LOCAL[0]);
    for (seat, settings, direction, reason, packet) in [
        (
            Seat::Host,
            &role_only,
            Direction::Inbound,
            Reason::NotAllowed,
            &from_client,
        ),
        // A segment's page is that of what its systems open.
        (
            Seat::Segment,
            &own,
            Direction::Outbound,
            Reason::NotAllowed,
            &to_own,
        ),
        (
            Seat::Uplink,
            &listed,
            Direction::Inbound,
            Reason::UnlistedHost,
            &from_client,
        ),
    ] {
        let (mut kernel, _) = loaded(seat, settings)?;
        let frame = packet.clone().tcp(50000, 1433).syn().build();
        assert!(!kernel.run_inbound(&frame)?.passes());
        let counted = place(direction, reason, "tcp sql", None);
        assert_eq!(kernel.newly_counted()?, one(counted, &frame));
        // Nor of what did not parse.
        assert!(!kernel.run_inbound(&frame[..30])?.passes());
        let counted = kernel.newly_counted()?.0;
        assert!(
            counted.keys().all(|place| place.peer.is_none()),
            "{counted:?}"
        );
    }
    Ok(())
}

#[test]
fn a_name_keeps_its_counters_under_every_policy() -> Result<()> {
    let (mut kernel, _) = loaded(Seat::Host, &settings())?;
    let ask = |kernel: &mut Datapath, from: &str| -> Result<Option<String>> {
        let frame = Packet::ip(from, LOCAL[0]).tcp(50000, 1433).syn().build();
        assert!(!kernel.run_inbound(&frame)?.passes());
        let mut counted = kernel.newly_counted()?.0.into_keys();
        Ok(counted.next().and_then(|place| place.peer))
    };
    assert_eq!(ask(&mut kernel, "198.51.100.9")?.as_deref(), Some("client"));
    // Others come first by the alphabet, and would take the first numbers.
    kernel.publish(&Settings {
        peers: vec![
            ("asset-intelligence-synchronization-point", "203.0.113.0/24"),
            ("client", "192.0.2.0/24"),
        ],
        ..settings()
    })?;
    assert_eq!(kernel.newly_counted()?, Counts::default());
    assert_eq!(ask(&mut kernel, "192.0.2.9")?.as_deref(), Some("client"));
    assert_eq!(ask(&mut kernel, "198.51.100.9")?.as_deref(), Some("other"));
    let name = "asset-intelligence-synchronization-point";
    assert_eq!(ask(&mut kernel, "203.0.113.9")?.as_deref(), Some(name));
    Ok(())
}

/// Where the kernel should count a verdict of the native program.
fn counted(verdict: Verdict, direction: Direction, compiled: &Compiled) -> Place {
    let label = |name: &ServiceName| format!("{} {}", name.protocol, name.service);
    let service = compiled.services.get(verdict.service).map(label);
    let service = service.map(|label| label.trim_start().to_owned());
    let peer = peer_index(direction, verdict).and(compiled.services.peers.get(verdict.peer));
    Place {
        service: verdict.reason.service_row().and(service),
        ..place(direction, verdict.reason, "", peer)
    }
}

/// A thousand packets, of any kind, between all kinds of ends: every one is counted once, by the
/// peer that the same decision finds outside of the kernel.
#[test]
fn all_packets_are_counted_once_whoever_sent_them() -> Result<()> {
    let (mut kernel, compiled) = loaded(Seat::Host, &settings())?;
    let native = compiled.in_memory();
    let mut random = fastrand::Rng::with_seed(7);
    let (mut expected, mut sent) = (Counts::default(), 0);
    for _ in 0..1000 {
        let (_, from) = random.choice(arriving()).expect("there are some");
        let port = random
            .choice([21, 80, 443, 445, 1433, 8530, 50000])
            .expect("as above");
        let from = match random.u8(0..4) {
            0 => from.tcp(40000, port).syn(),
            1 => from.tcp(40000, port).ack(),
            2 => from.udp(40000, port),
            _ => from.icmp_echo_request(port),
        };
        let mut frame = match random.bool() {
            true => from.build(),
            false => from.vlan(20).vlan(30).build(),
        };
        if random.u8(0..8) == 0 {
            frame.truncate(random.usize(14..frame.len()));
        }
        let outbound = random.bool() && runs_at_tc(&frame);
        let judged = match outbound {
            true => native.egress(&frame, Seat::Host, false),
            false => Some((Direction::Inbound, native.ingress(&frame, Seat::Host))),
        };
        match outbound {
            true => kernel.run_outbound(&frame)?,
            false => kernel.run_inbound(&frame)?,
        };
        let (direction, verdict) = judged.expect("a host judges all that leaves");
        let bytes = frame.len() as u64;
        expected.add(
            counted(verdict, direction, &compiled),
            Counter { packets: 1, bytes },
        );
        sent += 1;
    }
    let counts = kernel.newly_counted()?;
    assert_eq!(counts, expected);
    let packets: u64 = counts.0.values().map(|count| count.packets).sum();
    assert_eq!(packets, sent);
    let by_peer = counts.0.keys().filter(|place| place.peer.is_some());
    assert!(by_peer.count() > 20, "{counts:?}");
    Ok(())
}
