//! What goes out and was judged nowhere, because it came in at a card that nobody enforces.

use crate::Place;
use crate::Reason::{
    self, Arp, EthertypeRefused, FragmentFollows, Igmp, Ipv4SourceRoute, Ipv6RoutingHeader, Mld,
    NeighbourDiscovery, NotAllowed, Outbound, Reply, Service, SpoofedSource,
};
use crate::address::Family;
use crate::policy::flag;
use crate::testing::{FAMILIES, GATEWAY, Link, PEER, PROTECTED, STRANGER, World, class};
use sccm_packets::tcp_flag::{ACK, SYN};
use sccm_packets::{ExtensionHeader, Packet};

/// A segment behind which `STRANGER` is, too, and whose systems offer HTTP and DNS.
fn segment() -> World {
    World::gateway(Place::Segment)
        .inbound(&[class::HTTP, class::DNS])
        .manage(&[class::SSH])
        .behind(STRANGER)
}

/// What becomes of a frame from a third card, and of the same if a local socket forged it.
fn passes_into(world: &World, frame: &[u8]) -> Reason {
    let (direction, verdict) = world.tables().egress(frame, world.place(), false).unwrap();
    assert_eq!(direction, crate::counter::Direction::Inbound);
    let forwarded = world.forwards(frame).unwrap();
    assert_eq!(forwarded, verdict);
    forwarded.reason
}

#[test]
fn into_a_segment_it_is_judged_as_the_uplink_would_have() {
    for link in FAMILIES.map(|family| Link::new(family, PEER, PROTECTED)) {
        for world in [segment(), segment().enforcing(&[])] {
            assert_eq!(passes_into(&world, &link.tcp(50000, 80, SYN)), Service);
            assert_eq!(passes_into(&world, &link.tcp(50000, 23, SYN)), NotAllowed);
            assert_eq!(passes_into(&world, &link.tcp(80, 50000, ACK)), NotAllowed);
            assert_eq!(passes_into(&world, &link.udp(50000, 135, b"")), NotAllowed);
            assert_eq!(passes_into(&world, &link.echo(7)), NotAllowed);
            assert_eq!(world.remembered(), (0, 0, 0));
            let part = |offset, more| {
                let part = link.fragment(7, offset, more);
                part.udp(50000, 53).data([0; 56]).build()
            };
            assert_eq!(passes_into(&world, &part(0, true)), Service);
            assert_eq!(passes_into(&world, &part(64, false)), FragmentFollows);
        }
    }
}

#[test]
fn answers_to_what_the_segment_opened_pass() {
    for out in FAMILIES.map(|family| Link::new(family, PROTECTED, PEER)) {
        let world = segment();
        let answer = out.back().tcp(443, 40000, SYN | ACK);
        assert_eq!(passes_into(&world, &answer), NotAllowed);
        assert_eq!(world.arrives(&out.tcp(40000, 443, SYN)), Outbound);
        assert_eq!(passes_into(&world, &answer), Reply);
    }
}

/// Under `enforce`, what a third card asks is answered.
#[test]
fn its_questions_are_noted() {
    for link in FAMILIES.map(|family| Link::new(family, PEER, PROTECTED)) {
        let world = segment().enforcing(&[]);
        let answer = link.back().udp(53, 50000, b"me");
        assert_eq!(world.arrives(&answer), Reason::OutboundNotAllowed);
        assert_eq!(passes_into(&world, &link.udp(50000, 53, b"who")), Service);
        assert_eq!(world.arrives(&answer), Outbound);
    }
}

#[test]
fn nobody_borrows_an_address() {
    for family in FAMILIES {
        let world = segment();
        let inside = Link::new(family, STRANGER, PROTECTED);
        assert_eq!(
            passes_into(&world, &inside.tcp(50000, 80, SYN)),
            SpoofedSource
        );
        // The gateway's own address: only what came in at no interface is from the gateway.
        let own = Link::new(family, GATEWAY, PROTECTED).tcp(50000, 80, SYN);
        assert_eq!(world.forwards(&own).unwrap().reason, SpoofedSource);
        assert_eq!(world.leaves(&own), Outbound);
    }
    for source in ["127.0.0.1", "224.0.0.1", "0.0.0.0"] {
        let frame = Packet::ip(source, "10.1.0.1").tcp(50000, 80).syn().build();
        assert_eq!(passes_into(&segment(), &frame), SpoofedSource, "{source}");
    }
}

