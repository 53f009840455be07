//! IPv4 and IPv6 headers, options, fragments, extension headers, and falsified fields.

use etherparse::{IpFragOffset, IpNumber, Ipv6ExtensionSlice, SlicedPacket};

use super::{ipv4, ipv6, parse, tcp, udp};
use crate::{ExtensionHeader, Packet};

fn v4() -> Packet {
    Packet::ipv4("192.0.2.1", "198.51.100.2").tcp(40000, 80)
}

fn v6() -> Packet {
    Packet::ipv6("2001:db8::1", "2001:db8::2").tcp(40000, 80)
}

#[test]
fn ipv4_header() {
    let frame = v4().ttl(9).payload(3).build();
    let packet = parse(&frame);
    let header = ipv4(&packet).header().to_header();
    assert_eq!(header.source, [192, 0, 2, 1]);
    assert_eq!(header.destination, [198, 51, 100, 2]);
    assert_eq!(header.time_to_live, 9);
    assert_eq!(header.total_len, 20 + 20 + 3);
    assert_eq!(header.protocol, IpNumber::TCP);
    assert!(header.dont_fragment);
    assert!(!header.is_fragmenting_payload());
}

#[test]
fn ipv4_options_are_padded() {
    let frame = v4().options(&[7, 3, 4]).router_alert().build();
    let packet = parse(&frame);
    let header = ipv4(&packet).header().to_header();
    assert_eq!(header.options.as_slice(), [7, 3, 4, 0, 0x94, 4, 0, 0]);
    assert_eq!(header.ihl(), 7);
    assert_eq!(header.total_len, 48);
    assert_eq!(tcp(&packet).destination_port(), 80);
}

#[test]
fn ipv4_options_reach_forty_bytes() {
    let frame = v4().options(&[1; 40]).build();
    assert_eq!(ipv4(&parse(&frame)).header().ihl(), 15);
}

#[test]
fn ipv4_fragments() {
    let later = Packet::ipv4("192.0.2.1", "192.0.2.2")
        .ip_protocol(17)
        .payload(24)
        .fragment(0xbeef, 1480, true)
        .build();
    let header = ipv4(&parse(&later)).header().to_header();
    assert_eq!(header.identification, 0xbeef);
    assert_eq!(header.fragment_offset, IpFragOffset::try_new(185).unwrap());
    assert!(header.more_fragments);
    assert!(!header.dont_fragment);
    assert_eq!(header.protocol, IpNumber::UDP);

    let last = v4().fragment(1, 8, false).build();
    let header = ipv4(&parse(&last)).header().to_header();
    assert!(!header.more_fragments);
    assert_eq!(header.fragment_offset.value(), 1);
}

#[test]
fn ipv4_fields_can_be_falsified() {
    let right = v4().build();
    let wrong = |packet: Packet| {
        let frame = packet.build();
        assert_eq!(frame.len(), right.len(), "nothing else moves");
        assert!(
            SlicedPacket::from_ethernet(&frame).is_err(),
            "the parser refuses it"
        );
        frame
    };
    assert_eq!(wrong(v4().ihl(4))[14], 0x44);
    assert_eq!(wrong(v4().ihl(15))[14], 0x4f);
    assert_eq!(wrong(v4().version(5))[14], 0x55);
    assert_eq!(wrong(v4().total_length(19))[16..18], [0, 19]);
    assert_eq!(wrong(v4().total_length(1500))[16..18], [5, 220]);
}

#[test]
fn ipv6_header() {
    let frame = v6().hop_limit(255).payload(5).build();
    let packet = parse(&frame);
    let header = ipv6(&packet).header().to_header();
    assert_eq!(header.source[..4], [0x20, 0x01, 0x0d, 0xb8]);
    assert_eq!(header.source[15], 1);
    assert_eq!(header.destination[15], 2);
    assert_eq!(header.hop_limit, 255);
    assert_eq!(header.payload_length, 25);
    assert_eq!(header.next_header, IpNumber::TCP);
    assert_eq!(tcp(&packet).payload(), [0, 1, 2, 3, 4]);
}

