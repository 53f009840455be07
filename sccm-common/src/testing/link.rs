//! Who sends a frame to whom. `sccm-packets` makes the bytes.

use crate::address::Family;
use sccm_packets::Packet;
use sccm_packets::tcp_flag::ACK;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::string::ToString;
use std::vec::Vec;

/// A system, by a number from which both its addresses follow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Host(pub u8);

impl Host {
    /// 10.n.0.1 or 20nn::1: the first 16 bits tell hosts apart.
    pub(crate) fn address(self, family: Family) -> IpAddr {
        match family {
            Family::V4 => Ipv4Addr::new(10, self.0, 0, 1).into(),
            Family::V6 => Ipv6Addr::new(0x2000 | u16::from(self.0), 0, 0, 0, 0, 0, 0, 1).into(),
        }
    }
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

/// The frames of most tests, and [`Link::packet`] for all others.
impl Link {
    pub(crate) fn new(family: Family, from: Host, to: Host) -> Self {
        Self { family, from, to }
    }

    /// The other way.
    pub(crate) fn back(self) -> Self {
        Self::new(self.family, self.to, self.from)
    }

    /// An IP packet from one to the other, to be filled.
    pub(crate) fn packet(self) -> Packet {
        self.packet_to(&self.to.address(self.family).to_string())
    }

    /// The same to any address of the family, such as a group's.
    pub(crate) fn packet_to(self, destination: &str) -> Packet {
        Packet::ip(&self.from.address(self.family).to_string(), destination)
    }

    /// A part of a datagram, to be filled. It begins at byte `offset` of the datagram, a multiple
    /// of 8; with `more`, another part follows.
    pub(crate) fn fragment(self, id: u16, offset: u16, more: bool) -> Packet {
        self.packet().fragment(id, offset, more)
    }

    /// A TCP segment without data.
    pub(crate) fn tcp(self, from: u16, to: u16, flags: u8) -> Vec<u8> {
        self.packet().tcp(from, to).flags(flags).build()
    }

    /// A TCP segment with data.
    pub(crate) fn tcp_data(self, from: u16, to: u16) -> Vec<u8> {
        self.packet().tcp(from, to).flags(ACK).data(b"data").build()
    }

    /// A UDP datagram.
    pub(crate) fn udp(self, from: u16, to: u16, data: &[u8]) -> Vec<u8> {
        self.packet().udp(from, to).data(data).build()
    }

    /// An echo request.
    pub(crate) fn echo(self, id: u16) -> Vec<u8> {
        self.packet().icmp_echo_request(id).build()
    }

    /// An echo reply.
    pub(crate) fn echo_reply(self, id: u16) -> Vec<u8> {
        self.packet().icmp_echo_reply(id).build()
    }

    /// "Destination unreachable" about the packet `quoted`.
    pub(crate) fn unreachable(self, quoted: &[u8]) -> Vec<u8> {
        match self.family {
            Family::V4 => self.control(3, quoted),
            Family::V6 => self.control(1, quoted),
        }
    }

    /// An ICMP or ICMPv6 message.
    pub(crate) fn control(self, kind: u8, data: &[u8]) -> Vec<u8> {
        let message = match self.family {
            Family::V4 => self.packet().icmp(kind, 0),
            Family::V6 => self.packet().icmpv6(kind, 0),
        };
        message.data(data).build()
    }

    /// Any protocol.
    pub(crate) fn ip(self, protocol: u8, body: &[u8]) -> Vec<u8> {
        self.packet().ip_protocol(protocol).data(body).build()
    }
}

/// The IP packet in a frame, as an ICMP error quotes it.
pub(crate) fn quote(frame: &[u8]) -> &[u8] {
    &frame[14..]
}
