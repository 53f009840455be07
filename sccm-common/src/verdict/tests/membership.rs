//! Neighbour discovery and group membership: genuine only with all that their standards ask for.

use crate::Reason::{Igmp, MembershipForged, Mld, NeighbourDiscovery, NeighbourDiscoveryForged};
use crate::testing::World;
use sccm_packets::{ExtensionHeader, Packet};

#[test]
fn a_report_of_mld_comes_from_the_link_with_an_alert() {
    let world = World::host();
    let report = |source: &str, hops: u8, has_alert: bool| {
        let packet = Packet::ip(source, "ff02::16").hop_limit(hops);
        let packet = match has_alert {
            true => packet.extension(ExtensionHeader::router_alert()),
            false => packet,
        };
        world.arrives(&packet.mld_v2_report("ff15::1").build())
    };
    assert_eq!(report("fe80::9", 1, true), Mld);
    for (source, hops, has_alert) in [
        ("2001:db8::9", 1, true),
        ("fe80::9", 2, true),
        ("fe80::9", 1, false),
    ] {
        assert_eq!(report(source, hops, has_alert), MembershipForged);
    }
}

#[test]
fn a_report_of_igmp_goes_no_further_than_the_link_and_to_a_group() {
    let world = World::host();
    let report = |destination: &str, hops: u8| {
        let packet = Packet::ip("198.51.100.1", destination).ttl(hops);
        world.arrives(&packet.igmp_v2_report("239.1.2.3").build())
    };
    assert_eq!(report("239.1.2.3", 1), Igmp);
    assert_eq!(report("239.1.2.3", 2), MembershipForged);
    assert_eq!(report("192.0.2.10", 1), MembershipForged);
}

/// RFC 4861, 6.1; RFC 6980.
#[test]
fn neighbour_discovery_comes_from_the_link_in_one_piece() {
    let world = World::host();
    let solicitation = |hops: u8| {
        let packet = Packet::ip("fe80::9", "ff02::1:ff00:1").hop_limit(hops);
        packet.icmpv6(135, 0).data([0; 20])
    };
    let arrives = |packet: Packet| world.arrives(&packet.build());
    assert_eq!(arrives(solicitation(255)), NeighbourDiscovery);
    assert_eq!(arrives(solicitation(254)), NeighbourDiscoveryForged);
    let in_parts = solicitation(255).fragment(7, 0, true);
    assert_eq!(arrives(in_parts), NeighbourDiscoveryForged);
}
