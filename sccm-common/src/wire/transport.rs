//! The transport header, and the checks that fragments need before it is read.

use super::{OrEnd, Parsed};
use crate::address::{Address, Family};
use crate::cursor::Cursor;
use crate::packet::{Fragment, Packet, Protocol, TcpFlags};
use crate::reason::Reason;
use core::ops::ControlFlow::{Break, Continue};

const TCP_HEADER: u32 = 20;
const UDP_HEADER: u32 = 8;
const ICMP_HEADER: u32 = 8;
const MAX_DATAGRAM: u32 = 65_535;

pub(crate) const ICMP_ECHO: u8 = 8;
pub(crate) const ICMP_ECHO_REPLY: u8 = 0;
pub(crate) const ICMPV6_ECHO: u8 = 128;
pub(crate) const ICMPV6_ECHO_REPLY: u8 = 129;

/// What the network layer says of a packet.
pub(super) struct Datagram {
    pub family: Family,
    pub source: Address,
    pub destination: Address,
    pub protocol: Protocol,
    pub hop_limit: u8,
    pub has_options: bool,
    pub source_routed: bool,
    /// Bytes behind the network headers, by their own account.
    pub payload: u32,
    /// Bytes before those that count towards the size of a datagram: the header
    /// of IPv4 (RFC 791, 3.1), nothing of IPv6 (RFC 8200, 4.5).
    pub before: u32,
    pub fragment: Fragment,
    /// Identification of the datagram, where it is in fragments.
    pub id: u32,
    /// Where in the datagram what follows these headers begins, in bytes.
    pub offset: u32,
}

/// What the network layer says of a TCP packet that is longer than its field can tell.
pub(super) struct Big {
    pub family: Family,
    pub source: Address,
    pub destination: Address,
    pub hop_limit: u8,
    pub has_options: bool,
    /// Bytes behind the network headers.
    pub payload: u32,
}

/// Reads the TCP header of such a packet. Apart from the others, so that the verifier follows no
/// options and no extension headers for it.
#[inline(always)]
pub(super) fn parse_big<C: Cursor>(cursor: &mut C, big: Big, packet: &mut Packet) -> Parsed<()> {
    let datagram = Datagram {
        family: big.family,
        source: big.source,
        destination: big.destination,
        protocol: Protocol::TCP,
        hop_limit: big.hop_limit,
        has_options: big.has_options,
        source_routed: false,
        payload: big.payload,
        before: 0,
        fragment: Fragment::Whole,
        id: 0,
        offset: 0,
    };
    parse(cursor, datagram, packet)
}

/// Reads the transport header, and writes all that is known of a packet that is [`Packet::NONE`].
#[inline(always)]
pub(super) fn parse<C: Cursor>(
    cursor: &mut C,
    datagram: Datagram,
    packet: &mut Packet,
) -> Parsed<()> {
    packet.family = datagram.family;
    packet.source = datagram.source;
    packet.destination = datagram.destination;
    packet.protocol = datagram.protocol;
    packet.hop_limit = datagram.hop_limit;
    packet.has_options = datagram.has_options;
    packet.source_routed = datagram.source_routed;
    packet.fragment = datagram.fragment;
    packet.fragment_id = datagram.id;
    if datagram.fragment == Fragment::Later {
        later_fragment(&datagram)?;
        packet.fragment_edge = datagram.offset as u16;
        return Continue(());
    }
    cursor.forget_path();
    let first = datagram.fragment == Fragment::First;
    // A first fragment must hold the whole header (RFC 7112): else it is tiny.
    let short = |reason| if first { Reason::FragmentTiny } else { reason };
    let mut header_size = 0;
    match datagram.protocol {
        Protocol::TCP => {
            if datagram.payload < TCP_HEADER {
                return Break(short(Reason::TcpTruncated));
            }
            let [s0, s1, d0, d1] = cursor.take().or_end(Reason::TcpTruncated)?;
            let [n0, n1, n2, n3, a0, a1, a2, a3] = cursor.take().or_end(Reason::TcpTruncated)?;
            let [offset, flags, _, _] = cursor.take().or_end(Reason::TcpTruncated)?;
            let _rest: [u8; 4] = cursor.take().or_end(Reason::TcpTruncated)?;
            let header = u32::from(offset >> 4) * 4;
            if header < TCP_HEADER {
                return Break(Reason::TcpDataOffset);
            }
            if header > datagram.payload {
                return Break(short(Reason::TcpDataOffset));
            }
            packet.source_port = u16::from_be_bytes([s0, s1]);
            packet.destination_port = u16::from_be_bytes([d0, d1]);
            packet.tcp_flags = TcpFlags(flags);
            packet.tcp_sequence = u32::from_be_bytes([n0, n1, n2, n3]);
            packet.tcp_acknowledgement = u32::from_be_bytes([a0, a1, a2, a3]);
            packet.payload = datagram.payload - header;
            header_size = header;
        }
        Protocol::UDP => {
            if datagram.payload < UDP_HEADER {
                return Break(short(Reason::UdpTruncated));
            }
            let [s0, s1, d0, d1, l0, l1, _, _] = cursor.take().or_end(Reason::UdpTruncated)?;
            let length = u32::from(u16::from_be_bytes([l0, l1]));
            if length < UDP_HEADER || (length > datagram.payload && !first) {
                return Break(Reason::UdpLength);
            }
            packet.source_port = u16::from_be_bytes([s0, s1]);
            packet.destination_port = u16::from_be_bytes([d0, d1]);
            packet.payload = length - UDP_HEADER;
            header_size = UDP_HEADER;
        }
        Protocol::ICMP | Protocol::ICMPV6 | Protocol::IGMP => {
            if datagram.payload < ICMP_HEADER {
                return Break(short(Reason::IcmpTruncated));
            }
            let [kind, _, _, _, i0, i1, _, _] = cursor.take().or_end(Reason::IcmpTruncated)?;
            let identifier = u16::from_be_bytes([i0, i1]);
            packet.icmp_type = kind;
            packet.payload = datagram.payload - ICMP_HEADER;
            header_size = ICMP_HEADER;
            match (datagram.protocol, kind) {
                (Protocol::ICMP, ICMP_ECHO) | (Protocol::ICMPV6, ICMPV6_ECHO) => {
                    packet.destination_port = identifier;
                }
                (Protocol::ICMP, ICMP_ECHO_REPLY) | (Protocol::ICMPV6, ICMPV6_ECHO_REPLY) => {
                    packet.source_port = identifier;
                }
                _ => {}
            }
        }
        _ => {}
    }
    if first {
        packet.fragment_edge = (datagram.offset + header_size) as u16;
    }
    packet.payload_offset = cursor.position();
    Continue(())
}

/// Checks where a fragment without a transport header lands in its datagram.
#[inline(always)]
fn later_fragment(datagram: &Datagram) -> Parsed<()> {
    if datagram.before + datagram.offset + datagram.payload > MAX_DATAGRAM {
        return Break(Reason::FragmentOversize);
    }
    // Offset 1 (8 bytes) lands on the flags of the TCP header (RFC 3128), and
    // any offset within the header rewrites part of what was judged. On IPv6
    // only the first fragment says which protocol it is (RFC 8200, 4.5).
    let may_be_tcp = datagram.family == Family::V6 || datagram.protocol == Protocol::TCP;
    if may_be_tcp && datagram.offset < TCP_HEADER {
        return Break(Reason::FragmentOverlap);
    }
    Continue(())
}
