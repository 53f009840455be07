//! Packets longer than a length field can tell (BIG TCP): the kernel of this machine has made them.

use crate::Place;
use crate::Reason::{
    self, Ipv4HeaderLength, Ipv6PayloadLength, NotAllowed, Outbound, Reply, Service,
};
use crate::address::Family;
use crate::testing::{FAMILIES, Link, PEER, PROTECTED, World, class};
use sccm_packets::tcp_flag::ACK;
use std::vec::Vec;

/// Bytes of data, so that the packet is longer than its field can tell.
const BIG: usize = 180_000;

/// TCP data, in a packet whose length field is 0.
fn big(link: Link, port: u16, data: usize) -> Vec<u8> {
    let packet = link.packet().tcp(40000, port).flags(ACK);
    let packet = match link.family {
        Family::V4 => packet.total_length(0),
        Family::V6 => packet.payload_length(0),
    };
    packet.payload(data).build()
}

/// The same of IPv6, behind a hop-by-hop header with one option.
fn jumbo(link: Link, port: u16, data: usize, header: [u8; 8]) -> Vec<u8> {
    let mut frame = big(link, port, data);
    frame[20] = 0;
    frame.splice(54..54, header);
    frame
}

fn option(size: usize) -> [u8; 8] {
    let [a, b, c, d] = (size as u32).to_be_bytes();
    [6, 0, 0xc2, 4, a, b, c, d]
}

#[test]
fn what_the_kernel_puts_together_is_judged_by_its_port() {
    for link in FAMILIES.map(|family| Link::new(family, PEER, PROTECTED)) {
        let world = World::host().inbound(&[class::HTTP]);
        assert_eq!(world.arrives(&big(link, 80, BIG)), Service);
        assert_eq!(world.arrives(&big(link, 81, BIG)), NotAllowed);
        // What goes out opens a flow, so that its answers pass.
        assert_eq!(world.leaves(&big(link.back(), 443, BIG)), Outbound);
        assert_eq!(world.flows(), 1);
        assert_eq!(world.arrives(&link.tcp(443, 40000, ACK)), Reply);
    }
    let link = Link::new(Family::V6, PEER, PROTECTED);
    let world = World::host().inbound(&[class::HTTP]);
    let header = option(8 + 20 + BIG);
    assert_eq!(world.arrives(&jumbo(link, 80, BIG, header)), Service);
    assert_eq!(world.arrives(&jumbo(link, 81, BIG, header)), NotAllowed);
    assert_eq!(
        world.leaves(&jumbo(link.back(), 443, BIG, header)),
        Outbound
    );
    assert_eq!(world.flows(), 1);
}

/// The first size that no length field tells, and the last that one does.
#[test]
fn only_what_no_link_carries_may_leave_its_length_out() {
    let world = World::host().inbound(&[class::HTTP]);
    let refused = |family| match family {
        Family::V4 => Ipv4HeaderLength,
        Family::V6 => Ipv6PayloadLength,
    };
    for family in FAMILIES {
        let link = Link::new(family, PEER, PROTECTED);
        let header = if family == Family::V4 { 20 } else { 0 };
        let most = 65_535 - 20 - header;
        for data in [0, 1, 1_440, 8_900, most] {
            assert_eq!(
                world.arrives(&big(link, 80, data)),
                refused(family),
                "{data}"
            );
        }
        assert_eq!(world.arrives(&big(link, 80, most + 1)), Service);
    }
}

#[test]
fn forged_lengths_are_refused_in_long_frames_too() {
    let world = World::host().inbound(&[class::HTTP, class::DNS]);
    let v4 = Link::new(Family::V4, PEER, PROTECTED);
    let mut frames = Vec::new();
    // UDP and fragments are never put together so.
    let datagram = v4.packet().udp(40000, 53).total_length(0).payload(BIG);
    frames.push((datagram.build(), Ipv4HeaderLength));
    for flags in [0x2000_u16, 1] {
        let mut frame = big(v4, 80, BIG);
        frame[20..22].copy_from_slice(&flags.to_be_bytes());
        frames.push((frame, Ipv4HeaderLength));
    }
    // Nor what has options.
    let options = v4.packet().options(&[1; 4]).tcp(40000, 80).flags(ACK);
    let options = options.total_length(0).payload(BIG).build();
    frames.push((options, Ipv4HeaderLength));
    let v6 = Link::new(Family::V6, PEER, PROTECTED);
    let datagram = v6.packet().udp(40000, 53).payload_length(0).payload(BIG);
    frames.push((datagram.build(), Ipv6PayloadLength));
    let right = 8 + 20 + BIG;
    for (change, to) in [(0, 17), (0, 43), (1, 1), (2, 0x05), (3, 2), (7, 0xff)] {
        let mut header = option(right);
        header[change] = to;
        frames.push((jumbo(v6, 80, BIG, header), Ipv6PayloadLength));
    }
    for size in [right - 1, right + 1, 0, 65_535] {
        frames.push((jumbo(v6, 80, BIG, option(size)), Ipv6PayloadLength));
    }
    // A jumbogram that a link could carry.
    for data in [0, 100, 8_900] {
        let frame = jumbo(v6, 80, data, option(8 + 20 + data));
        frames.push((frame, Ipv6PayloadLength));
        frames.push((jumbo(v6, 80, data, option(70_000)), Ipv6PayloadLength));
    }
    for (frame, expected) in frames {
        for place in [Place::Host, Place::Uplink, Place::Segment] {
            let found = world.tables().ingress(&frame, place).reason;
            assert_eq!(found, expected, "{:02x?}", &frame[..70]);
        }
    }
}

/// A TCP header that is longer than its packet is refused in these, too.
#[test]
fn the_transport_header_is_checked() {
    let world = World::host().inbound(&[class::HTTP]);
    for family in FAMILIES {
        let mut frame = big(Link::new(family, PEER, PROTECTED), 80, BIG);
        let at = if family == Family::V4 { 34 } else { 54 };
        frame[at + 12] = 4 << 4;
        assert_eq!(world.arrives(&frame), Reason::TcpDataOffset);
    }
}
