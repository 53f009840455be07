//! The programs at the two sides of a gateway.

use anyhow::Result;
use sccm_agent::policy::{Outbound, Surroundings};
use sccm_common::Place;
use sccm_common::Reason::{
    self, IcmpError, IcmpErrorRelated, IcmpErrorUnrelated, NotAllowed, Outbound as Left,
    OutboundNotAllowed, Reply, Service, SpoofedSource,
};
use sccm_common::blocked::mark;
use sccm_tests::datapath::{Counts, Datapath, Settings};
use sccm_tests::packet::Packet;

use super::{FAMILIES, Fate, pxe};

/// The gateway's own addresses.
const OWN: [&str; 2] = ["192.0.2.1", "2001:db8::1"];

fn gateway(place: Place, outbound: Outbound) -> Result<Datapath> {
    let mut datapath = Datapath::load_at(place)?;
    datapath.publish(&Settings {
        machine: Surroundings::gateway(&[OWN[0].parse()?, OWN[1].parse()?]),
        manage: vec!["tcp/22"],
        ..pxe(outbound)
    })?;
    Ok(datapath)
}

#[test]
fn the_uplink_tells_the_gateway_from_the_segment() -> Result<()> {
    for (pair, own) in FAMILIES.into_iter().zip(OWN) {
        let mut kernel = gateway(Place::Uplink, Outbound::Track)?;
        let to_own = || Packet::ip(pair.peer, own);
        assert_eq!(kernel.arrives(&pair.back().tcp(50000, 80).syn())?, Service);
        assert_eq!(
            kernel.arrives(&pair.back().tcp(50000, 22).syn())?,
            NotAllowed
        );
        assert_eq!(kernel.arrives(&to_own().tcp(50000, 22).syn())?, Service);
        assert_eq!(kernel.arrives(&to_own().tcp(50000, 80).syn())?, NotAllowed);
        // What the gateway opens itself is answered.
        let answer = to_own().tcp(443, 40000).syn().ack();
        assert_eq!(kernel.arrives(&answer)?, NotAllowed);
        let opening = Packet::ip(own, pair.peer).tcp(40000, 443).syn();
        assert_eq!(kernel.leaves(&opening)?, Left);
        assert_eq!(kernel.arrives(&answer)?, Reply);
    }
    Ok(())
}

#[test]
fn the_segment_is_judged_outbound() -> Result<()> {
    for (pair, own) in FAMILIES.into_iter().zip(OWN) {
        let mut kernel = gateway(Place::Segment, Outbound::Enforce)?;
        assert_eq!(kernel.arrives(&pair.out().tcp(40000, 1433).syn())?, Left);
        assert_eq!(kernel.flows()?, 1);
        let web = pair.out().tcp(40000, 443).syn();
        assert_eq!(kernel.arrives(&web)?, OutboundNotAllowed);
        let to_own = || Packet::ip(pair.protected, own);
        assert_eq!(kernel.arrives(&to_own().tcp(50000, 22).syn())?, Service);
        assert_eq!(
            kernel.arrives(&to_own().tcp(50000, 1433).syn())?,
            NotAllowed
        );
        let forged = Packet::ip(own, pair.peer).tcp(40000, 443).syn();
        assert_eq!(kernel.arrives(&forged)?, SpoofedSource);
        assert_eq!(kernel.flows()?, 1);
    }
    Ok(())
}

#[test]
fn what_others_send_by_the_uplink_is_not_counted_again() -> Result<()> {
    for pair in FAMILIES {
        let mut kernel = gateway(Place::Uplink, Outbound::Enforce)?;
        for forwarded in [
            pair.out().tcp(40000, 443).syn(),
            pair.back().tcp(1, 2).syn(),
        ] {
            let action = kernel.run_outbound(&forwarded.build())?;
            assert!(action.passes());
        }
        assert_eq!(kernel.newly_counted()?, Counts::default());
        assert_eq!(kernel.flows()?, 0);
    }
    Ok(())
}

