//! Sources that nobody has where a packet comes in.

use crate::Place;
use crate::Reason::{
    DhcpRequest, FragmentFollows, Igmp, LaterFragmentRefused, MembershipForged, Mld,
    NeighbourDiscovery, NeighbourDiscoveryForged, NotAllowed, Outbound, Reply, Service,
    SpoofedSource,
};
use crate::flow::FlowKey;
use crate::packet::Protocol;
use crate::policy::flag;
use crate::testing::{FAMILIES, GATEWAY, Link, PEER, PROTECTED, STRANGER, World, class, v4, v6};
use sccm_packets::tcp_flag::{ACK, SYN};
use sccm_packets::{ExtensionHeader, Packet};
use std::vec::Vec;

/// A packet of the family of `source`, to the protected system.
fn from(source: &str) -> Packet {
    match source.contains(':') {
        true => Packet::ip(source, "2001::1"),
        false => Packet::ip(source, "10.1.0.1"),
    }
}

/// The same worlds on a host and at both sides of a gateway; all let everybody open HTTP.
fn worlds() -> Vec<World> {
    let open = |world: World| world.inbound(&[class::HTTP]);
    Vec::from([
        open(World::host()),
        open(World::host().telling_apart()),
        open(World::gateway(Place::Uplink)),
        open(World::gateway(Place::Segment)),
        open(World::gateway(Place::Segment).enforcing(&[class::HTTP])),
        open(World::gateway(Place::Segment).with(flag::OUTBOUND_OFF)),
    ])
}

#[test]
fn nobody_has_an_address_that_stands_for_no_single_system() {
    for world in worlds() {
        for source in [
            "0.0.0.0",
            "0.255.255.255",
            "127.0.0.1",
            "127.255.255.255",
            "224.0.0.1",
            "239.1.2.3",
            "240.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "ff02::1",
            "ff15::1",
            "::ffff:10.2.0.1",
            "::ffff:127.0.0.1",
        ] {
            let packets = [
                from(source).tcp(50000, 80).syn(),
                from(source).tcp(80, 50000).flags(SYN | ACK),
                from(source).udp(50000, 80),
                from(source).udp(67, 68),
                from(source).ip_protocol(47).data([0; 8]),
                from(source)
                    .fragment(7, 64, false)
                    .ip_protocol(17)
                    .data([0; 16]),
            ];
            for packet in packets {
                assert_eq!(world.arrives(&packet.build()), SpoofedSource, "{source}");
            }
            assert_eq!(world.remembered(), (0, 0, 0));
        }
    }
}

#[test]
fn over_loopback_a_host_sends_to_itself_from_whichever_address() {
    for world in [World::host(), World::host().telling_apart()] {
        let world = world.inbound(&[class::HTTP]).own(PROTECTED);
        let world = world.at(Place::Loopback);
        for source in ["127.0.0.1", "::1"] {
            let to = |port| from(source).tcp(50000, port).syn().build();
            assert_eq!(world.arrives(&to(80)), Service, "{source}");
            assert_eq!(world.arrives(&to(22)), NotAllowed, "{source}");
        }
        for own in [v4(PROTECTED, PROTECTED), v6(PROTECTED, PROTECTED)] {
            assert_eq!(world.arrives(&own.tcp(50000, 80, SYN)), Service);
            assert_eq!(world.leaves(&own.tcp(50000, 80, SYN)), Outbound);
        }
    }
}

#[test]
fn the_neighbours_of_such_addresses_are_somebodys() {
    for world in [
        World::host().inbound(&[class::HTTP]),
        World::gateway(Place::Uplink).inbound(&[class::HTTP]),
    ] {
        for source in [
            "1.0.0.0",
            "126.255.255.255",
            "128.0.0.0",
            "223.255.255.255",
            "::2",
            "::fffe:10.2.0.1",
            "::1:0:0:1",
            "fe80::1",
            "fe00::1",
        ] {
            let frame = from(source).tcp(50000, 80).syn().build();
            assert_eq!(world.arrives(&frame), Service, "{source}");
        }
    }
}

