//! Systems that no entry of the policy lists.

use crate::Reason::{
    DhcpRequest, FragmentFollows, LaterFragmentRefused, NeighbourDiscovery, Outbound,
    OutboundNotAllowed, UnlistedHost,
};
use crate::address::Family;
use crate::policy::flag::{BRIDGE, GATEWAY, LISTED_ONLY, OUTBOUND_ENFORCE, OUTBOUND_OFF};
use crate::testing::{FAMILIES, Link, PEER, PROTECTED, World, class};
use crate::{Place, Reason, ServiceClass};
use sccm_packets::Packet;
use sccm_packets::protocol::UDP;
use sccm_packets::tcp_flag::{ACK, SYN};

fn worlds(mode: u32) -> [World; 2] {
    let worlds = [World::host(), World::gateway(Place::Segment)];
    worlds.map(|world| world.with(LISTED_ONLY | mode))
}

fn sends(world: &World, frame: &[u8]) -> (Reason, ServiceClass) {
    let verdict = match world.place() {
        Place::Host | Place::Loopback => world.egress(frame).unwrap(),
        Place::Uplink | Place::Segment => world.ingress(frame),
    };
    (verdict.reason, verdict.service)
}

#[test]
fn they_open_nothing_whether_others_are_followed_or_judged() {
    for (mode, family) in [0, OUTBOUND_ENFORCE]
        .into_iter()
        .flat_map(|mode| FAMILIES.map(|family| (mode, family)))
    {
        let out = Link::new(family, PROTECTED, PEER);
        for world in worlds(mode) {
            let group = match family {
                Family::V4 => "239.2.0.1",
                Family::V6 => "ff15::1",
            };
            let first = out.fragment(1, 0, true).udp(40000, 53).payload(16);
            for (frame, service) in [
                (out.tcp(40000, 80, SYN), class::HTTP),
                (out.tcp(40000, 80, ACK), class::HTTP),
                (out.udp(40000, 53, b"who"), class::DNS),
                (out.udp(40000, 69, b"\x00\x01f"), class::TFTP),
                (out.echo(7), class::ECHO),
                (out.packet_to(group).udp(40000, 53).build(), class::DNS),
                (first.build(), class::DNS),
            ] {
                assert_eq!(sends(&world, &frame), (UnlistedHost, service));
            }
            let later = out.fragment(1, 24, false).ip_protocol(UDP).payload(8);
            let later = sends(&world, &later.build()).0;
            assert_eq!(later, LaterFragmentRefused);
            assert_eq!(world.remembered(), (0, 0, 0));
            let inbound = world.at(Place::Uplink);
            let answer = out.back().tcp(80, 40000, SYN | ACK);
            assert_eq!(inbound.arrives(&answer), UnlistedHost);
            assert_eq!(inbound.remembered(), (0, 0, 0));
        }
    }
}

#[test]
fn they_keep_what_a_link_cannot_do_without() {
    for world in worlds(0) {
        let solicitation = Packet::ip("fe80::1", "ff02::1:ff00:1").hop_limit(255);
        let frame = solicitation.icmpv6(135, 0).payload(16).build();
        assert_eq!(sends(&world, &frame).0, NeighbourDiscovery);
    }
}

/// What a system in the segment may send of what a link needs, to an address: whether it is listed,
/// how it is judged, whether a bridge joins the sides.
#[test]
fn neighbour_discovery_does_not_go_beyond_the_link() {
    let cases = [
        (LISTED_ONLY, Some(UnlistedHost)),
        (LISTED_ONLY | BRIDGE, Some(UnlistedHost)),
        (LISTED_ONLY | OUTBOUND_ENFORCE, Some(UnlistedHost)),
        (OUTBOUND_ENFORCE, Some(OutboundNotAllowed)),
        (OUTBOUND_ENFORCE | BRIDGE, None),
    ];
    for (mode, refused) in cases {
        let world = World::gateway(Place::Segment).with(GATEWAY | mode);
        for (to, of_link) in [
            ("fe80::7", true),
            ("ff02::1", true),
            ("ff02::1:ff00:7", true),
            ("2001:db8:a::7", false),
            ("ff05::1", false),
        ] {
            for kind in 133..=136 {
                let packet = Packet::ip("2001:db8::2", to).hop_limit(255).icmpv6(kind, 0);
                let said = sends(&world, &packet.payload(900).build()).0;
                let expected = refused.filter(|_| !of_link).unwrap_or(NeighbourDiscovery);
                assert_eq!(said, expected, "{mode:b} type {kind} to {to}");
            }
        }
        for (to, of_link) in [("ff02::1:2", true), ("ff05::1:3", false)] {
            let packet = Packet::ip("fe80::2", to).udp(546, 547).payload(900);
            let said = sends(&world, &packet.build()).0;
            let unlisted = refused.filter(|reason| *reason == UnlistedHost && !of_link);
            assert_eq!(said, unlisted.unwrap_or(DhcpRequest), "{mode:b} to {to}");
        }
    }
}

/// A host's own network stack speaks to its neighbours, also by their global addresses.
#[test]
fn a_host_discovers_its_neighbours_whatever_they_are_called() {
    for mode in [LISTED_ONLY, OUTBOUND_ENFORCE] {
        let world = World::host().with(mode);
        let packet = Packet::ip("2001:db8::2", "2001:db8::7").hop_limit(255);
        let said = sends(&world, &packet.icmpv6(135, 0).payload(16).build()).0;
        assert_eq!(said, NeighbourDiscovery);
    }
}

#[test]
fn off_looks_at_nobody() {
    for family in FAMILIES {
        for world in worlds(OUTBOUND_OFF) {
            let out = Link::new(family, PROTECTED, PEER);
            assert_eq!(sends(&world, &out.tcp(40000, 80, SYN)).0, Outbound);
            let later = out.fragment(1, 24, false).ip_protocol(UDP).payload(8);
            assert_ne!(sends(&world, &later.build()).0, FragmentFollows);
        }
    }
}
