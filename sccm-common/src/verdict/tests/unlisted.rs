//! Systems that no entry of the policy lists.

use crate::Reason::{
    FragmentFollows, LaterFragmentRefused, NeighbourDiscovery, Outbound, UnlistedHost,
};
use crate::address::Family;
use crate::policy::flag::{LISTED_ONLY, OUTBOUND_ENFORCE, OUTBOUND_OFF};
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