#[test]
fn ipv6_extension_headers_keep_their_order() {
    let frame = v6()
        .extension(ExtensionHeader::router_alert())
        .extension(ExtensionHeader::Routing {
            kind: 2,
            segments_left: 1,
        })
        .extension(ExtensionHeader::Fragment {
            id: 0xdead_beef,
            offset_bytes: 0,
            more: false,
        })
        .extension(ExtensionHeader::Ah)
        .extension(ExtensionHeader::DestinationOptions { options: vec![] })
        .build();
    let packet = parse(&frame);
    let net = ipv6(&packet);
    assert_eq!(net.header().next_header(), IpNumber::IPV6_HEADER_HOP_BY_HOP);
    let chain: Vec<_> = net.extensions().clone().into_iter().collect();
    let [
        Ipv6ExtensionSlice::HopByHop(hop),
        Ipv6ExtensionSlice::Routing(routing),
        Ipv6ExtensionSlice::Fragment(fragment),
        Ipv6ExtensionSlice::Authentication(ah),
        Ipv6ExtensionSlice::DestinationOptions(options),
    ] = chain.as_slice()
    else {
        panic!("another chain: {chain:?}");
    };
    assert_eq!(hop.payload(), [5, 2, 0, 0, 1, 0], "router alert and PadN");
    assert_eq!(routing.payload()[..2], [2, 1]);
    assert_eq!(routing.slice().len(), 24);
    assert_eq!(fragment.identification(), 0xdead_beef);
    assert_eq!(ah.slice().len(), 24);
    assert_eq!(ah.spi(), 256);
    assert_eq!(options.payload(), [1, 4, 0, 0, 0, 0]);
    assert_eq!(tcp(&packet).destination_port(), 80);
}

#[test]
fn ipv6_options_are_padded_to_eight_bytes() {
    for (options, length) in [(0, 8), (4, 8), (5, 8), (6, 8), (7, 16), (30, 32)] {
        // Pad1 options, so that any number of bytes is valid.
        let options = vec![0; options];
        let frame = v6()
            .extension(ExtensionHeader::HopByHop { options })
            .build();
        assert_eq!(frame.len(), 14 + 40 + length + 20);
        assert_eq!(tcp(&parse(&frame)).destination_port(), 80);
    }
}

#[test]
fn ipv6_later_fragment() {
    let frame = Packet::ipv6("2001:db8::1", "2001:db8::2")
        .fragment(7, 1448, true)
        .ip_protocol(6)
        .payload(16)
        .build();
    let packet = parse(&frame);
    let chain: Vec<_> = ipv6(&packet).extensions().clone().into_iter().collect();
    let [Ipv6ExtensionSlice::Fragment(fragment)] = chain.as_slice() else {
        panic!("another chain: {chain:?}");
    };
    assert_eq!(fragment.identification(), 7);
    assert_eq!(fragment.fragment_offset().byte_offset(), 1448);
    assert!(fragment.more_fragments());
    assert_eq!(fragment.next_header(), IpNumber::TCP);
}

#[test]
fn ipv6_mobility_and_raw_headers() {
    let frame = v6().extension(ExtensionHeader::Mobility).build();
    // The parser stops here, so the bytes speak: named 135, then TCP, eight bytes long.
    assert_eq!(ipv6(&parse(&frame)).header().next_header().0, 135);
    assert_eq!(frame[54..62], [6, 0, 0, 0, 0, 0, 0, 0]);
    assert_eq!(frame[62..66], [0x9c, 0x40, 0, 80], "the ports");

    let bytes = vec![0xff, 9, 0, 0, 0, 0, 0, 0];
    let frame = v6()
        .extension(ExtensionHeader::Raw {
            protocol: 60,
            bytes,
        })
        .build();
    assert_eq!(frame[14 + 6], 60);
    assert_eq!(frame[54..56], [6, 9], "next header filled, length as given");
    assert!(SlicedPacket::from_ethernet(&frame).is_err());
}

#[test]
fn ipv6_fields_can_be_falsified() {
    let long = v6().payload_length(1000).build();
    assert_eq!(long[18..20], [3, 232]);
    assert!(SlicedPacket::from_ethernet(&long).is_err());
    let version = v6().version(4).build();
    assert_eq!(version[14], 0x40);
    assert!(SlicedPacket::from_ethernet(&version).is_err());
}

#[test]
fn any_protocol_number() {
    let frame = Packet::ipv4("192.0.2.1", "192.0.2.2")
        .ip_protocol(132)
        .payload(12)
        .build();
    let packet = parse(&frame);
    assert_eq!(ipv4(&packet).payload_ip_number(), IpNumber(132));
    assert_eq!(ipv4(&packet).payload().payload.len(), 12);
    assert!(packet.transport.is_none());
}

#[test]
fn data_is_carried_as_given() {
    let frame = Packet::ipv4("192.0.2.1", "192.0.2.2")
        .udp(2000, 69)
        .data(*b"\0\x01boot\0octet\0")
        .build();
    assert_eq!(udp(&parse(&frame)).payload(), b"\0\x01boot\0octet\0");
}