#[test]
fn source_routes_are_refused() {
    let v4 = Packet::ip("10.2.0.1", "10.1.0.1").options(&[0x83, 7, 4, 10, 1, 0, 9, 0]);
    let frame = v4.tcp(50000, 80).syn().build();
    assert_eq!(passes_into(&segment(), &frame), Ipv4SourceRoute);
    let v6 = Packet::ip("2002::1", "2001::1").extension(ExtensionHeader::Routing {
        kind: 4,
        segments_left: 1,
    });
    let frame = v6.tcp(50000, 80).syn().build();
    assert_eq!(passes_into(&segment(), &frame), Ipv6RoutingHeader);
}

/// A member of a bridge that nobody named.
#[test]
fn what_a_bridge_carries_into_the_segment_needs_no_ip() {
    let world = segment();
    let arp = Packet::arp_request("10.2.0.1", "10.1.0.1").build();
    let other = Packet::ethertype(0x22f0).data([0; 50]).build();
    assert_eq!(world.forwards(&arp).unwrap().reason, Arp);
    assert_eq!(world.forwards(&other).unwrap().reason, EthertypeRefused);
    let world = world.with(flag::PASS_OTHER_ETHERTYPES);
    let reason = world.forwards(&other).unwrap().reason;
    assert_eq!(reason, Reason::OtherEthertype);
    // The gateway's own stack asks for its neighbours.
    assert_eq!(world.egress(&arp), None);
    assert_eq!(world.egress(&other), None);
}

/// Also without an address of its own (a bridge's querier, a link-local address that is tried).
#[test]
fn the_gateway_keeps_its_essentials() {
    let world = segment().enforcing(&[]);
    let solicitation = Packet::ip("::", "ff02::1:ff00:1").hop_limit(255);
    let solicitation = solicitation.icmpv6(135, 0).data([0; 20]).build();
    assert_eq!(passes_into(&world, &solicitation), NeighbourDiscovery);
    let query = Packet::ip("0.0.0.0", "224.0.0.1").ttl(1);
    let query = query.igmp_v2_query("0.0.0.0").build();
    assert_eq!(passes_into(&world, &query), Igmp);
    let report = Packet::ip("::", "ff02::16").hop_limit(1);
    let report = report.extension(ExtensionHeader::router_alert());
    let report = report.mld_v2_report("ff02::1:ff00:2").build();
    assert_eq!(passes_into(&world, &report), Mld);
}

/// A request without an address is the gateway's own, unless it came in at an interface.
#[test]
fn whoever_asks_for_an_address_is_told_apart() {
    let world = segment();
    let discover = Packet::ip("0.0.0.0", "255.255.255.255");
    let discover = discover.udp(68, 67).data([0; 300]).build();
    assert_eq!(world.leaves(&discover), Outbound);
    assert_eq!(world.forwards(&discover).unwrap().reason, NotAllowed);
}

/// At an uplink nothing changes: what leaves there is not for the segment.
#[test]
fn an_uplink_judges_only_what_is_the_gateways() {
    for family in [Family::V4, Family::V6] {
        let world = segment().at(Place::Uplink);
        let frame = Link::new(family, PEER, STRANGER).tcp(50000, 23, SYN);
        assert_eq!(world.tables().egress(&frame, Place::Uplink, true), None);
        assert_eq!(world.egress(&frame), None);
        // Translated (masquerade), it is in the gateway's name.
        let own = Link::new(family, GATEWAY, PEER).tcp(50000, 443, SYN);
        let (_, verdict) = world.tables().egress(&own, Place::Uplink, true).unwrap();
        assert_eq!(verdict.reason, Outbound);
    }
}
