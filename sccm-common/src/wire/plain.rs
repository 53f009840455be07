//! The plain packet, recognised in a few comparisons.
//!
//! Nearly all traffic is TCP or UDP, whole, without options or extension headers, behind at most
//! one VLAN tag, in one buffer. Such a frame has every field at a place that is known beforehand.
//! What is not certainly of that kind is left to [`super::parse`], which also finds the reason of
//! what does not parse; on what both read, they agree (`plain/tests.rs`).

use super::{ethernet::ethertype, ipv4};
use crate::address::{Address, Family};
use crate::cursor::Frame;
use crate::packet::{Fragment, Packet, Protocol, TcpFlags};

const ETHERNET: usize = 14;
const TAG: usize = 4;
const IPV4: usize = 20;
const IPV6: usize = 40;
const UDP: usize = 8;
const TCP: usize = 20;

/// Version 4 and a header of five words.
const IPV4_WITHOUT_OPTIONS: u8 = 0x45;

/// A plain packet. Everything stays in the frame until it is asked for.
#[derive(Debug, Clone, Copy)]
pub struct Plain<'a> {
    network: Network<'a>,
    transport: Transport<'a>,
    /// Bytes before the network header.
    link: usize,
}

#[derive(Debug, Clone, Copy)]
enum Network<'a> {
    V4(&'a [u8; IPV4]),
    V6(&'a [u8; IPV6]),
}

#[derive(Debug, Clone, Copy)]
enum Transport<'a> {
    Tcp(&'a [u8; TCP]),
    Udp(&'a [u8; UDP]),
}

impl<'a> Plain<'a> {
    /// The plain packet of a frame, if it is one.
    #[inline(always)]
    pub fn recognise<F: Frame>(frame: &'a F) -> Option<Self> {
        let ethernet = frame.at::<{ ETHERNET + TAG }>(0)?;
        let mut kind = be16(ethernet, 12);
        let mut link = ETHERNET;
        if kind == ethertype::VLAN {
            kind = be16(ethernet, 16);
            link += TAG;
        }
        match kind {
            ethertype::IPV4 => Self::ipv4(frame, link),
            ethertype::IPV6 => Self::ipv6(frame, link),
            _ => None,
        }
    }

    #[inline(always)]
    fn ipv4<F: Frame>(frame: &'a F, link: usize) -> Option<Self> {
        let header = frame.at::<IPV4>(link)?;
        let total = usize::from(be16(header, 2));
        let in_parts = be16(header, 6) & (ipv4::MORE_FRAGMENTS | ipv4::OFFSET) != 0;
        if header[0] != IPV4_WITHOUT_OPTIONS || in_parts || !frame.holds(link + total) {
            return None;
        }
        let transport = Transport::of(frame, Protocol(header[9]), link + IPV4, total, IPV4)?;
        Some(Self {
            network: Network::V4(header),
            transport,
            link,
        })
    }

    #[inline(always)]
    fn ipv6<F: Frame>(frame: &'a F, link: usize) -> Option<Self> {
        let header = frame.at::<IPV6>(link)?;
        let payload = usize::from(be16(header, 4));
        if header[0] >> 4 != 6 || !frame.holds(link + IPV6 + payload) {
            return None;
        }
        let transport = Transport::of(frame, Protocol(header[6]), link + IPV6, payload, 0)?;
        Some(Self {
            network: Network::V6(header),
            transport,
            link,
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

    /// TCP or UDP.
    #[inline(always)]
    pub const fn protocol(&self) -> Protocol {
        match self.transport {
            Transport::Tcp(_) => Protocol::TCP,
            Transport::Udp(_) => Protocol::UDP,
        }
    }

    /// The sender's port.
    #[inline(always)]
    pub fn source_port(&self) -> u16 {
        match self.transport {
            Transport::Tcp(header) => be16(header, 0),
            Transport::Udp(header) => be16(header, 0),
        }
    }

    /// The receiver's port.
    #[inline(always)]
    pub fn destination_port(&self) -> u16 {
        match self.transport {
            Transport::Tcp(header) => be16(header, 2),
            Transport::Udp(header) => be16(header, 2),
        }
    }

    /// TCP: the flags; UDP: 0.
    #[inline(always)]
    pub const fn tcp_flags(&self) -> TcpFlags {
        match self.transport {
            Transport::Tcp(header) => TcpFlags(header[13]),
            Transport::Udp(_) => TcpFlags(0),
        }
    }

    /// What [`super::parse`] makes of the same frame.
    #[inline(always)]
    pub fn packet(&self) -> Packet {
        let (hop_limit, fragment_id, length, before) = match self.network {
            Network::V4(header) => {
                let total = be16(header, 2) - IPV4 as u16;
                (header[8], be16(header, 4).into(), total, IPV4)
            }
            Network::V6(header) => (header[7], 0, be16(header, 4), IPV6),
        };
        let (payload, header) = match self.transport {
            Transport::Tcp(header) => (length - u16::from(header[12] >> 4) * 4, TCP),
            Transport::Udp(header) => (be16(header, 4) - UDP as u16, UDP),
        };
        Packet {
            family: self.family(),
            source: self.source(),
            destination: self.destination(),
            protocol: self.protocol(),
            hop_limit,
            has_options: false,
            fragment: Fragment::Whole,
            source_port: self.source_port(),
            destination_port: self.destination_port(),
            tcp_flags: self.tcp_flags(),
            icmp_type: 0,
            fragment_id,
            payload_offset: (self.link + before + header) as u32,
            payload: payload.into(),
        }
    }
}

impl<'a> Transport<'a> {
    /// A header at byte `at` of the frame, if the IP packet, which counts `length` bytes and
    /// `before` of them in front of it, holds all that the header claims.
    #[inline(always)]
    fn of<F: Frame>(
        frame: &'a F,
        protocol: Protocol,
        at: usize,
        length: usize,
        before: usize,
    ) -> Option<Self> {
        match protocol {
            Protocol::TCP => {
                let header = frame.at::<TCP>(at)?;
                let size = usize::from(header[12] >> 4) * 4;
                (size >= TCP && before + size <= length).then_some(Self::Tcp(header))
            }
            Protocol::UDP => {
                let header = frame.at::<UDP>(at)?;
                let size = usize::from(be16(header, 4));
                (size >= UDP && before + size <= length).then_some(Self::Udp(header))
            }
            _ => None,
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
