//! Neighbour discovery and group membership: from the link, or forged.

use crate::Reason::{
    self, IcmpTruncated, Igmp, Ipv6ExtensionOrder, MembershipForged, Mld, NeighbourDiscovery,
    NeighbourDiscoveryForged, SpoofedSource,
};
use crate::testing::World;
use sccm_packets::{ExtensionHeader, Packet};

#[track_caller]
fn end(packets: impl IntoIterator<Item = Packet>, reason: Reason) {
    let world = World::host();
    for packet in packets {
        assert_eq!(world.arrives(&packet.build()), reason, "{packet:?}");
    }
}

#[test]
fn igmp_goes_no_further_than_the_link_and_to_a_group() {
    let to = |group: &str| Packet::ipv4("198.51.100.1", group).ttl(1);
    let query = |group: &str| to(group).router_alert().igmp_v2_query("0.0.0.0");
    let version_1 = [0x12, 0, 0, 0, 239, 1, 2, 3];
    let genuine = [
        query("224.0.0.1"),
        to("239.1.2.3").igmp_v2_report("239.1.2.3"),
        to("224.0.0.2").igmp_v2_leave("239.1.2.3"),
        to("224.0.0.22").igmp_v3_report("239.1.2.3"),
        to("239.1.2.3").ip_protocol(2).data(version_1),
    ];
    end(genuine, Igmp);
    end(
        [0, 2, 64].map(|hops| query("224.0.0.1").ttl(hops)),
        MembershipForged,
    );
    // One host, and the addresses beside the groups.
    let none = ["192.0.2.10", "223.255.255.255", "240.0.0.0"];
    end(none.map(query), MembershipForged);
}

#[test]
fn mld_comes_from_the_link_with_an_alert() {
    let bare = |source: &str| Packet::ipv6(source, "ff02::1").hop_limit(1);
    let from = |source: &str| bare(source).extension(ExtensionHeader::router_alert());
    let query = |source: &str| from(source).mld_query("::");
    let genuine = [
        query("fe80::1"),
        query("febf:ffff::1"),
        query("::"),
        from("fe80::1").mld_v1_report("ff05::1234"),
        from("fe80::1").icmpv6(132, 0).payload(16),
        from("fe80::1").mld_v2_report("ff05::1234"),
    ];
    end(genuine, Mld);
    end(
        [2, 255].map(|hops| query("fe80::1").hop_limit(hops)),
        MembershipForged,
    );
    end(["2001:db8:a::7", "fec0::1"].map(query), MembershipForged);
    let padding = ExtensionHeader::DestinationOptions {
        options: Default::default(),
    };
    let no_alert = [bare("fe80::1"), bare("fe80::1").extension(padding)];
    end(
        no_alert.map(|packet| packet.mld_query("::")),
        MembershipForged,
    );
    end([query("::1")], SpoofedSource);
}

/// RFC 4861, 6.1 and 7.1.
#[test]
fn neighbour_discovery_comes_from_the_link_in_one_piece() {
    let on_link = || Packet::ipv6("fe80::1", "2001:db8::2").hop_limit(255);
    let solicitation = || on_link().neighbor_solicitation("2001:db8::2");
    let advertisement = || on_link().icmpv6(134, 0).payload(8);
    let options = ExtensionHeader::HopByHop {
        options: Default::default(),
    };
    let genuine = [
        on_link().icmpv6(133, 0),
        advertisement(),
        solicitation(),
        on_link().neighbor_advertisement("fe80::1"),
        Packet::ipv6("::", "ff02::1:ff00:2")
            .hop_limit(255)
            .neighbor_solicitation("2001:db8::2"),
        solicitation().vlan(7),
        solicitation().extension(options),
    ];
    end(genuine, NeighbourDiscovery);
    let hops = [0, 1, 254].map(|hops| solicitation().hop_limit(hops));
    end(hops, NeighbourDiscoveryForged);
    end([advertisement().hop_limit(254)], NeighbourDiscoveryForged);
    // RFC 6980, 5: any fragment header, also that of a datagram in one piece.
    let part = |more| ExtensionHeader::Fragment {
        id: 9,
        offset_bytes: 0,
        more,
    };
    let parts = [true, false].map(|more| solicitation().extension(part(more)));
    end(parts, NeighbourDiscoveryForged);
    let twice = solicitation().extension(part(true)).extension(part(false));
    end([twice], Ipv6ExtensionOrder);
    end(
        [on_link().ip_protocol(58).data([135, 0, 0, 0])],
        IcmpTruncated,
    );
}