/// A test run comes in at no interface, like what a raw socket forges: F1 of the field's faults.
#[test]
fn what_leaves_into_the_segment_unjudged_is_judged_there_inbound() -> Result<()> {
    for (pair, own) in FAMILIES.into_iter().zip(OWN) {
        for outbound in [Outbound::Track, Outbound::Enforce] {
            let mut kernel = gateway(Place::Segment, outbound)?;
            let mut passes = |packet: Packet| -> Result<Reason> {
                let judged = kernel.judge_passing(&packet.build())?;
                assert_eq!(judged.action.passes(), judged.reason.passes(), "{judged:?}");
                Ok(judged.reason)
            };
            assert_eq!(passes(pair.back().tcp(50000, 80).syn())?, Service);
            assert_eq!(passes(pair.back().tcp(50000, 23).syn())?, NotAllowed);
            assert_eq!(passes(pair.back().udp(50000, 53))?, Service);
            assert_eq!(passes(pair.back().vlan(7).vlan(8).udp(1, 23))?, NotAllowed);
            assert_eq!(passes(pair.back().icmp_echo_request(7))?, NotAllowed);
            // An error that quotes nothing.
            let (kind, quote) = match pair.is_v6() {
                true => (1, [0x60; 48]),
                false => (3, [0x45; 48]),
            };
            let error = match pair.is_v6() {
                true => pair.back().icmpv6(kind, 0),
                false => pair.back().icmp(kind, 0),
            };
            assert_eq!(passes(error.data(quote))?, IcmpErrorUnrelated);
            let nobody = if pair.is_v6() { "::1" } else { "127.0.0.1" };
            let spoofed = Packet::ip(nobody, pair.protected).tcp(50000, 80).syn();
            assert_eq!(passes(spoofed)?, SpoofedSource);
            assert_eq!(kernel.flows()?, 0);
            // An answer to what the segment opened.
            let opening = pair.out().tcp(40000, 1433).syn();
            assert_eq!(kernel.arrives(&opening)?, Left);
            let answer = pair.back().tcp(1433, 40000).syn().ack().build();
            assert_eq!(kernel.judge_passing(&answer)?.reason, Reply);
            // The gateway's own goes out as before.
            let opening = Packet::ip(own, pair.protected).tcp(40000, 443).syn();
            assert_eq!(kernel.leaves(&opening)?, Left);
            assert_eq!(kernel.flows()?, 2);
        }
    }
    Ok(())
}

#[test]
fn what_is_refused_on_its_way_into_the_segment_is_noted() -> Result<()> {
    for pair in FAMILIES {
        let mut kernel = gateway(Place::Segment, Outbound::Track)?;
        let frame = pair.back().tcp(50000, 23).syn().build();
        kernel.judge_passing(&frame)?;
        let noted = kernel.blocked()?;
        let [flow] = noted.as_slice() else {
            panic!("{noted:?}")
        };
        assert_eq!(flow.key.reason, NotAllowed as u8);
        assert_eq!(flow.key.marks & mark::OUTBOUND, 0);
        assert_eq!((flow.key.port, flow.packets), (23, 1));
    }
    Ok(())
}

