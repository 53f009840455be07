//! Packets that would go on to others than their destination.

use crate::Place;
use crate::Reason::{
    Ipv4Options, Ipv4SourceRoute, Ipv6RoutingHeader, Ipv6RoutingHeader0, NotAllowed, Service,
};
use crate::policy::flag;
use crate::testing::{FAMILIES, GATEWAY, Link, PEER, PROTECTED, World, class, v4, v6};
use sccm_packets::tcp_flag::SYN;
use sccm_packets::{ExtensionHeader, Packet};

/// Record route, loose and strict source route: kind, length, pointer, and an address.
const RECORD: [u8; 7] = [7, 7, 4, 10, 1, 0, 9];
const LOOSE: [u8; 7] = [131, 7, 4, 10, 1, 0, 9];
const STRICT: [u8; 7] = [137, 7, 4, 10, 1, 0, 9];

fn syn(packet: Packet) -> std::vec::Vec<u8> {
    packet.tcp(50000, 80).syn().build()
}

#[test]
fn source_routes_are_dropped_wherever_they_are_among_the_options() {
    let world = World::host().inbound(&[class::HTTP]);
    let way = v4(PEER, PROTECTED);
    let arrives = |options: &[&[u8]]| world.arrives(&syn(way.packet().options(&options.concat())));
    for route in [&LOOSE, &STRICT] {
        for before in [&[] as &[u8], &[1], &[1; 32], &RECORD, &[148, 4, 0, 0]] {
            assert_eq!(arrives(&[before, route]), Ipv4SourceRoute, "{before:?}");
        }
        // Behind the end of the list, or within another option, it is none.
        assert_eq!(arrives(&[&[0], route]), Service);
        assert_eq!(arrives(&[&[7, 11, 4, 0], route]), Service);
    }
    for harmless in [
        &RECORD as &[u8],
        &[148, 4, 0, 0],
        &[1; 40],
        &[0; 40],
        &[68, 8, 5, 0, 0, 0, 0, 0],
    ] {
        assert_eq!(arrives(&[harmless]), Service);
    }
    for broken in [[131, 0, 0, 0], [7, 1, 1, 1], [7, 5, 4, 0], [1, 1, 1, 131]] {
        assert_eq!(arrives(&[&broken]), Ipv4Options, "{broken:?}");
    }
    assert_eq!(world.remembered(), (0, 0, 0));
}

#[test]
fn routing_headers_with_segments_left_are_dropped() {
    let world = World::host().inbound(&[class::HTTP]);
    let way = v6(PEER, PROTECTED);
    for (kind, segments_left, expected) in [
        (0, 0, Ipv6RoutingHeader0),
        (0, 1, Ipv6RoutingHeader0),
        (2, 0, Service),
        (2, 1, Ipv6RoutingHeader),
        (4, 0, Service),
        (4, 1, Ipv6RoutingHeader),
        (253, 255, Ipv6RoutingHeader),
    ] {
        let header = ExtensionHeader::Routing {
            kind,
            segments_left,
        };
        let options = ExtensionHeader::DestinationOptions {
            options: std::vec![],
        };
        let frame = syn(way.packet().extension(options).extension(header));
        assert_eq!(world.arrives(&frame), expected, "{kind} {segments_left}");
    }
}

#[test]
fn it_is_so_both_ways_everywhere_unless_a_setting_passes_them() {
    for way in FAMILIES.map(|family| Link::new(family, PEER, PROTECTED)) {
        let routed = |link: Link| match link.family {
            crate::address::Family::V4 => link.packet().options(&LOOSE),
            crate::address::Family::V6 => link.packet().extension(ExtensionHeader::Routing {
                kind: 4,
                segments_left: 1,
            }),
        };
        let expected = match way.family {
            crate::address::Family::V4 => Ipv4SourceRoute,
            crate::address::Family::V6 => Ipv6RoutingHeader,
        };
        for mode in [0, flag::OUTBOUND_ENFORCE, flag::OUTBOUND_OFF] {
            let host = World::host().inbound(&[class::HTTP]).with(mode);
            assert_eq!(host.arrives(&syn(routed(way))), expected);
            assert_eq!(host.leaves(&syn(routed(way.back()))), expected);
            for place in [Place::Uplink, Place::Segment] {
                let gateway = World::gateway(place).with(mode);
                assert_eq!(gateway.arrives(&syn(routed(way))), expected);
                let own = Link::new(way.family, GATEWAY, PEER);
                assert_eq!(gateway.leaves(&syn(routed(own))), expected);
                assert_eq!(gateway.arrives(&syn(routed(own.back()))), expected);
                assert_eq!(gateway.remembered(), (0, 0, 0));
            }
            let host = host.with(flag::PASS_SOURCE_ROUTES);
            assert_eq!(host.arrives(&syn(routed(way))), Service);
            assert_eq!(
                host.arrives(&routed(way).tcp(1, 81).flags(SYN).build()),
                NotAllowed
            );
        }
    }
}

#[test]
fn no_transport_header_is_read_behind_mobility_hip_and_shim6() {
    let world = World::host().inbound(&[class::HTTP]);
    for protocol in [135, 139, 140] {
        let header = ExtensionHeader::Raw {
            protocol,
            bytes: std::vec![0; 8],
        };
        let frame = syn(v6(PEER, PROTECTED).packet().extension(header));
        assert_eq!(world.arrives(&frame), NotAllowed, "{protocol}");
    }
}
