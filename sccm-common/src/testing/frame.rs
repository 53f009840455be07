//! Frames as bytes. Checksums stay zero: nobody here looks at them.

use crate::address::Family;
use std::vec;
use std::vec::Vec;

pub(crate) const FIN: u8 = 0x01;
pub(crate) const SYN: u8 = 0x02;
pub(crate) const RST: u8 = 0x04;
pub(crate) const ACK: u8 = 0x10;

pub(crate) const ICMP: u8 = 1;
pub(crate) const TCP: u8 = 6;
pub(crate) const UDP: u8 = 17;
pub(crate) const GRE: u8 = 47;
pub(crate) const ESP: u8 = 50;
pub(crate) const ICMPV6: u8 = 58;
/// The IPv6 headers for fragments and for destination options.
pub(crate) const FRAGMENT: u8 = 44;
pub(crate) const DESTINATION_OPTIONS: u8 = 60;

/// A system, by a number from which both its addresses follow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Host(pub u8);

impl Host {
    /// 10.n.0.1 or 20nn::1: the first 16 bits tell hosts apart.
    pub(crate) fn address(self, family: Family) -> Vec<u8> {
        match family {
            Family::V4 => vec![10, self.0, 0, 1],
            Family::V6 => {
                let mut address = vec![0; 16];
                address[..2].copy_from_slice(&[0x20, self.0]);
                address[15] = 1;
                address
            }
        }
    }
}

/// Which part of a datagram a frame is.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Part {
    /// Identification.
    pub id: u16,
    /// Where it begins, in bytes; a multiple of 8.
    pub offset: u16,
    /// Whether another part follows.
    pub more: bool,
}

/// A sender and a receiver.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Link {
    pub family: Family,
    pub from: Host,
    pub to: Host,
}

/// From one host to another over IPv4.
pub(crate) fn v4(from: Host, to: Host) -> Link {
    Link::new(Family::V4, from, to)
}

/// From one host to another over IPv6.
pub(crate) fn v6(from: Host, to: Host) -> Link {
    Link::new(Family::V6, from, to)
}

impl Link {
    pub(crate) fn new(family: Family, from: Host, to: Host) -> Self {
        Self { family, from, to }
    }

    /// The other way.
    pub(crate) fn back(self) -> Self {
        Self::new(self.family, self.to, self.from)
    }

    /// A TCP segment without data.
    pub(crate) fn tcp(self, from: u16, to: u16, flags: u8) -> Vec<u8> {
        self.ip(TCP, &tcp_segment(from, to, flags, &[]))
    }

    /// A TCP segment with data.
    pub(crate) fn tcp_data(self, from: u16, to: u16) -> Vec<u8> {
        self.ip(TCP, &tcp_segment(from, to, ACK, b"data"))
    }

    /// A UDP datagram.
    pub(crate) fn udp(self, from: u16, to: u16, data: &[u8]) -> Vec<u8> {
        self.ip(UDP, &udp_datagram(from, to, data))
    }

    /// An echo request.
    pub(crate) fn echo(self, id: u16) -> Vec<u8> {
        match self.family {
            Family::V4 => self.control(8, id, &[]),
            Family::V6 => self.control(128, id, &[]),
        }
    }

    /// An echo reply.
    pub(crate) fn echo_reply(self, id: u16) -> Vec<u8> {
        match self.family {
            Family::V4 => self.control(0, id, &[]),
            Family::V6 => self.control(129, id, &[]),
        }
    }

    /// "Destination unreachable", with the packet of `quoted` in it.
    pub(crate) fn unreachable(self, quoted: &[u8]) -> Vec<u8> {
        match self.family {
            Family::V4 => self.control(3, 0, quoted),
            Family::V6 => self.control(1, 0, quoted),
        }
    }

    /// An ICMP or ICMPv6 message; `id` is where an echo has its identifier.
    pub(crate) fn control(self, kind: u8, id: u16, data: &[u8]) -> Vec<u8> {
        let protocol = match self.family {
            Family::V4 => ICMP,
            Family::V6 => ICMPV6,
        };
        let [i0, i1] = id.to_be_bytes();
        let message = [&[kind, 0, 0, 0, i0, i1, 0, 1], data].concat();
        self.ip(protocol, &message)
    }

    /// Any protocol.
    pub(crate) fn ip(self, protocol: u8, body: &[u8]) -> Vec<u8> {
        match self.family {
            Family::V4 => self.ipv4(protocol, &[], None, body),
            Family::V6 => self.ipv6(protocol, body),
        }
    }

    /// A part of a datagram of `protocol`.
    pub(crate) fn part(self, part: Part, protocol: u8, body: &[u8]) -> Vec<u8> {
        match self.family {
            Family::V4 => self.ipv4(protocol, &[], Some(part), body),
            Family::V6 => self.ipv6(FRAGMENT, &fragment_header(part, protocol, body)),
        }
    }

    /// IPv4 with options.
    pub(crate) fn ipv4(
        self,
        protocol: u8,
        options: &[u8],
        part: Option<Part>,
        body: &[u8],
    ) -> Vec<u8> {
        let header = 20 + options.len();
        let total = (header + body.len()) as u16;
        let (id, word) = part.map_or((0, 0x4000), |part| {
            (part.id, (part.offset / 8) | (u16::from(part.more) << 13))
        });
        let mut frame = vec![0; 12];
        frame.extend([0x08, 0x00, 0x40 | (header / 4) as u8, 0]);
        for word in [total, id, word] {
            frame.extend(word.to_be_bytes());
        }
        frame.extend([64, protocol, 0, 0]);
        frame.extend(self.from.address(self.family));
        frame.extend(self.to.address(self.family));
        frame.extend(options);
        frame.extend(body);
        frame
    }

    /// IPv6; `body` begins with the header that `next` names.
    pub(crate) fn ipv6(self, next: u8, body: &[u8]) -> Vec<u8> {
        let mut frame = vec![0; 12];
        frame.extend([0x86, 0xdd, 0x60, 0, 0, 0]);
        frame.extend((body.len() as u16).to_be_bytes());
        frame.extend([next, 64]);
        frame.extend(self.from.address(self.family));
        frame.extend(self.to.address(self.family));
        frame.extend(body);
        frame
    }
}

/// The IP packet in a frame.
pub(crate) fn packet(frame: &[u8]) -> &[u8] {
    &frame[14..]
}

/// An IPv6 fragment header and what is behind it.
pub(crate) fn fragment_header(part: Part, next: u8, body: &[u8]) -> Vec<u8> {
    let mut header = vec![next, 0];
    header.extend((part.offset | u16::from(part.more)).to_be_bytes());
    header.extend(u32::from(part.id).to_be_bytes());
    header.extend(body);
    header
}

pub(crate) fn tcp_segment(from: u16, to: u16, flags: u8, data: &[u8]) -> Vec<u8> {
    let mut segment = [from, to].map(u16::to_be_bytes).concat();
    segment.extend([0; 8]);
    segment.extend([5 << 4, flags, 0xff, 0xff, 0, 0, 0, 0]);
    segment.extend(data);
    segment
}

pub(crate) fn udp_datagram(from: u16, to: u16, data: &[u8]) -> Vec<u8> {
    let length = (8 + data.len()) as u16;
    let mut datagram = [from, to, length, 0].map(u16::to_be_bytes).concat();
    datagram.extend(data);
    datagram
}
