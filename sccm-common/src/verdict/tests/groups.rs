//! What is sent to broadcast and multicast addresses.

use crate::Reason::{self, NotAllowed, Outbound, OutboundNotAllowed, Service, UnlistedHost};
use crate::address::Family;
use crate::policy::flag::{LISTED_ONLY, OUTBOUND_ENFORCE};
use crate::testing::{FAMILIES, GATEWAY, Link, PEER, PROTECTED, World, class};
use crate::{Place, ServiceClass};
use sccm_packets::Packet;
use sccm_packets::protocol::GRE;
use sccm_packets::tcp_flag::{ACK, SYN};
use std::vec::Vec;

/// Groups of a family: of the link, of the site, and whom all of a link hear.
fn groups(family: Family) -> &'static [&'static str] {
    match family {
        Family::V4 => &["224.0.0.9", "239.2.0.1", "255.255.255.255"],
        Family::V6 => &["ff02::9", "ff15::1"],
    }
}

/// A packet to each group of each family, from one host.
fn to_each(from: crate::testing::Host) -> Vec<Packet> {
    let to = |family: Family| {
        let link = Link::new(family, from, PEER);
        let groups = groups(family).iter();
        groups.map(move |group| link.packet_to(group))
    };
    FAMILIES.into_iter().flat_map(to).collect()
}

/// Every place where something comes in from the peers.
fn worlds() -> [World; 2] {
    [World::host(), World::gateway(Place::Uplink)]
}

#[test]
fn nothing_reaches_a_group_because_one_system_may_be_asked_it() {
    for world in worlds() {
        let world = world
            .inbound(&[class::HTTP, class::DNS, class::ECHO])
            .inbound_to_groups(&[class::DNS]);
        for packet in to_each(PEER) {
            let arrives = |packet: Packet| world.arrives(&packet.build());
            assert_eq!(arrives(packet.clone().udp(40000, 53)), Service);
            assert_eq!(arrives(packet.clone().udp(40000, 54)), NotAllowed);
            assert_eq!(
                arrives(packet.clone().tcp(40000, 80).flags(SYN)),
                NotAllowed
            );
            assert_eq!(
                arrives(packet.clone().tcp(40000, 80).flags(ACK)),
                NotAllowed
            );
            assert_eq!(arrives(packet.icmp_echo_request(7)), NotAllowed);
            assert_eq!(world.remembered(), (0, 0, 0));
        }
    }
}

#[test]
fn a_plain_packet_to_a_group_is_left_to_the_slow_path() {
    let world = World::host().inbound(&[class::HTTP, class::DNS]);
    for packet in to_each(PEER) {
        assert_eq!(world.fast_ingress(&packet.udp(40000, 53).build()), None);
    }
    // 240.0.0.0/4 is no group, but looks like one.
    let reserved = Packet::ip("10.2.0.1", "240.0.0.1").udp(40000, 53).build();
    assert_eq!(world.fast_ingress(&reserved), None);
    assert_eq!(world.arrives(&reserved), Service);
    let below = Packet::ip("10.2.0.1", "223.255.255.255")
        .udp(40000, 53)
        .build();
    assert!(world.fast_ingress(&below).is_some());
}

/// What leaves a host, or comes in at a gateway's segment.
fn sends(world: &World, packet: Packet) -> (Reason, ServiceClass) {
    let frame = packet.build();
    let verdict = match world.place() {
        Place::Host | Place::Loopback => world.egress(&frame).unwrap(),
        Place::Uplink | Place::Segment => world.ingress(&frame),
    };
    (verdict.reason, verdict.service)
}

