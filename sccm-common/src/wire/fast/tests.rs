//! The fast path against the slow one, on many frames of either, and on those broken at random.

use crate::address::Family;
use crate::testing::{FAMILIES, Link, PEER, PROTECTED, World, class};
use crate::verdict::Place;
use crate::wire::{self, fast};
use crate::{Packet, SliceCursor};
use sccm_packets::protocol::{FRAGMENT, TCP, UDP};
use sccm_packets::tcp_flag::{ACK, SYN};
use std::vec;
use std::vec::Vec;

/// Bytes of Ethernet addresses, behind which tags are put.
const ADDRESSES: usize = 12;

fn parsed(frame: &[u8]) -> Option<Packet> {
    wire::parse(&mut SliceCursor::new(frame)).continue_value()
}

/// The same frame with this many VLAN tags.
fn tagged(mut frame: Vec<u8>, tags: usize) -> Vec<u8> {
    let tags = [0x81, 0x00, 0x00, 0x14].repeat(tags);
    frame.splice(ADDRESSES..ADDRESSES, tags);
    frame
}

/// Packets of the fast path, of both transports.
fn simple(family: Family) -> Vec<Vec<u8>> {
    let link = Link::new(family, PEER, PROTECTED);
    vec![
        link.tcp(50000, 80, SYN),
        link.tcp(50000, 3389, SYN),
        link.tcp(1433, 40000, ACK),
        link.tcp_data(1433, 40000),
        link.udp(50000, 53, b"question"),
        link.udp(161, 40000, b""),
    ]
}

/// Packets of the slow path.
fn complex(family: Family) -> Vec<Vec<u8>> {
    let link = Link::new(family, PEER, PROTECTED);
    let part = |offset, more, protocol| {
        let part = link.fragment(7, offset, more).ip_protocol(protocol);
        part.data([0; 32]).build()
    };
    let mut frames = vec![
        link.echo(1),
        part(0, true, UDP),
        part(0, true, TCP),
        part(64, false, UDP),
    ];
    if family == Family::V4 {
        let options = link.packet().options(&[1; 4]);
        frames.push(options.tcp(1, 80).syn().build());
    }
    frames
}

/// DHCP and TFTP: read on the fast path, judged on the slow one.
fn followed(family: Family) -> Vec<Vec<u8>> {
    let link = Link::new(family, PEER, PROTECTED);
    vec![
        link.udp(67, 68, b"offer"),
        link.udp(547, 546, b"reply"),
        link.udp(50000, 69, b"\0\x01file"),
        link.udp(50000, 50001, b"\0\x03\0\x01data"),
    ]
}

#[test]
fn simple_packets_take_the_fast_path() {
    for frame in FAMILIES.into_iter().flat_map(simple) {
        for tags in 0..=1 {
            let mut frame = tagged(frame.clone(), tags);
            let packet = fast::parse(&frame[..]);
            assert!(packet.is_some(), "{frame:x?}");
            assert_eq!(packet, parsed(&frame));
            // Ethernet pads short frames.
            frame.resize(96, 0);
            assert_eq!(fast::parse(&frame[..]), packet);
        }
    }
}

#[test]
fn complex_and_short_packets_take_the_slow_path() {
    for frame in FAMILIES.into_iter().flat_map(complex) {
        assert_eq!(fast::parse(&frame[..]), None, "{frame:x?}");
    }
    for frame in FAMILIES.into_iter().flat_map(simple) {
        assert_eq!(fast::parse(&tagged(frame.clone(), 2)[..]), None);
        for length in 0..frame.len() {
            assert_eq!(fast::parse(&frame[..length]), None, "{length} {frame:x?}");
        }
    }
}

