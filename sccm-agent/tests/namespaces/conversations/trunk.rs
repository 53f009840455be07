//! Cards that carry several VLANs, of which only some were named.
//!
//! Frames come tagged from a raw socket, so what is told here needs no VLAN device.

use std::net::IpAddr;

use anyhow::Result;
use sccm_tests::agent::{Agent, mode};
use sccm_tests::gateway::{CLIENT, FAMILIES, SERVER, Stage, Topology};
use sccm_tests::packet::Packet;
use sccm_tests::packet::rpc::{self, Unit};
use sccm_tests::scrape::Metrics;

use super::crossing::{Crossing, packet};

const ALLOWED: u16 = 80;
const FORBIDDEN: u16 = 8080;

/// A port to open connections from: below the RPC range, in which answers are a service.
const OWN: u16 = 40001;

/// Both address families.
const TWO: u64 = FAMILIES.len() as u64;

/// From the client to the server.
fn to(family: usize, port: u16) -> Packet {
    packet(CLIENT[family], SERVER[family])
        .tcp(40000, port)
        .syn()
}

/// How many packets of an interface ended so, passed and dropped.
fn told(metrics: &Metrics, interface: &str, direction: &str, reason: &str) -> (u64, u64) {
    let labels = [
        ("interface", interface),
        ("direction", direction),
        ("reason", reason),
    ];
    (metrics.passed(&labels), metrics.dropped(&labels))
}

fn is_enforcing(agent: &Agent, interface: &str) -> Result<bool> {
    let labels = [("interface", interface), ("mode", mode())];
    Ok(agent.metrics()?.sum("sccm_enforcing", &labels) == 1.0)
}

#[test]
fn a_named_vlan_is_judged_and_the_others_pass() -> Result<()> {
    let stage = Stage::new(Topology::Bridged)?;
    let agent = stage.enforce_cards("--uplink up0.20 --segment seg0.20")?;
    let crossing = Crossing::new(&stage)?;
    // Whatever is behind a tag that names the VLAN, and behind tags that name none.
    let named: [fn(Packet) -> Packet; 5] = [
        |packet| packet.vlan(20),
        |packet| packet.vlan(0x6000 | 20),
        |packet| packet.tag(0x88a8, 20),
        |packet| packet.vlan(20).vlan(30),
        |packet| packet.vlan(0).vlan(20),
    ];
    let others: [fn(Packet) -> Packet; 4] = [
        |packet| packet,
        |packet| packet.vlan(30),
        |packet| packet.qinq(30, 20),
        |packet| packet.vlan(0),
    ];
    for family in FAMILIES {
        for tag in named {
            assert!(crossing.reaches(tag(to(family, ALLOWED)))?);
            assert!(!crossing.reaches(tag(to(family, FORBIDDEN)))?);
        }
        for tag in others {
            assert!(crossing.reaches(tag(to(family, ALLOWED)))?);
            assert!(crossing.reaches(tag(to(family, FORBIDDEN)))?);
        }
        // The kernel would look behind any number of these.
        let smuggled = to(family, FORBIDDEN).vlan(0).vlan(0).vlan(20);
        assert!(!crossing.reaches(smuggled)?);
    }
    let metrics = agent.metrics()?;
    let judged = TWO * named.len() as u64;
    assert_eq!(told(&metrics, "up0.20", "inbound", "service"), (judged, 0));
    assert_eq!(
        told(&metrics, "up0.20", "inbound", "not-allowed"),
        (0, judged)
    );
    assert_eq!(told(&metrics, "up0", "inbound", "vlan-depth"), (0, TWO));
    // The kernels at either end speak without a tag, too.
    let (passed, dropped) = told(&metrics, "up0", "inbound", "other-vlan");
    assert!(passed >= 2 * TWO * others.len() as u64 && dropped == 0);
    assert_eq!(metrics.dropped(&[]), judged + TWO);
    for interface in ["up0", "up0.20", "seg0", "seg0.20"] {
        assert!(is_enforcing(&agent, interface)?, "{interface}");
    }
    Ok(())
}

/// A router on a stick: both sides of the gateway are VLANs of one card.
#[test]
fn two_vlans_of_a_card_have_places_of_their_own() -> Result<()> {
    let stage = Stage::new(Topology::Host)?;
    let agent = stage.enforce_cards("--uplink eth0.20 --segment eth0.30")?;
    let crossing = Crossing::new(&stage)?;
    // Neither end of the cable: an address of the gateway itself is none of the segment.
    let protected: [IpAddr; 2] = ["198.51.100.77".parse()?, "2001:db8:2::77".parse()?];
    for family in FAMILIES {
        let inward = || packet(CLIENT[family], protected[family]);
        let open = || {
            packet(protected[family], CLIENT[family])
                .tcp(OWN, 8443)
                .syn()
        };
        let answer = || inward().tcp(8443, OWN).syn();
        assert!(crossing.reaches(inward().tcp(40000, ALLOWED).syn().vlan(20))?);
        assert!(!crossing.reaches(inward().tcp(40000, FORBIDDEN).syn().vlan(20))?);
        // Nothing is an answer before the segment has opened something.
        assert!(!crossing.reaches(answer().ack().vlan(20))?);
        assert!(crossing.reaches(open().vlan(30))?);
        assert!(crossing.reaches(answer().ack().vlan(20))?);
        // The same in a VLAN that is neither.
        assert!(crossing.reaches(to(family, FORBIDDEN).vlan(40))?);
    }
    let metrics = agent.metrics()?;
    assert_eq!(told(&metrics, "eth0.20", "inbound", "service"), (TWO, 0));
    assert_eq!(told(&metrics, "eth0.20", "inbound", "reply"), (TWO, 0));
    assert_eq!(
        told(&metrics, "eth0.20", "inbound", "not-allowed"),
        (0, 2 * TWO)
    );
    assert_eq!(told(&metrics, "eth0.30", "outbound", "outbound"), (TWO, 0));
    Ok(())
}

