//! The plain packet, recognised in a few comparisons.
//!
//! Nearly all traffic is TCP or UDP, whole, without options or extension headers, behind at most
//! one VLAN tag, in one buffer. Such a frame has every field at a place that is known beforehand.
//! What is not certainly of that kind is left to [`super::parse`], which also finds the reason of
//! what does not parse; on what both read, they agree (`plain/tests.rs`).

use super::{ethernet::ethertype, ipv4};
use crate::address::{Address, Family};
use crate::cursor::Cursor;
use crate::packet::{Fragment, Packet, Ports, Protocol, TcpFlags};

const ETHERNET: usize = 14;
const TAG: usize = 4;
const IPV4: usize = 20;
const IPV6: usize = 40;
const UDP: usize = 8;
const TCP: usize = 20;

/// Version 4 and a header of five words.
const IPV4_WITHOUT_OPTIONS: u8 = 0x45;

/// A plain packet. Its addresses stay in the frame until they are asked for.
#[derive(Debug, Clone, Copy)]
pub struct Plain<'a> {
    network: Network<'a>,
    /// What decides most packets.
    pub ports: Ports,
    payload_offset: u32,
    payload: u32,
}

/// A network header that says nothing unusual.
#[derive(Debug, Clone, Copy)]
enum Network<'a> {
    V4(&'a [u8; IPV4]),
    V6(&'a [u8; IPV6]),
}

/// Where the network header begins and how long the IP packet may be.
#[derive(Clone, Copy)]
struct Link {
    header: usize,
    room: u32,
}

impl<'a> Plain<'a> {
    /// The plain packet of a frame, if it is one; the cursor is at its first byte.
    #[inline(always)]
    pub fn recognise<C: Cursor>(cursor: &'a C) -> Option<Self> {
        let ethernet = cursor.ahead::<ETHERNET>(0)?;
        let mut kind = be16(ethernet, 12);
        let mut header = ETHERNET;
        if kind == ethertype::VLAN {
            kind = be16(cursor.ahead::<{ ETHERNET + TAG }>(0)?, 16);
            header += TAG;
        }
        let link = Link {
            header,
            room: cursor.contiguous().checked_sub(header as u32)?,
        };
        match kind {
            ethertype::IPV4 => Self::ipv4(cursor, link),
            ethertype::IPV6 => Self::ipv6(cursor, link),
            _ => None,
        }
    }

    #[inline(always)]
    fn ipv4<C: Cursor>(cursor: &'a C, link: Link) -> Option<Self> {
        let header = cursor.ahead::<IPV4>(link.header)?;
        let total = u32::from(be16(header, 2));
        let in_parts = be16(header, 6) & (ipv4::MORE_FRAGMENTS | ipv4::OFFSET) != 0;
        if header[0] != IPV4_WITHOUT_OPTIONS || in_parts || total > link.room {
            return None;
        }
        let payload = total.checked_sub(IPV4 as u32)?;
        match Protocol(header[9]) {
            Protocol::TCP => Self::tcp(cursor, link, Network::V4(header), payload),
            Protocol::UDP => Self::udp(cursor, link, Network::V4(header), payload),
            _ => None,
        }
    }

    #[inline(always)]
    fn ipv6<C: Cursor>(cursor: &'a C, link: Link) -> Option<Self> {
        let header = cursor.ahead::<IPV6>(link.header)?;
        let payload = u32::from(be16(header, 4));
        if header[0] >> 4 != 6 || payload + IPV6 as u32 > link.room {
            return None;
        }
        match Protocol(header[6]) {
            Protocol::TCP => Self::tcp(cursor, link, Network::V6(header), payload),
            Protocol::UDP => Self::udp(cursor, link, Network::V6(header), payload),
            _ => None,
        }
    }

    #[inline(always)]
    fn tcp<C: Cursor>(
        cursor: &'a C,
        link: Link,
        network: Network<'a>,
        payload: u32,
    ) -> Option<Self> {
        let at = link.header + network.length();
        let segment = cursor.ahead::<TCP>(at)?;
        let header = u32::from(segment[12] >> 4) * 4;
        if header < TCP as u32 || header > payload {
            return None;
        }
        Some(Self {
            network,
            ports: Ports {
                protocol: Protocol::TCP,
                source: be16(segment, 0),
                destination: be16(segment, 2),
                tcp_flags: TcpFlags(segment[13]),
            },
            payload_offset: (at + TCP) as u32,
            payload: payload - header,
        })
    }

    #[inline(always)]
    fn udp<C: Cursor>(
        cursor: &'a C,
        link: Link,
        network: Network<'a>,
        payload: u32,
    ) -> Option<Self> {
        let at = link.header + network.length();
        let datagram = cursor.ahead::<UDP>(at)?;
        let length = u32::from(be16(datagram, 4));
        if length < UDP as u32 || length > payload {
            return None;
        }
        Some(Self {
            network,
            ports: Ports {
                protocol: Protocol::UDP,
                source: be16(datagram, 0),
                destination: be16(datagram, 2),
                tcp_flags: TcpFlags(0),
            },
            payload_offset: (at + UDP) as u32,
            payload: length - UDP as u32,
        })
    }

    /// IPv4 or IPv6.
    #[inline(always)]
    pub const fn family(&self) -> Family {
        match self.network {
            Network::V4(_) => Family::V4,
            Network::V6(_) => Family::V6,
        }
    }

    /// The sender.
    #[inline(always)]
    pub fn source(&self) -> Address {
        match self.network {
            Network::V4(header) => Address::v4(bytes(header, 12)),
            Network::V6(header) => Address::v6(bytes(header, 8), bytes(header, 16)),
        }
    }

    /// The receiver.
    #[inline(always)]
    pub fn destination(&self) -> Address {
        match self.network {
            Network::V4(header) => Address::v4(bytes(header, 16)),
            Network::V6(header) => Address::v6(bytes(header, 24), bytes(header, 32)),
        }
    }

    /// What [`super::parse`] makes of the same frame.
    #[inline(always)]
    pub fn packet(&self) -> Packet {
        let (hop_limit, fragment_id) = match self.network {
            Network::V4(header) => (header[8], be16(header, 4).into()),
            Network::V6(header) => (header[7], 0),
        };
        Packet {
            family: self.family(),
            source: self.source(),
            destination: self.destination(),
            protocol: self.ports.protocol,
            hop_limit,
            has_options: false,
            fragment: Fragment::Whole,
            source_port: self.ports.source,
            destination_port: self.ports.destination,
            tcp_flags: self.ports.tcp_flags,
            icmp_type: 0,
            fragment_id,
            payload_offset: self.payload_offset,
            payload: self.payload,
        }
    }
}

impl Network<'_> {
    #[inline(always)]
    const fn length(&self) -> usize {
        match self {
            Network::V4(_) => IPV4,
            Network::V6(_) => IPV6,
        }
    }
}

#[inline(always)]
fn be16<const N: usize>(header: &[u8; N], at: usize) -> u16 {
    u16::from_be_bytes(bytes(header, at))
}

/// `M` of the bytes of a header; every caller names a place within it.
#[inline(always)]
fn bytes<const N: usize, const M: usize>(header: &[u8; N], at: usize) -> [u8; M] {
    core::array::from_fn(|index| header[at + index])
}
