//! 10,000 changes of policy under traffic on two interfaces: every packet is judged by one policy.
//!
//! A policy is in several maps. A packet that took its ports from one policy and the class of its
//! sender from the other would be a mixture. So the two policies give the same class numbers to
//! different senders: a mixture passes what neither of them allows, in whichever way it is mixed.
//! The test makes sure of that first, by mixing them itself.
//!
//! A real agent has attached the programs; this test publishes in its stead, as fast as it goes.
//! The kernel's counters are the witness: they count every packet.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle, sleep};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use sccm_agent::kernel::{Maps, PinDir};
use sccm_agent::policy::{
    Allow, Compiled, Protected, Request, Rpc, Rule, SitePolicy, Surroundings, compile,
};
use sccm_common::Place;
use sccm_tests::agent::{Hosts, POINT};
use sccm_tests::netns::veth_pair;
use sccm_tests::packet::Packet;
use sccm_tests::traffic::FrameSocket;

/// Changes of policy.
const FLIPS: u32 = 10_000;

/// In so many, two write a bank; the others are the one word.
const PERIOD: u32 = 20;

/// Two senders of each family.
const SENDERS: [[&str; 2]; 2] = [
    ["192.0.2.17", "192.0.2.33"],
    ["2001:db8:1::1", "2001:db8:2::1"],
];

/// Classes are numbered in the order of addresses: policy A gives class 1 to the first sender and
/// class 2 to the second.
const A: &[&str] = &[
    "udp/7003@192.0.2.32/28",
    "udp/7003@2001:db8:2::/64",
    "udp/7005@192.0.2.17",
    "udp/7005@2001:db8:1::1",
    "udp/7006",
];

/// Policy B does it the other way round, by addresses in front that nobody sends from.
const B: &[&str] = &[
    "udp/7005@192.0.2.1",
    "udp/7005@2001:db8::1",
    "udp/7004@192.0.2.16/28",
    "udp/7004@2001:db8:1::/64",
    "udp/7005@192.0.2.16/28",
    "udp/7005@2001:db8:1::/64",
    "udp/7005@192.0.2.33",
    "udp/7005@2001:db8:2::1",
    "udp/7007",
];

/// What is sent: which sender, to which port, and the policies that let it pass.
const SENT: [(usize, u16, &str); 6] = [
    // A's tables with B's classes would let it pass.
    (0, 7003, ""),
    // B's tables with A's classes would.
    (1, 7004, ""),
    (0, 7005, "AB"),
    // Multicast, which the role needs.
    (1, 63500, "AB"),
    (0, 7006, "A"),
    (1, 7007, "B"),
];

fn compiled(maps: &Maps, allowed: &[&str]) -> Result<Compiled> {
    let rules = allowed.iter().map(|text| {
        let allow: Allow = text.parse().map_err(anyhow::Error::msg)?;
        Ok(Rule::from(&allow))
    });
    let policy = SitePolicy {
        protect: vec![Protected {
            name: "point".to_owned(),
            roles: vec!["distribution-point".into()],
            addresses: Vec::new(),
            rpc: Rpc::Static,
            elsewhere: false,
        }],
        allow: rules.collect::<Result<_>>()?,
        ..SitePolicy::default()
    };
    let request = Request {
        policy: &policy,
        machine: &Surroundings::default(),
        observe: false,
    };
    compile(&request, maps.service_names()?)
}

/// A frame from a sender to the point, over the family's own card.
fn frame(hosts: &Hosts, family: usize, sender: usize, port: u16) -> Result<Vec<u8>> {
    let card = ["eth0", "eth1"][family];
    let from = SENDERS[family][sender];
    let packet = match Hosts::POINT[family] {
        IpAddr::V4(to) => Packet::ipv4(from, &to.to_string()),
        IpAddr::V6(to) => Packet::ipv6(from, &to.to_string()),
    };
    Ok(packet
        .source_mac(hosts.client.interface(card).mac()?)
        .destination_mac(hosts.point.interface(card).mac()?)
        .udp(40000, port)
        .payload(10)
        .build())
}