#[test]
fn enforce_lets_out_to_groups_what_is_for_many_and_no_offer() {
    for world in [World::host(), World::gateway(Place::Segment)] {
        let world = world
            .inbound(&[class::DNS, class::HTTP, class::ECHO])
            .enforcing(&[class::SMB, class::PPTP])
            .outbound_to_groups(&[class::TFTP]);
        for packet in to_each(PROTECTED) {
            let sends = |packet: Packet| sends(&world, packet);
            let udp = |from, to| packet.clone().udp(from, to).data(b"part");
            // From whatever port.
            assert_eq!(sends(udp(69, 69)), (Outbound, class::TFTP));
            assert_eq!(sends(udp(40000, 69)), (Outbound, class::TFTP));
            // A group has asked for nothing: neither by the port from which it comes, nor by the
            // one to which it goes.
            assert_eq!(sends(udp(53, 53)), (OutboundNotAllowed, class::DNS));
            assert_eq!(sends(udp(40000, 53)), (OutboundNotAllowed, class::DNS));
            assert_eq!(
                sends(udp(53, 40000)),
                (OutboundNotAllowed, ServiceClass::UDP)
            );
            let tcp = |from, to, flags| packet.clone().tcp(from, to).flags(flags);
            for answer in [tcp(80, 40000, SYN | ACK), tcp(80, 40000, ACK)] {
                assert_eq!(sends(answer), (OutboundNotAllowed, ServiceClass::TCP));
            }
            let open = tcp(40000, 445, SYN);
            assert_eq!(sends(open), (OutboundNotAllowed, class::SMB));
            let echo = packet.clone().icmp_echo_request(7);
            assert_eq!(sends(echo), (OutboundNotAllowed, class::ECHO));
            let tunnel = packet.clone().ip_protocol(GRE).data([0; 8]);
            assert_eq!(sends(tunnel), (OutboundNotAllowed, ServiceClass::GRE));
            assert_eq!(world.remembered(), (0, 0, 0));
        }
    }
}

#[test]
fn track_notes_nothing_of_what_goes_to_a_group() {
    for world in [World::host(), World::gateway(Place::Segment)] {
        for packet in to_each(PROTECTED) {
            let udp = packet.clone().udp(40000, 4000);
            assert_eq!(sends(&world, udp), (Outbound, ServiceClass::UDP));
            let request = packet.clone().udp(40000, 69).data(b"\x00\x01f");
            assert_eq!(sends(&world, request), (Outbound, class::TFTP));
            let echo = packet.clone().icmp_echo_request(7);
            assert_eq!(sends(&world, echo), (Outbound, class::ECHO));
            let control = packet.tcp(40000, 1723).flags(ACK).data(b"data");
            assert_eq!(sends(&world, control), (Outbound, class::PPTP));
            assert_eq!(world.remembered(), (0, 0, 0));
        }
    }
}

#[test]
fn a_gateway_sends_what_it_will() {
    for place in [Place::Uplink, Place::Segment] {
        let world = World::gateway(place).enforcing(&[]);
        for packet in to_each(GATEWAY) {
            assert_eq!(world.leaves(&packet.udp(40000, 4000).build()), Outbound);
        }
    }
}

/// What one router says to the others of its link, whoever of them is listed.
#[test]
fn the_segment_reaches_the_gateway_by_way_of_groups_if_a_rule_says_so() {
    for mode in [0, LISTED_ONLY, OUTBOUND_ENFORCE] {
        let world = World::gateway(Place::Segment).with(mode);
        let world = world.manage(&[class::DNS, class::HTTP, class::ECHO]);
        let refused = match mode {
            LISTED_ONLY => UnlistedHost,
            OUTBOUND_ENFORCE => OutboundNotAllowed,
            _ => Outbound,
        };
        for (from, group) in [("10.2.0.3", "224.0.0.18"), ("fe80::3", "ff02::12")] {
            let packet = Packet::ip(from, group);
            let arrives = |packet: Packet| world.arrives(&packet.build());
            assert_eq!(arrives(packet.clone().udp(40000, 53)), Service);
            assert_eq!(arrives(packet.clone().udp(40000, 69)), refused);
            assert_eq!(arrives(packet.clone().tcp(40000, 80).syn()), refused);
            assert_eq!(arrives(packet.icmp_echo_request(7)), refused);
        }
        assert_eq!(world.flows(), 0);
    }
}