#[test]
fn a_card_beside_its_vlan_has_all_the_rest() -> Result<()> {
    let stage = Stage::new(Topology::Host)?;
    let agent = stage.enforce_cards("--interface eth0 --interface eth0.20")?;
    let crossing = Crossing::new(&stage)?;
    for family in FAMILIES {
        for (tag, id) in [(false, 0), (true, 20), (true, 30)] {
            let packet = |port| match tag {
                true => to(family, port).vlan(id),
                false => to(family, port),
            };
            assert!(crossing.reaches(packet(ALLOWED))?);
            assert!(!crossing.reaches(packet(FORBIDDEN))?);
        }
    }
    let metrics = agent.metrics()?;
    let dropped = |interface| told(&metrics, interface, "inbound", "not-allowed").1;
    assert_eq!((dropped("eth0"), dropped("eth0.20")), (2 * TWO, TWO));
    assert_eq!(told(&metrics, "eth0", "inbound", "other-vlan"), (0, 0));
    Ok(())
}

/// Where frames leave, a bridge hands the tag over beside the frame; what a host sends from a
/// raw socket has it within.
#[test]
fn what_leaves_is_told_apart_by_its_tag_wherever_that_is() -> Result<()> {
    let stage = Stage::new(Topology::Bridged)?;
    let mut arguments = "--interface seg0.20 --outbound enforce".to_owned();
    let agent = stage.enforce_cards(&arguments)?;
    let crossing = Crossing::new(&stage)?;
    let told = |agent: &Agent, interface| -> Result<[(u64, u64); 2]> {
        let metrics = agent.metrics()?;
        Ok(["outbound-not-allowed", "other-vlan"]
            .map(|reason| told(&metrics, interface, "outbound", reason)))
    };
    for family in FAMILIES {
        assert!(!crossing.reaches(to(family, FORBIDDEN).vlan(20))?);
        assert!(!crossing.reaches(to(family, FORBIDDEN).vlan(0).vlan(20))?);
        assert!(crossing.reaches(to(family, FORBIDDEN).vlan(30))?);
    }
    assert_eq!(told(&agent, "seg0.20")?, [(0, 2 * TWO), (0, 0)]);
    assert!(told(&agent, "seg0")?[1].0 >= TWO);
    drop(agent);

    // What came in through a card that judges it is not judged again.
    arguments.push_str(" --interface up0 --allow tcp/8080");
    let agent = stage.enforce_cards(&arguments)?;
    for family in FAMILIES {
        assert!(crossing.reaches(to(family, FORBIDDEN).vlan(20))?);
    }
    assert_eq!(told(&agent, "seg0.20")?, [(0, 2 * TWO), (0, 0)]);
    drop(agent);

    let host = Stage::new(Topology::Host)?;
    let agent = host.enforce_cards("--interface eth0.20 --outbound enforce")?;
    let back = Crossing::back(&host)?;
    for family in FAMILIES {
        let opens = || {
            packet(SERVER[family], CLIENT[family])
                .tcp(OWN, FORBIDDEN)
                .syn()
        };
        // Whoever sends a frame is told of its drop.
        assert!(back.send(&opens().vlan(20)).is_err());
        assert!(back.reaches(opens().vlan(30))?);
    }
    assert_eq!(told(&agent, "eth0.20")?, [(0, TWO), (0, 0)]);
    Ok(())
}

/// The programs of a trunk read what a mapper says behind the tag, and only of the VLAN that was named.
#[test]
fn a_mapper_of_a_named_vlan_opens_ports() -> Result<()> {
    const HANDED_OUT: u16 = 49_700;
    let stage = Stage::new(Topology::Bridged)?;
    let agent = stage.enforce_cards("--uplink up0.20 --segment seg0.20 --rpc tracked")?;
    let (there, back) = (Crossing::new(&stage)?, Crossing::back(&stage)?);
    for family in FAMILIES {
        let (client, server) = (CLIENT[family], SERVER[family]);
        let asks = |vlan, data: &[u8]| {
            let packet = packet(client, server).vlan(vlan).tcp(OWN, 135).psh().ack();
            there.carries(packet.sequence(100).acknowledgement(900), data)
        };
        let answers = |vlan, data: &[u8]| {
            let packet = packet(server, client).vlan(vlan).tcp(135, OWN).psh().ack();
            back.carries(packet.sequence(900).acknowledgement(100), data)
        };
        let is_open = || there.reaches(to(family, HANDED_OUT).vlan(20));
        let contexts: [rpc::Context<'_>; 1] = [(0, rpc::MAPPER, &[rpc::NDR32])];
        let question = [
            rpc::proposal(Unit::new(11, 1), &contexts),
            rpc::request(Unit::new(0, 2), 0, 3, &[0; 40]),
        ]
        .concat();
        let towers = rpc::towers(false, false, &[rpc::tower(7, HANDED_OUT, [0; 4])], 0);
        let answer = rpc::response(Unit::new(2, 2), 0, &towers);
        for (vlan, opens) in [(30, false), (20, true)] {
            assert!(asks(vlan, &question)? && answers(vlan, &answer)?);
            assert_eq!(is_open()?, opens, "VLAN {vlan}");
        }
    }
    let metrics = agent.metrics()?;
    assert_eq!(
        told(&metrics, "up0.20", "inbound", "rpc-not-named"),
        (0, TWO)
    );
    assert_eq!(metrics.sum("sccm_rpc_openings", &[]), 2.0);
    Ok(())
}