/// Makes sure that each policy, and each mixture of them, shows.
fn assert_mixtures_are_visible(hosts: &Hosts, maps: &Maps) -> Result<()> {
    let mix = |tables: &[&str], addresses: &[&str]| -> Result<Compiled> {
        Ok(Compiled {
            addresses: compiled(maps, addresses)?.addresses,
            ..compiled(maps, tables)?
        })
    };
    for (tables, addresses, wrong) in [
        (A, A, None),
        (B, B, None),
        (A, B, Some(7003)),
        (B, A, Some(7004)),
    ] {
        let mixed = mix(tables, addresses)?;
        let native = mixed.in_memory();
        let name = if tables == A { "A" } else { "B" };
        for family in [0, 1] {
            for (sender, port, policies) in SENT.into_iter().take(4) {
                let frame = frame(hosts, family, sender, port)?;
                let verdict = native.ingress(&frame, Place::Host);
                let passes = verdict.reason.disposition() == sccm_common::Disposition::Pass;
                match wrong {
                    None => assert_eq!(passes, policies.contains(name), "{name}: {port}"),
                    Some(wrong) => assert!(passes || port != wrong, "mixed: {port}"),
                }
            }
        }
    }
    Ok(())
}

/// Sends everything of [`SENT`] through one card until it is stopped; returns the rounds.
fn send(hosts: &Hosts, family: usize, stop: &Arc<AtomicBool>) -> Result<JoinHandle<Result<u64>>> {
    let frames = SENT
        .into_iter()
        .map(|(sender, port, _)| frame(hosts, family, sender, port))
        .collect::<Result<Vec<_>>>()?;
    let socket = FrameSocket::open(hosts.client.interface(["eth0", "eth1"][family]))?;
    let stop = Arc::clone(stop);
    Ok(thread::spawn(move || {
        let mut rounds = 0;
        while !stop.load(Ordering::Relaxed) {
            for frame in &frames {
                socket.send_until_taken(frame)?;
            }
            rounds += 1;
            thread::yield_now();
        }
        Ok(rounds)
    }))
}

#[test]
fn no_packet_is_judged_by_a_mixture_of_two_policies() -> Result<()> {
    let hosts = Hosts::new()?;
    veth_pair(&hosts.client, "eth1", &hosts.point, "eth1")?;
    let agent = hosts.enforce(&format!("{POINT} --interface eth1"))?;
    let mut maps = Maps::open(&PinDir::new(hosts.pins()))?;
    // Both have names for all ports, whichever is published first.
    for policy in [A, B] {
        maps.publish(&compiled(&maps, policy)?)?;
    }
    assert_mixtures_are_visible(&hosts, &maps)?;
    let policies = [compiled(&maps, A)?, compiled(&maps, B)?];
    maps.publish(&policies[0])?;
    maps.publish(&policies[1])?;

    let stop = Arc::<AtomicBool>::default();
    let senders = [send(&hosts, 0, &stop)?, send(&hosts, 1, &stop)?];
    let begun = Instant::now();
    for flip in 0..FLIPS {
        if flip % PERIOD < 2 {
            // Never what the bank holds already: the first writes the active policy there, too,
            // the second the other one over what was active until then.
            let held = maps.standby()?.tables;
            let next = policies.iter().find(|policy| policy.info.tables != held);
            maps.publish(next.context("both policies are one")?)?;
        } else {
            maps.unpublish()?;
        }
        if flip % PERIOD < PERIOD - 1 {
            // Some packets see each.
            sleep(Duration::from_micros(50));
        }
    }
    let took = begun.elapsed();
    stop.store(true, Ordering::Relaxed);

    let mut rounds = Vec::new();
    for sender in senders {
        rounds.push(sender.join().expect("a sender does not panic")?);
    }
    println!(
        "{FLIPS} flips in {took:?}; rounds of {} packets: {rounds:?}",
        SENT.len()
    );
    for (card, sent) in ["eth0", "eth1"].into_iter().zip(rounds) {
        ensure!(sent > u64::from(FLIPS), "{card}: {sent} rounds are too few");
        let labels = |key, value| [("interface", card), ("direction", "inbound"), (key, value)];
        let service = |name| labels("service", name);
        let metrics =
            agent.metrics_when(|metrics| metrics.passed(&service("multicast")) >= sent)?;
        let judged = metrics.passed(&labels("reason", "service"))
            + metrics.dropped(&labels("reason", "not-allowed"));
        assert_eq!(judged, sent * SENT.len() as u64, "{card}: judged packets");
        for never in ["udp/7003", "udp/7004"] {
            assert_eq!(metrics.passed(&service(never)), 0, "{card}: {never}");
        }
        for always in ["udp/7005", "multicast"] {
            assert_eq!(metrics.passed(&service(always)), sent, "{card}: {always}");
            assert_eq!(metrics.dropped(&service(always)), 0, "{card}: {always}");
        }
        for sometimes in ["udp/7006", "udp/7007"] {
            let passed = metrics.passed(&service(sometimes));
            assert!(passed > 0 && passed < sent, "{card}: {sometimes}");
        }
    }
    Ok(())
}
