//! TCP, UDP, control messages and tunnels.

use etherparse::{Icmpv4Type, Icmpv6Type, IpNumber, SlicedPacket};

use super::{icmp, icmpv6, igmp, ipv4, ipv6, parse, tcp, udp};
use crate::{ExtensionHeader, Packet};

fn v4() -> Packet {
    Packet::ipv4("192.0.2.1", "192.0.2.2")
}

fn v6() -> Packet {
    Packet::ipv6("2001:db8::1", "2001:db8::2")
}

#[test]
fn tcp_ports_flags_and_payload() {
    for base in [v4(), v6()] {
        let frame = base.clone().tcp(40000, 445).syn().payload(11).build();
        let packet = parse(&frame);
        let segment = tcp(&packet);
        assert_eq!(segment.source_port(), 40000);
        assert_eq!(segment.destination_port(), 445);
        assert_eq!(segment.payload().len(), 11, "an odd length sums right too");
        assert_eq!(flags(&frame), "S");
        assert_eq!(flags(&base.clone().tcp(1, 2).build()), "");
        assert_eq!(flags(&base.clone().tcp(1, 2).syn().ack().build()), "SA");
        assert_eq!(
            flags(&base.tcp(1, 2).fin().rst().psh().ack().build()),
            "FRPA"
        );
    }
}

fn flags(frame: &[u8]) -> String {
    let packet = parse(frame);
    let segment = tcp(&packet);
    [
        (segment.syn(), 'S'),
        (segment.fin(), 'F'),
        (segment.rst(), 'R'),
        (segment.psh(), 'P'),
        (segment.ack(), 'A'),
    ]
    .iter()
    .filter_map(|(set, letter)| set.then_some(*letter))
    .collect()
}

#[test]
fn tcp_data_offset() {
    let options = [1, 1, 1, 0]; // no operation, end
    let frame = v4().tcp(1, 2).data_offset(6).data(options).build();
    let packet = parse(&frame);
    assert_eq!(tcp(&packet).options(), options);

    for words in [4, 6, 15] {
        let frame = v4().tcp(1, 2).data_offset(words).build();
        assert_eq!(frame[14 + 20 + 12] >> 4, words);
        assert!(SlicedPacket::from_ethernet(&frame).is_err());
    }
}

#[test]
fn udp_ports_and_payload() {
    for base in [v4(), v6()] {
        let frame = base.udp(67, 68).payload(301).build();
        let packet = parse(&frame);
        let datagram = udp(&packet);
        assert_eq!(datagram.source_port(), 67);
        assert_eq!(datagram.destination_port(), 68);
        assert_eq!(datagram.length(), 309);
        assert_eq!(datagram.payload().len(), 301);
    }
}

#[test]
fn udp_length_can_be_falsified() {
    for length in [7, 9, 1000] {
        let frame = v4().udp(1, 2).udp_length(length).build();
        assert_eq!(frame[14 + 20 + 4..][..2], length.to_be_bytes());
        assert!(SlicedPacket::from_ethernet(&frame).is_err());
    }
}

#[test]
fn udp_never_sends_the_checksum_zero() {
    let checksum = |last: [u8; 2]| {
        let frame = v4().udp(0, 0).data(last).build();
        udp(&parse(&frame)).checksum()
    };
    // With this checksum as the data, the sum of everything is zero.
    let complement = checksum([0, 0]);
    assert_eq!(checksum(complement.to_be_bytes()), 0xffff);
}

#[test]
fn icmp_messages() {
    let frame = v4().icmp_echo_request(0x1234).payload(8).build();
    let packet = parse(&frame);
    let Icmpv4Type::EchoRequest(echo) = icmp(&packet).icmp_type() else {
        panic!("not an echo request");
    };
    assert_eq!((echo.id, echo.seq), (0x1234, 1));
    let frame = v4().icmp_echo_reply(7).build();
    let packet = parse(&frame);
    let Icmpv4Type::EchoReply(echo) = icmp(&packet).icmp_type() else {
        panic!("not an echo reply");
    };
    assert_eq!((echo.id, echo.seq), (7, 1));

    let original = v4().udp(1, 2).payload(20).build();
    let frame = v4()
        .icmp(3, 4)
        .control_word(1400)
        .data(&original[14..])
        .build();
    let packet = parse(&frame);
    let message = icmp(&packet);
    assert_eq!((message.type_u8(), message.code_u8()), (3, 4));
    assert_eq!(message.bytes5to8(), 1400u32.to_be_bytes());
    assert_eq!(message.payload(), &original[14..]);
}

