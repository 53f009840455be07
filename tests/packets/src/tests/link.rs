//! Ethernet, tags, and what is not IP.

use etherparse::{ArpOperation, EtherType, LinkExtSlice, LinkSlice, NetSlice, SlicedPacket};

use super::{parse, tcp};
use crate::Packet;

/// (destination, ethertype) as the parser sees them.
fn ethernet(packet: &SlicedPacket) -> ([u8; 6], u16) {
    match &packet.link {
        Some(LinkSlice::Ethernet2(slice)) => (slice.destination(), slice.ether_type().0),
        other => panic!("not Ethernet: {other:?}"),
    }
}

/// (VLAN id, ethertype behind the tag) of each tag.
fn tags(packet: &SlicedPacket) -> Vec<(u16, u16)> {
    packet
        .link_exts
        .iter()
        .map(|extension| match extension {
            LinkExtSlice::Vlan(tag) => (tag.vlan_identifier().value(), tag.ether_type().0),
            other => panic!("not a VLAN tag: {other:?}"),
        })
        .collect()
}

#[test]
fn one_vlan_tag() {
    let frame = Packet::ipv4("192.0.2.1", "192.0.2.2")
        .vlan(7)
        .tcp(40000, 80)
        .syn()
        .build();
    let packet = parse(&frame);
    assert_eq!(ethernet(&packet).1, 0x8100);
    assert_eq!(tags(&packet), [(7, 0x0800)]);
    assert_eq!(tcp(&packet).destination_port(), 80);
}

#[test]
fn two_vlan_tags() {
    let frame = Packet::ipv6("2001:db8::1", "2001:db8::2")
        .qinq(100, 200)
        .tcp(40000, 443)
        .build();
    let packet = parse(&frame);
    assert_eq!(ethernet(&packet).1, 0x88a8);
    assert_eq!(tags(&packet), [(100, 0x8100), (200, 0x86dd)]);
    assert_eq!(tcp(&packet).destination_port(), 443);
}

#[test]
fn multicast_and_broadcast_have_their_ethernet_addresses() {
    let destination = |packet: Packet| ethernet(&parse(&packet.build())).0;
    assert_eq!(
        destination(Packet::ipv4("192.0.2.1", "239.129.2.3")),
        [0x01, 0x00, 0x5e, 0x01, 0x02, 0x03]
    );
    assert_eq!(
        destination(Packet::ipv4("0.0.0.0", "255.255.255.255")),
        [0xff; 6]
    );
    assert_eq!(
        destination(Packet::ipv6("fe80::1", "ff02::1:ff00:2")),
        [0x33, 0x33, 0xff, 0x00, 0x00, 0x02]
    );
    assert_eq!(
        destination(Packet::ipv4("192.0.2.1", "239.1.2.3").destination_mac([2; 6])),
        [2; 6]
    );
}

#[test]
fn arp_request() {
    let frame = Packet::arp_request("192.0.2.1", "192.0.2.2")
        .source_mac([2, 0, 0, 0, 0, 9])
        .build();
    let packet = parse(&frame);
    assert_eq!(ethernet(&packet), ([0xff; 6], 0x0806));
    let Some(NetSlice::Arp(arp)) = &packet.net else {
        panic!("not ARP: {:?}", packet.net);
    };
    assert_eq!(arp.operation(), ArpOperation::REQUEST);
    assert_eq!(arp.sender_hw_addr(), [2, 0, 0, 0, 0, 9]);
    assert_eq!(arp.sender_protocol_addr(), [192, 0, 2, 1]);
    assert_eq!(arp.target_hw_addr(), [0; 6]);
    assert_eq!(arp.target_protocol_addr(), [192, 0, 2, 2]);
}

#[test]
fn link_protocols_have_their_type_and_length() {
    for (name, packet, ethertype, length) in [
        ("EAPOL", Packet::eapol(), 0x888e, 4),
        ("LLDP", Packet::lldp(), 0x88cc, 19),
        ("LACP", Packet::lacp(), 0x8809, 110),
        ("PTP", Packet::ptp(), 0x88f7, 44),
        ("any", Packet::ethertype(0x1234).payload(50), 0x1234, 50),
    ] {
        let frame = packet.build();
        let parsed = parse(&frame);
        assert_eq!(ethernet(&parsed).1, ethertype, "{name}");
        let payload = parsed.ether_payload().expect("a payload");
        assert_eq!(payload.ether_type, EtherType(ethertype), "{name}");
        assert_eq!(payload.payload.len(), length, "{name}");
        let tagged = packet.vlan(5).build();
        assert_eq!(tags(&parse(&tagged)), [(5, ethertype)], "{name}");
    }
}

#[test]
fn spanning_tree_is_an_802_3_frame() {
    let frame = Packet::stp_bpdu().build();
    let (destination, length) = ethernet(&parse(&frame));
    assert_eq!(destination, [0x01, 0x80, 0xc2, 0, 0, 0]);
    assert_eq!(length, 3 + 35, "LLC and a configuration message");
    assert_eq!(frame.len(), 14 + 38);
    assert_eq!(frame[14..17], [0x42, 0x42, 0x03]);
}

#[test]
fn other_llc_frames_count_their_payload() {
    let frame = Packet::llc(0xaa, 0xaa).payload(40).build();
    assert_eq!(ethernet(&parse(&frame)).1, 43);
    assert_eq!(frame[14..19], [0xaa, 0xaa, 0x03, 0, 1]);
}

#[test]
fn truncation_and_padding() {
    let packet = Packet::ipv4("192.0.2.1", "192.0.2.2").udp(1, 2);
    let whole = packet.build();
    for length in 0..=whole.len() {
        assert_eq!(packet.clone().truncate(length).build(), whole[..length]);
    }
    let padded = packet.pad(18).build();
    assert_eq!(padded.len(), whole.len() + 18);
    assert_eq!(super::udp(&parse(&padded)).payload(), b"");
}

#[test]
#[should_panic(expected = "ttl belongs to IPv4")]
fn a_call_that_does_not_fit_panics() {
    let _ = Packet::ipv6("2001:db8::1", "2001:db8::2").ttl(1);
}

#[test]
#[should_panic(expected = "only IP carries a transport")]
fn a_link_frame_carries_no_transport() {
    let _ = Packet::lldp().tcp(1, 2);
}
