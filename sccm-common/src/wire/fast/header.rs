//! The headers of a packet of the fast path, each a view of the bytes in the frame.

use super::super::ipv4::{MORE_FRAGMENTS, OFFSET, WITHOUT_OPTIONS};
use crate::address::{Address, Family};
use crate::as_written;
use crate::cursor::Contiguous;
use crate::packet::{Protocol, TcpFlags};

/// A network header of the fast path: no options, no fragment. Sizes are in bytes.
pub trait Network<'a>: Copy {
    /// IPv4 or IPv6.
    const FAMILY: Family;
    /// Its own size.
    const SIZE: usize;

    /// The header at the beginning of a packet that is there as long as the header says.
    fn of<F: Contiguous>(packet: &'a F) -> Option<Self>;
    /// The transport protocol.
    fn protocol(self) -> Protocol;
    /// The size of the packet, this header included.
    fn length(self) -> usize;
    /// The sender.
    fn source(self) -> Address;
    /// The receiver.
    fn destination(self) -> Address;
    /// Time to live, or hop limit.
    fn hop_limit(self) -> u8;
    /// Identification; IPv6 has none here.
    fn id(self) -> u32;
    /// The same header, to be read once more.
    fn again(self) -> Self;
}

/// IPv4 without options, no fragment (RFC 791).
#[derive(Debug, Clone, Copy)]
pub struct Ipv4<'a>(&'a [u8; 20]);

impl<'a> Network<'a> for Ipv4<'a> {
    const FAMILY: Family = Family::V4;
    const SIZE: usize = 20;

    #[inline(always)]
    fn of<F: Contiguous>(packet: &'a F) -> Option<Self> {
        let header = Self(packet.at(0)?);
        let in_parts = be16(header.0, 6) & (MORE_FRAGMENTS | OFFSET) != 0;
        let fast = header.0[0] == WITHOUT_OPTIONS && !in_parts;
        (fast && packet.holds(header.length())).then_some(header)
    }

    #[inline(always)]
    fn protocol(self) -> Protocol {
        Protocol(self.0[9])
    }

    #[inline(always)]
    fn length(self) -> usize {
        be16(self.0, 2).into()
    }

    #[inline(always)]
    fn source(self) -> Address {
        Address::v4(bytes(self.0, 12))
    }

    #[inline(always)]
    fn destination(self) -> Address {
        Address::v4(bytes(self.0, 16))
    }

    #[inline(always)]
    fn hop_limit(self) -> u8 {
        self.0[8]
    }

    #[inline(always)]
    fn id(self) -> u32 {
        be16(self.0, 4).into()
    }

    #[inline(always)]
    fn again(self) -> Self {
        Self(as_written::same(self.0))
    }
}

/// IPv6 (RFC 8200).
#[derive(Debug, Clone, Copy)]
pub struct Ipv6<'a>(&'a [u8; 40]);

impl<'a> Network<'a> for Ipv6<'a> {
    const FAMILY: Family = Family::V6;
    const SIZE: usize = 40;

    #[inline(always)]
    fn of<F: Contiguous>(packet: &'a F) -> Option<Self> {
        let header = Self(packet.at(0)?);
        (header.0[0] >> 4 == 6 && packet.holds(header.length())).then_some(header)
    }

    #[inline(always)]
    fn protocol(self) -> Protocol {
        Protocol(self.0[6])
    }

    #[inline(always)]
    fn length(self) -> usize {
        usize::from(be16(self.0, 4)) + Self::SIZE
    }

    #[inline(always)]
    fn source(self) -> Address {
        Address::v6(bytes(self.0, 8), bytes(self.0, 16))
    }

    #[inline(always)]
    fn destination(self) -> Address {
        Address::v6(bytes(self.0, 24), bytes(self.0, 32))
    }

    #[inline(always)]
    fn hop_limit(self) -> u8 {
        self.0[7]
    }

    #[inline(always)]
    fn id(self) -> u32 {
        0
    }

    #[inline(always)]
    fn again(self) -> Self {
        Self(as_written::same(self.0))
    }
}