#[test]
fn icmpv6_messages() {
    let frame = v6().icmp_echo_request(0x1234).payload(8).build();
    let packet = parse(&frame);
    let Icmpv6Type::EchoRequest(echo) = icmpv6(&packet).icmp_type() else {
        panic!("not an echo request");
    };
    assert_eq!((echo.id, echo.seq), (0x1234, 1));
    let frame = v6().icmp_echo_reply(7).build();
    let packet = parse(&frame);
    let Icmpv6Type::EchoReply(echo) = icmpv6(&packet).icmp_type() else {
        panic!("not an echo reply");
    };
    assert_eq!((echo.id, echo.seq), (7, 1));

    let frame = v6().icmpv6(2, 0).control_word(1280).payload(40).build();
    assert_eq!(
        icmpv6(&parse(&frame)).icmp_type(),
        Icmpv6Type::PacketTooBig { mtu: 1280 }
    );
}

#[test]
fn neighbor_discovery() {
    for (kind, option, packet) in [
        (135, 1, v6().neighbor_solicitation("2001:db8::2")),
        (136, 2, v6().neighbor_advertisement("2001:db8::2")),
    ] {
        let frame = packet.hop_limit(255).build();
        let packet = parse(&frame);
        let message = icmpv6(&packet);
        assert_eq!((message.type_u8(), message.code_u8()), (kind, 0));
        let (target, link_layer) = message.payload().split_at(16);
        assert_eq!(target, ipv6(&packet).header().destination());
        assert_eq!(link_layer, [option, 1, 2, 0, 0, 0, 0, 1]);
        message.payload_slice().expect("a well-formed message");
    }
}

#[test]
fn multicast_listener_messages() {
    for (kind, length, packet) in [
        (130, 24, v6().mld_query("ff02::1:3")),
        (131, 24, v6().mld_v1_report("ff02::1:3")),
        (143, 28, v6().mld_v2_report("ff02::1:3")),
    ] {
        let frame = packet
            .hop_limit(1)
            .extension(ExtensionHeader::router_alert())
            .build();
        let packet = parse(&frame);
        let message = icmpv6(&packet);
        assert_eq!(message.type_u8(), kind);
        assert_eq!(message.slice().len(), length);
        assert!(message.payload().ends_with(&[0, 1, 0, 3]), "the group");
    }
}

#[test]
fn igmp_messages() {
    for (kind, packet) in [
        (0x11, v4().igmp_v2_query("239.1.2.3")),
        (0x16, v4().igmp_v2_report("239.1.2.3")),
        (0x17, v4().igmp_v2_leave("239.1.2.3")),
    ] {
        let frame = packet.router_alert().ttl(1).build();
        let packet = parse(&frame);
        let message = igmp(&packet);
        assert_eq!(message.type_u8(), kind);
        assert_eq!(message.bytes4to7(), [239, 1, 2, 3]);
        assert_eq!(ipv4(&packet).header().options(), [0x94, 4, 0, 0]);
    }

    let frame = v4().igmp_v3_report("239.1.2.3").router_alert().build();
    let packet = parse(&frame);
    assert_eq!(igmp(&packet).type_u8(), 0x22);
    assert_eq!(igmp(&packet).payload(), [4, 0, 0, 0, 239, 1, 2, 3]);
}

#[test]
fn tunnels() {
    for (number, header, packet) in [
        (IpNumber::GRE, 4, v4().gre()),
        (IpNumber::ENCAPSULATING_SECURITY_PAYLOAD, 8, v4().esp()),
    ] {
        let frame = packet.payload(30).build();
        let packet = parse(&frame);
        assert_eq!(ipv4(&packet).payload_ip_number(), number);
        assert_eq!(ipv4(&packet).payload().payload.len(), header + 30);
    }

    let frame = v4().ah().payload(30).build();
    let packet = parse(&frame);
    let net = ipv4(&packet);
    assert_eq!(net.header().protocol(), IpNumber::AUTHENTICATION_HEADER);
    let header = net.extensions().auth.expect("an authentication header");
    assert_eq!(header.next_header(), IpNumber::IPV6_NO_NEXT_HEADER);
    assert_eq!(net.payload().payload.len(), 30);
}