#[test]
fn a_machines_own_address_comes_from_nowhere() {
    for family in FAMILIES {
        let own = Link::new(family, PROTECTED, PROTECTED);
        for world in [World::host(), World::host().telling_apart()] {
            let world = world.own(PROTECTED).inbound(&[class::HTTP]);
            assert_eq!(world.arrives(&own.tcp(50000, 80, SYN)), SpoofedSource);
            assert_eq!(world.arrives(&own.udp(67, 68, b"")), SpoofedSource);
            assert_eq!(world.arrives(&own.unreachable(&[0; 48])), SpoofedSource);
            // What it sends itself is no business of this.
            assert_eq!(world.leaves(&own.tcp(50000, 80, SYN)), Outbound);
        }
        let own = Link::new(family, GATEWAY, PROTECTED);
        for place in [Place::Uplink, Place::Segment] {
            let world = World::gateway(place).inbound(&[class::HTTP]);
            assert_eq!(world.arrives(&own.tcp(50000, 80, SYN)), SpoofedSource);
        }
    }
}

#[test]
fn what_only_looks_like_an_own_address_on_the_fast_path_passes_on_the_slow_one() {
    for family in FAMILIES {
        let mut world = World::host().inbound(&[class::HTTP]);
        // Every bit of the filter.
        for number in 0..=255 {
            let address = crate::Address {
                high: 0,
                low: number,
            };
            world.policy.own.insert(&address);
        }
        let frame = Link::new(family, PEER, PROTECTED).tcp(50000, 80, SYN);
        assert_eq!(world.fast_ingress(&frame), None);
        assert_eq!(world.arrives(&frame), Service);
    }
}

#[test]
fn a_system_behind_this_machine_does_not_arrive_from_outside() {
    for family in FAMILIES {
        let link = Link::new(family, STRANGER, PROTECTED);
        let world = World::gateway(Place::Uplink)
            .inbound(&[class::HTTP])
            .behind(STRANGER);
        for frame in [
            link.tcp(50000, 80, SYN),
            link.tcp(50000, 81, SYN),
            link.udp(50000, 53, b""),
            link.echo(7),
            link.control(0, &[]),
        ] {
            assert_eq!(world.arrives(&frame), SpoofedSource);
        }
        // Nor as an answer.
        let out = link.back();
        let world = world.at(Place::Segment);
        assert_eq!(world.arrives(&out.tcp(40000, 443, SYN)), Outbound);
        // On its own side it is at home.
        assert_eq!(world.arrives(&link.tcp(40000, 443, SYN)), Outbound);
        let world = world.at(Place::Uplink);
        let answer = link.tcp(443, 40000, SYN | ACK);
        assert_eq!(world.arrives(&answer), SpoofedSource);
    }
}

#[test]
fn who_has_no_address_yet_may_ask_for_one() {
    for world in worlds() {
        let discover = |from, to| {
            let packet = Packet::ip("0.0.0.0", "255.255.255.255");
            packet.udp(from, to).data(b"discover").build()
        };
        let spoofed = |frame: &[u8]| world.arrives(frame) == SpoofedSource;
        assert!(!spoofed(&discover(68, 67)));
        for (from, to) in [(67, 68), (67, 67), (68, 4011), (546, 547), (68, 69)] {
            assert!(spoofed(&discover(from, to)), "{from} {to}");
        }
    }
    let enforcing = World::gateway(Place::Segment).enforcing(&[]);
    let packet = Packet::ip("0.0.0.0", "255.255.255.255").udp(68, 67);
    assert_eq!(enforcing.arrives(&packet.build()), DhcpRequest);
    // Only 0.0.0.0, not its network.
    let packet = Packet::ip("0.0.0.1", "255.255.255.255").udp(68, 67);
    assert_eq!(enforcing.arrives(&packet.build()), SpoofedSource);
}

