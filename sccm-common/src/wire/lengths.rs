//! No length that a header claims is believed beyond the frame.

use super::parse;
use crate::cursor::SliceCursor;
use crate::reason::Reason::{self, Ipv4TotalLength, Ipv6PayloadLength, TcpDataOffset, UdpLength};
use core::ops::ControlFlow::{Break, Continue};
use sccm_packets::Packet;

#[track_caller]
fn ends(packet: Packet, reason: Reason) {
    let end = parse(&mut SliceCursor::new(&packet.build()));
    assert_eq!(end.map_continue(|_| ()), Break(reason), "{packet:?}");
}

#[track_caller]
fn holds(packet: Packet) {
    let end = parse(&mut SliceCursor::new(&packet.build()));
    assert!(matches!(end, Continue(_)), "{packet:?}");
}

#[test]
fn one_byte_more_than_the_frame_has_is_too_much() {
    let v4 = || {
        Packet::ipv4("198.51.100.1", "192.0.2.10")
            .udp(40000, 53)
            .payload(5)
    };
    let v6 = || {
        Packet::ipv6("2001:db8::1", "2001:db8::2")
            .udp(40000, 53)
            .payload(5)
    };
    holds(v4().total_length(33));
    ends(v4().total_length(34), Ipv4TotalLength);
    ends(v4().total_length(u16::MAX), Ipv4TotalLength);
    holds(v6().payload_length(13));
    ends(v6().payload_length(14), Ipv6PayloadLength);
    ends(v6().payload_length(u16::MAX), Ipv6PayloadLength);
    for packet in [v4(), v6()] {
        holds(packet.clone().udp_length(13));
        holds(packet.clone().udp_length(8));
        ends(packet.clone().udp_length(14), UdpLength);
        ends(packet.udp_length(7), UdpLength);
    }
    for packet in [
        Packet::ipv4("198.51.100.1", "192.0.2.10"),
        Packet::ipv6("2001:db8::1", "2001:db8::2"),
    ] {
        let tcp = packet.tcp(40000, 80).payload(4);
        holds(tcp.clone().data_offset(6));
        ends(tcp.clone().data_offset(7), TcpDataOffset);
        ends(tcp.data_offset(4), TcpDataOffset);
    }
}
