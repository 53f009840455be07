//! IPv4 (RFC 791).

use super::transport::{self, Big, Datagram};
use super::{OrEnd, Parsed, beyond_the_field};
use crate::address::{Address, Family};
use crate::cursor::Cursor;
use crate::packet::{Fragment, Packet, Protocol};
use crate::reason::Reason;
use core::ops::ControlFlow::{Break, Continue};

pub(crate) const MIN_HEADER: u32 = 20;

/// Version 4 and a header of five words.
pub(super) const WITHOUT_OPTIONS: u8 = 0x45;

/// Words of options that fit into a header.
const MAX_OPTION_WORDS: u32 = 10;

/// Kinds of options (RFC 791, 3.1).
mod option {
    pub(crate) const END: u8 = 0;
    pub(crate) const NO_OPERATION: u8 = 1;
    pub(crate) const LOOSE_ROUTE: u8 = 131;
    pub(crate) const STRICT_ROUTE: u8 = 137;
}

pub(super) const MORE_FRAGMENTS: u16 = 0x2000;
pub(crate) const OFFSET: u16 = 0x1fff;

/// Reads an IPv4 header and the transport header behind it.
#[inline(always)]
pub fn parse<C: Cursor>(cursor: &mut C, packet: &mut Packet) -> Parsed<()> {
    let [version_length, _, l0, l1, i0, i1, f0, f1] =
        cursor.take().or_end(Reason::Ipv4Truncated)?;
    let [hop_limit, protocol, _, _] = cursor.take().or_end(Reason::Ipv4Truncated)?;
    let source = cursor.take().or_end(Reason::Ipv4Truncated)?;
    let destination = cursor.take().or_end(Reason::Ipv4Truncated)?;

    if version_length >> 4 != 4 {
        return Break(Reason::Ipv4Version);
    }
    let header = u32::from(version_length & 0x0f) * 4;
    let fragment = u16::from_be_bytes([f0, f1]);
    let total = u32::from(u16::from_be_bytes([l0, l1]));
    if total == 0
        && version_length == WITHOUT_OPTIONS
        && protocol == Protocol::TCP.0
        && fragment & (OFFSET | MORE_FRAGMENTS) == 0
    {
        let big = Big {
            family: Family::V4,
            source: Address::v4(source),
            destination: Address::v4(destination),
            hop_limit,
            has_options: false,
            payload: beyond_the_field(cursor, MIN_HEADER).or_end(Reason::Ipv4HeaderLength)?
                - MIN_HEADER,
        };
        return transport::parse_big(cursor, big, packet);
    }
    if header < MIN_HEADER || header > total {
        return Break(Reason::Ipv4HeaderLength);
    }
    // The header itself has been read already.
    if !cursor.holds(total - MIN_HEADER) {
        return Break(Reason::Ipv4TotalLength);
    }
    let has_options = header > MIN_HEADER;
    let mut source_routed = false;
    if has_options {
        source_routed = options(cursor, header - MIN_HEADER)?;
    }

    let datagram = Datagram {
        family: Family::V4,
        source: Address::v4(source),
        destination: Address::v4(destination),
        protocol: Protocol(protocol),
        hop_limit,
        has_options,
        source_routed,
        payload: total - header,
        before: header,
        fragment: fragment_of(fragment & OFFSET, fragment & MORE_FRAGMENTS != 0),
        id: u32::from(u16::from_be_bytes([i0, i1])),
        offset: u32::from(fragment & OFFSET) * 8,
    };
    transport::parse(cursor, datagram, packet)
}

/// What is known at a byte of the options: that a source route is among them, and that the byte is the
/// length of an option.
const SOURCE_ROUTED: u32 = 1 << 0;
const KIND_READ: u32 = 1 << 1;

/// Moves past `length` bytes of options, and finds whether a source route is among them.
#[inline(always)]
fn options<C: Cursor>(cursor: &mut C, length: u32) -> Parsed<bool> {
    // Bits of SOURCE_ROUTED and KIND_READ.
    let mut seen = 0;
    // Bytes that belong to an option whose kind and length were read.
    let mut skip = 0;
    let mut left = length;
    // In words, because the verifier follows no pointer that moves on by single bytes.
    for _ in 0..MAX_OPTION_WORDS {
        (seen, skip, left) = (
            cursor.opaque(seen),
            cursor.opaque(skip),
            cursor.opaque(left),
        );
        if left == 0 {
            break;
        }
        let word: [u8; 4] = cursor.take().or_end(Reason::Ipv4Truncated)?;
        for byte in word {
            left = left.wrapping_sub(1);
            if seen & KIND_READ != 0 {
                // The length counts itself and the kind.
                let size = u32::from(byte);
                if size < 2 || size - 2 > left {
                    return Break(Reason::Ipv4Options);
                }
                skip = size - 2;
                seen &= !KIND_READ;
            } else if skip != 0 {
                skip -= 1;
            } else {
                match byte {
                    option::END => skip = left,
                    option::NO_OPERATION => {}
                    _ => {
                        if matches!(byte, option::LOOSE_ROUTE | option::STRICT_ROUTE) {
                            seen |= SOURCE_ROUTED;
                        }
                        seen |= KIND_READ;
                    }
                }
            }
        }
    }
    match seen & KIND_READ {
        0 => Continue(seen & SOURCE_ROUTED != 0),
        _ => Break(Reason::Ipv4Options),
    }
}

/// Which part of the datagram an offset (in units of 8 bytes) and the
/// more-fragments bit make.
#[inline(always)]
pub(super) const fn fragment_of(offset: u16, more: bool) -> Fragment {
    match (offset, more) {
        (0, false) => Fragment::Whole,
        (0, true) => Fragment::First,
        _ => Fragment::Later,
    }
}