#[test]
fn queriers_and_neighbours_need_no_address() {
    let solicitation = |source, hops| {
        let packet = Packet::ip(source, "ff02::1:ff00:1").hop_limit(hops);
        packet.icmpv6(135, 0).data([0; 20]).build()
    };
    let query = |source, hops| {
        let packet = Packet::ip(source, "224.0.0.1").ttl(hops);
        packet.igmp_v2_query("0.0.0.0").build()
    };
    for place in [Place::Host, Place::Uplink] {
        let world = World::gateway(place);
        assert_eq!(world.arrives(&query("0.0.0.0", 1)), Igmp);
        assert_eq!(world.arrives(&query("0.0.0.0", 2)), SpoofedSource);
        assert_eq!(world.arrives(&query("10.2.0.1", 2)), MembershipForged);
        assert_eq!(world.arrives(&query("224.0.0.1", 1)), SpoofedSource);
        assert_eq!(world.arrives(&solicitation("::", 255)), NeighbourDiscovery);
        assert_eq!(world.arrives(&solicitation("::", 254)), SpoofedSource);
        assert_eq!(world.arrives(&solicitation("::1", 255)), SpoofedSource);
        let forged = world.arrives(&solicitation("2002::1", 254));
        assert_eq!(forged, NeighbourDiscoveryForged);
        let report = Packet::ip("::", "ff02::16").hop_limit(1);
        let report = report.extension(ExtensionHeader::router_alert());
        let report = report.mld_v2_report("ff02::1:ff00:2");
        assert_eq!(world.arrives(&report.build()), Mld);
    }
}

#[test]
fn later_fragments_of_a_spoofed_source_follow_nothing() {
    for family in FAMILIES {
        let link = Link::new(family, PEER, PROTECTED);
        let world = World::host().inbound(&[class::DNS]);
        let part = |link: Link, offset, more| {
            let part = link.fragment(7, offset, more);
            part.udp(50000, 53).data([0; 56]).build()
        };
        assert_eq!(world.arrives(&part(link, 0, true)), Service);
        assert_eq!(world.arrives(&part(link, 64, false)), FragmentFollows);
        let world = world.own(PEER);
        assert_eq!(world.arrives(&part(link, 64, false)), SpoofedSource);
        let stranger = Link::new(family, STRANGER, PROTECTED);
        let orphan = world.arrives(&part(stranger, 64, false));
        assert_eq!(orphan, LaterFragmentRefused);
    }
}

#[test]
fn the_families_share_no_flow() {
    let world = World::host();
    let out = v4(PROTECTED, PEER);
    assert_eq!(world.leaves(&out.udp(40000, 161, b"get")), Outbound);
    assert_eq!(world.arrives(&out.back().udp(161, 40000, b"got")), Reply);
    let mapped = Packet::ip("::ffff:10.1.0.1", "::ffff:10.2.0.1");
    assert_eq!(world.leaves(&mapped.udp(40000, 161).build()), Outbound);
    assert_eq!(world.flows(), 2);
    let [v4, v6] = [v4(PROTECTED, PEER), v6(PROTECTED, PEER)].map(|link| {
        let (local, peer) = (PROTECTED, PEER);
        let (local, peer) = (local.parsed(link.family), peer.parsed(link.family));
        FlowKey::new(link.family, local, peer, (1, 2), Protocol::UDP)
    });
    assert_ne!(v4, v6);
    assert_eq!(v6.protocol(), Protocol::UDP);
}

#[test]
fn an_observed_spoofed_source_opens_nothing() {
    for family in FAMILIES {
        let own = Link::new(family, GATEWAY, PEER);
        let world = World::gateway(Place::Segment).with(flag::OBSERVE);
        assert_eq!(world.arrives(&own.tcp(40000, 80, SYN)), SpoofedSource);
        assert_eq!(world.flows(), 0);
        let world = world.at(Place::Uplink);
        let answer = own.back().tcp(80, 40000, SYN | ACK);
        assert_eq!(world.arrives(&answer), NotAllowed);
    }
}
