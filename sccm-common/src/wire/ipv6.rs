//! IPv6 and its extension headers (RFC 8200).

use super::ipv4::fragment_of;
use super::transport::{self, Big, Datagram};
use super::{OrEnd, Parsed, beyond_the_field};
use crate::address::{Address, Family};
use crate::cursor::Cursor;
use crate::packet::{Fragment, Packet, Protocol};
use crate::reason::Reason;
use core::ops::ControlFlow::{Break, Continue};

/// Extension headers that are skipped. All others are judged as protocols: what follows ESP is
/// encrypted, nobody here can check what AH signs, and network stacks read no transport header
/// behind those of mobility, HIP and Shim6 (135, 139, 140).
pub(crate) mod extension {
    pub(crate) const HOP_BY_HOP: u8 = 0;
    pub(crate) const ROUTING: u8 = 43;
    pub(crate) const FRAGMENT: u8 = 44;
    pub(crate) const DESTINATION: u8 = 60;
}

/// What is known behind an extension header, in bits.
mod seen {
    pub(super) const OPTIONS: u32 = 1 << 0;
    pub(super) const ROUTED: u32 = 1 << 1;
    pub(super) const FIRST: u32 = 1 << 2;
    pub(super) const LATER: u32 = 1 << 3;
    pub(super) const ATOMIC: u32 = 1 << 4;
    /// There was a fragment header.
    pub(super) const FRAGMENT: u32 = FIRST | LATER | ATOMIC;
}

pub(crate) const MAX_EXTENSIONS: u32 = 6;
const EXTENSION_UNIT: u32 = 8;
const MORE_FRAGMENTS: u16 = 0x0001;

/// A hop-by-hop header before TCP that has one option, the size of a jumbogram (RFC 2675, 2).
const JUMBO: [u8; 4] = [TCP, 0, 0xc2, 4];

const TCP: u8 = Protocol::TCP.0;

/// Reads an IPv6 header, its extension headers and the transport header behind them.
#[inline(always)]
pub fn parse<C: Cursor>(cursor: &mut C, packet: &mut Packet) -> Parsed<()> {
    let [version, _, _, _, l0, l1, mut next, hop_limit] =
        cursor.take().or_end(Reason::Ipv6Truncated)?;
    let source = address(cursor).or_end(Reason::Ipv6Truncated)?;
    let destination = address(cursor).or_end(Reason::Ipv6Truncated)?;
    if version >> 4 != 6 {
        return Break(Reason::Ipv6Version);
    }
    let mut payload = u32::from(u16::from_be_bytes([l0, l1]));
    if payload == 0 && matches!(next, extension::HOP_BY_HOP | TCP) {
        let whole = beyond_the_field(cursor, 0).or_end(Reason::Ipv6PayloadLength)?;
        let has_options = next == extension::HOP_BY_HOP;
        let big = Big {
            family: Family::V6,
            source,
            destination,
            hop_limit,
            has_options,
            payload: match has_options {
                true => behind_jumbo(cursor, whole)?,
                false => whole,
            },
        };
        return transport::parse_big(cursor, big, packet);
    }
    // All others with a payload length of 0 are jumbograms that nobody here made, or empty.
    if payload == 0 && next != Protocol::NO_NEXT_HEADER.0 || !cursor.holds(payload) {
        return Break(Reason::Ipv6PayloadLength);
    }

    let mut seen = 0;
    let mut offset = 0;
    let mut id = 0;
    let mut walked = 0;
    while is_extension(next) {
        if walked == MAX_EXTENSIONS {
            return Break(Reason::Ipv6ExtensionDepth);
        }
        if next == extension::HOP_BY_HOP && walked != 0 {
            return Break(Reason::Ipv6ExtensionOrder);
        }
        let [following, length, b2, b3, b4, b5, b6, b7] =
            cursor.take().or_end(Reason::Ipv6ExtensionTruncated)?;
        let mut size = EXTENSION_UNIT;
        match next {
            extension::FRAGMENT => {
                let field = u16::from_be_bytes([b2, b3]);
                if seen & seen::FRAGMENT != 0 {
                    return Break(Reason::Ipv6ExtensionOrder);
                }
                seen |= match fragment_of(field >> 3, field & MORE_FRAGMENTS != 0) {
                    Fragment::First => seen::FIRST,
                    Fragment::Later => seen::LATER,
                    _ => seen::ATOMIC,
                };
                offset = u32::from(field & !7);
                id = u32::from_be_bytes([b4, b5, b6, b7]);
            }
            extension::ROUTING if b2 == 0 => return Break(Reason::Ipv6RoutingHeader0),
            _ => {
                if next == extension::HOP_BY_HOP {
                    seen |= seen::OPTIONS;
                }
                // Segments left (RFC 8200, 4.4).
                if next == extension::ROUTING && b3 != 0 {
                    seen |= seen::ROUTED;
                }
                size += u32::from(length) * EXTENSION_UNIT;
            }
        }
        if size > payload {
            return Break(Reason::Ipv6ExtensionTruncated);
        }
        payload -= size;
        cursor
            .skip(size - EXTENSION_UNIT)
            .or_end(Reason::Ipv6ExtensionTruncated)?;
        cursor.forget_path();
        if seen & seen::FIRST != 0 && next != extension::FRAGMENT {
            // Only what is behind the fragment header is put together again.
            offset += size;
        }
        next = following;
        walked += 1;
        (seen, offset, id) = (
            cursor.opaque(seen),
            cursor.opaque(offset),
            cursor.opaque(id),
        );
        if seen & seen::LATER != 0 {
            break;
        }
    }
    let fragment = match seen & seen::FRAGMENT {
        seen::FIRST => Fragment::First,
        seen::LATER => Fragment::Later,
        seen::ATOMIC => Fragment::Atomic,
        _ => Fragment::Whole,
    };

    let datagram = Datagram {
        family: Family::V6,
        source,
        destination,
        protocol: Protocol(next),
        hop_limit,
        has_options: seen & seen::OPTIONS != 0,
        source_routed: seen & seen::ROUTED != 0,
        payload,
        before: 0,
        fragment,
        id,
        offset,
    };
    transport::parse(cursor, datagram, packet)
}

/// Moves past the hop-by-hop header of a jumbogram that the kernel has made, and returns what is
/// left of its payload.
#[inline(always)]
fn behind_jumbo<C: Cursor>(cursor: &mut C, payload: u32) -> Parsed<u32> {
    let start = cursor.take().or_end(Reason::Ipv6ExtensionTruncated)?;
    let size = cursor.take().or_end(Reason::Ipv6ExtensionTruncated)?;
    match start == JUMBO && u32::from_be_bytes(size) == payload {
        true => Continue(payload - EXTENSION_UNIT),
        false => Break(Reason::Ipv6PayloadLength),
    }
}

#[inline(always)]
pub(crate) const fn is_extension(next: u8) -> bool {
    matches!(
        next,
        extension::HOP_BY_HOP | extension::ROUTING | extension::FRAGMENT | extension::DESTINATION
    )
}

#[inline(always)]
fn address<C: Cursor>(cursor: &mut C) -> Option<Address> {
    Some(Address::v6(cursor.take()?, cursor.take()?))
}