#[test]
fn what_must_be_followed_is_judged_on_the_slow_path() {
    let world = World::host().inbound(&[class::TFTP]);
    for frame in FAMILIES.into_iter().flat_map(followed) {
        assert!(fast::parse(&frame[..]).is_some(), "{frame:x?}");
        assert_eq!(world.fast_ingress(&frame), None, "{frame:x?}");
        assert_eq!(world.fast_egress(&frame), None, "{frame:x?}");
    }
    // A question of UDP, under `enforce`; what is to a group.
    let enforcing = World::host().enforcing(&[class::DNS]);
    for link in FAMILIES.map(|family| Link::new(family, PROTECTED, PEER)) {
        let frame = link.udp(50000, 53, b"question");
        assert_eq!(enforcing.fast_egress(&frame), None, "{frame:x?}");
        assert!(world.fast_egress(&frame).is_some(), "{frame:x?}");
    }
    for packet in [
        sccm_packets::Packet::ipv4("192.0.2.10", "239.1.2.3"),
        sccm_packets::Packet::ipv6("2001:db8::10", "ff05::7"),
    ] {
        let frame = packet.udp(50000, 63500).build();
        assert!(fast::parse(&frame[..]).is_some(), "{frame:x?}");
        assert_eq!(world.fast_egress(&frame), None, "{frame:x?}");
    }
}

/// xorshift64 (Marsaglia, 2003): the same frames in every run.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % bound as u64) as usize
    }

    /// A frame with up to three bytes changed, and sometimes shorter or longer.
    fn broken(&mut self, mut frame: Vec<u8>) -> Vec<u8> {
        for _ in 0..self.below(4) {
            let index = self.below(frame.len().min(80));
            frame[index] = match self.below(3) {
                0 => self.below(256) as u8,
                1 => frame[index] ^ 1 << self.below(8),
                _ => [0, 1, 5, 6, 8, 17, FRAGMENT, 58, 0x45, 0x60, 0xff][self.below(11)],
            };
        }
        match self.below(8) {
            0 => frame.truncate(self.below(frame.len()) + 1),
            1 => frame.resize(frame.len() + self.below(1600), 0),
            _ => {}
        }
        frame
    }
}

#[test]
fn both_read_and_judge_the_same_in_what_is_broken() {
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    let kinds = |family| [simple(family), complex(family), followed(family)].concat();
    let frames: Vec<_> = FAMILIES.into_iter().flat_map(kinds).collect();
    let worlds = [
        World::host().inbound(&[class::HTTP, class::TFTP]),
        World::gateway(Place::Uplink).inbound(&[class::HTTP, class::DNS]),
        // Half of these frames have such a source, or one that is like it.
        World::host().own(PEER).inbound(&[class::HTTP, class::TFTP]),
    ];
    for link in FAMILIES.map(|family| Link::new(family, PROTECTED, PEER)) {
        worlds[0].leaves(&link.tcp(40000, 1433, SYN));
        worlds[0].leaves(&link.udp(40000, 161, b"get"));
    }
    let hosts = [
        World::host().inbound(&[class::HTTP, class::TFTP]),
        World::host().own(PEER).inbound(&[class::HTTP]),
        World::host()
            .inbound(&[class::HTTP])
            .enforcing(&[class::DNS]),
    ];
    let (mut read, mut judged, mut sent) = (0, 0, 0);
    for _ in 0..200_000 {
        let tags = random.below(4).saturating_sub(1);
        let frame = tagged(frames[random.below(frames.len())].clone(), tags);
        let frame = random.broken(frame);
        if let Some(packet) = fast::parse(&frame[..]) {
            assert_eq!(parsed(&frame), Some(packet), "{frame:x?}");
            read += 1;
        }
        // Each world compares both verdicts itself.
        for world in &worlds {
            judged += usize::from(world.fast_ingress(&frame).is_some());
            world.ingress(&frame);
        }
        for host in &hosts {
            sent += usize::from(host.fast_egress(&frame).is_some());
            host.egress(&frame);
        }
    }
    let all = [read, judged, sent];
    assert!(all.into_iter().all(|count| count > 20_000), "{all:?}");
}