/// Two protected systems beside each other: R1 of the field's faults, by routes and on a bridge.
#[test]
fn a_protected_system_does_not_arrive_at_the_uplink() -> Result<()> {
    const OTHER: [&str; 2] = ["192.0.2.5", "2001:db8::5"];
    let prefixes = ["192.0.2.0/24", "2001:db8::/64"];
    let routes: Vec<_> = prefixes
        .iter()
        .map(|prefix| Ok((prefix.parse()?, true)))
        .collect::<Result<_>>()?;
    for (outbound, is_bridge) in [
        (Outbound::Track, false),
        (Outbound::Track, true),
        (Outbound::Enforce, false),
        (Outbound::Enforce, true),
    ] {
        let settings = Settings {
            addresses: vec![
                "192.0.2.5/32",
                "192.0.2.10/32",
                "2001:db8::5/128",
                "2001:db8::10/128",
            ],
            machine: Surroundings {
                is_bridge,
                routes: if is_bridge {
                    Vec::new()
                } else {
                    routes.clone()
                },
                ..Surroundings::gateway(&[OWN[0].parse()?, OWN[1].parse()?])
            },
            ..pxe(outbound)
        };
        for (pair, other) in FAMILIES.into_iter().zip(OTHER) {
            for (place, expected) in [(Place::Uplink, SpoofedSource), (Place::Segment, Left)] {
                let mut kernel = Datapath::load_at(place)?;
                kernel.publish(&settings)?;
                let answer = Packet::ip(other, pair.peer).tcp(80, 50000);
                assert_eq!(kernel.arrives(&answer.flags(SYN_ACK))?, expected);
                if place == Place::Segment {
                    continue;
                }
                let packet = || Packet::ip(other, pair.protected);
                for packet in [
                    packet().tcp(3000, 445).syn(),
                    packet().tcp(3000, 80).syn(),
                    packet().udp(3000, 135),
                    packet().gre(),
                ] {
                    assert_eq!(kernel.arrives(&packet)?, SpoofedSource);
                }
                // Others are welcome as ever.
                let honest = pair.back().tcp(50000, 80).syn();
                assert_eq!(kernel.arrives(&honest)?, Service);
            }
        }
    }
    Ok(())
}

const SYN_ACK: u8 = 0x12;

/// Unreachable, from one address to another, about a packet.
fn error(from: &str, to: &str, about: &Packet) -> Packet {
    let quoted = about.build()[14..].to_vec();
    match from.contains(':') {
        true => Packet::ip(from, to).icmpv6(1, 4).data(quoted),
        false => Packet::ip(from, to).icmp(3, 3).data(quoted),
    }
}

#[test]
fn errors_are_about_what_went_through_the_gateway() -> Result<()> {
    for (pair, own) in FAMILIES.into_iter().zip(OWN) {
        for mode in [Outbound::Track, Outbound::Enforce] {
            let mut uplink = gateway(Place::Uplink, mode)?;
            let inward = |about: Packet| error(pair.peer, pair.protected, &about);
            let (served, closed) = (pair.out().tcp(80, 50000), pair.out().tcp(81, 50000));
            assert_eq!(uplink.arrives(&inward(served))?, IcmpError);
            assert_eq!(uplink.arrives(&inward(closed))?, IcmpErrorUnrelated);
            // What the gateway opens itself.
            let opening = Packet::ip(own, pair.peer).tcp(40000, 443).syn();
            let unreachable = error(pair.peer, own, &opening);
            assert_eq!(uplink.arrives(&unreachable)?, IcmpErrorUnrelated);
            assert_eq!(uplink.leaves(&opening)?, Left);
            assert_eq!(uplink.arrives(&unreachable)?, IcmpErrorRelated);
            // It tells a peer of what it cannot forward.
            let too_big = error(own, pair.peer, &pair.back().tcp(50000, 80).ack());
            assert!(uplink.leaves(&too_big)?.passes());
        }
        let mut segment = gateway(Place::Segment, Outbound::Enforce)?;
        let outward = |about: Packet| error(pair.protected, pair.peer, &about);
        let (asked, other) = (pair.back().udp(50000, 53), pair.back().udp(50000, 54));
        assert_eq!(segment.arrives(&outward(asked))?, IcmpError);
        assert_eq!(segment.arrives(&outward(other))?, IcmpErrorUnrelated);
        // Nobody there tells of what the gateway would have received.
        let managed = Packet::ip(pair.peer, own).tcp(50000, 22).syn();
        assert_eq!(segment.arrives(&outward(managed))?, IcmpErrorUnrelated);
        let too_big = error(own, pair.protected, &pair.out().tcp(40000, 443).ack());
        assert_eq!(segment.leaves(&too_big)?, IcmpError);
    }
    Ok(())
}