/// A transport header whose own length is plausible. Sizes are in bytes.
pub trait Transport<'a>: Copy {
    /// TCP or UDP.
    const PROTOCOL: Protocol;
    /// The size of the header without options.
    const SIZE: usize;

    /// The header `at` this byte of a packet.
    fn of<F: Contiguous>(packet: &'a F, at: usize) -> Option<Self>;
    /// How long the packet must be behind the network header, by this header.
    fn claimed(self) -> usize;
    /// The sender's port.
    fn source_port(self) -> u16;
    /// The receiver's port.
    fn destination_port(self) -> u16;
    /// TCP: the flags; UDP: 0.
    fn flags(self) -> TcpFlags;
    /// TCP: the number of the first byte; UDP: 0.
    fn sequence(self) -> u32;
    /// TCP: the number of the next byte that is expected; UDP: 0.
    fn acknowledgement(self) -> u32;
    /// The same header, to be read once more.
    fn again(self) -> Self;
    /// The size of what follows, where `behind` bytes are behind the network header.
    fn payload(self, behind: usize) -> usize;
}

/// TCP (RFC 9293).
#[derive(Debug, Clone, Copy)]
pub struct Tcp<'a>(&'a [u8; 20]);

impl<'a> Transport<'a> for Tcp<'a> {
    const PROTOCOL: Protocol = Protocol::TCP;
    const SIZE: usize = 20;

    #[inline(always)]
    fn of<F: Contiguous>(packet: &'a F, at: usize) -> Option<Self> {
        let header = Self(packet.at(at)?);
        (header.claimed() >= Self::SIZE).then_some(header)
    }

    #[inline(always)]
    fn claimed(self) -> usize {
        usize::from(self.0[12] >> 4) * 4
    }

    #[inline(always)]
    fn source_port(self) -> u16 {
        port(self.0, 0)
    }

    #[inline(always)]
    fn destination_port(self) -> u16 {
        port(self.0, 2)
    }

    #[inline(always)]
    fn flags(self) -> TcpFlags {
        TcpFlags(self.0[13])
    }

    #[inline(always)]
    fn sequence(self) -> u32 {
        u32::from_be_bytes(bytes(self.0, 4))
    }

    #[inline(always)]
    fn acknowledgement(self) -> u32 {
        u32::from_be_bytes(bytes(self.0, 8))
    }

    #[inline(always)]
    fn again(self) -> Self {
        Self(as_written::same(self.0))
    }

    #[inline(always)]
    fn payload(self, behind: usize) -> usize {
        behind - self.claimed()
    }
}

/// UDP (RFC 768).
#[derive(Debug, Clone, Copy)]
pub struct Udp<'a>(&'a [u8; 8]);

impl<'a> Transport<'a> for Udp<'a> {
    const PROTOCOL: Protocol = Protocol::UDP;
    const SIZE: usize = 8;

    #[inline(always)]
    fn of<F: Contiguous>(packet: &'a F, at: usize) -> Option<Self> {
        let header = Self(packet.at(at)?);
        (header.claimed() >= Self::SIZE).then_some(header)
    }

    #[inline(always)]
    fn claimed(self) -> usize {
        be16(self.0, 4).into()
    }

    #[inline(always)]
    fn source_port(self) -> u16 {
        port(self.0, 0)
    }

    #[inline(always)]
    fn destination_port(self) -> u16 {
        port(self.0, 2)
    }

    #[inline(always)]
    fn flags(self) -> TcpFlags {
        TcpFlags(0)
    }

    #[inline(always)]
    fn sequence(self) -> u32 {
        0
    }

    #[inline(always)]
    fn acknowledgement(self) -> u32 {
        0
    }

    #[inline(always)]
    fn again(self) -> Self {
        Self(as_written::same(self.0))
    }

    #[inline(always)]
    fn payload(self, _behind: usize) -> usize {
        self.claimed() - Self::SIZE
    }
}

#[inline(always)]
pub(super) fn be16<const SIZE: usize>(header: &[u8; SIZE], at: usize) -> u16 {
    u16::from_be_bytes(bytes(header, at))
}

/// A port, which may become an index. The verifiers of Linux 6.1 and 6.12 know no bounds of
/// what was converted from big endian.
#[inline(always)]
fn port<const SIZE: usize>(header: &[u8; SIZE], at: usize) -> u16 {
    as_written::and::<0xffff>(be16(header, at).into()) as u16
}

/// Some bytes of a header, as one word where it can be. Every caller asks for bytes within it.
#[inline(always)]
fn bytes<const SIZE: usize, const N: usize>(header: &[u8; SIZE], at: usize) -> [u8; N] {
    match header[at..].first_chunk() {
        Some(bytes) => *bytes,
        None => [0; N],
    }
}
