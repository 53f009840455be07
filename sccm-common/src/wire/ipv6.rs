//! IPv6 and its extension headers (RFC 8200).

use super::ipv4::fragment_of;
use super::transport::{self, Datagram};
use super::{OrEnd, Parsed};
use crate::address::{Address, Family};
use crate::cursor::Cursor;
use crate::packet::{Fragment, Protocol};
use crate::reason::Reason;
use core::ops::ControlFlow::Break;

/// Extension headers that are skipped. AH and ESP are judged as protocols instead: what follows
/// ESP is encrypted, and nobody here can check what AH signs.
mod extension {
    pub const HOP_BY_HOP: u8 = 0;
    pub const ROUTING: u8 = 43;
    pub const FRAGMENT: u8 = 44;
    pub const DESTINATION: u8 = 60;
    pub const MOBILITY: u8 = 135;
    pub const HIP: u8 = 139;
    pub const SHIM6: u8 = 140;
}

const MAX_EXTENSIONS: u32 = 6;
const EXTENSION_UNIT: u32 = 8;
const MORE_FRAGMENTS: u16 = 0x0001;

/// Reads an IPv6 header, its extension headers and the transport header behind them.
#[inline(always)]
pub fn parse<C: Cursor>(cursor: &mut C) -> Parsed {
    let [version, _, _, _, l0, l1, mut next, hop_limit] =
        cursor.take().or_end(Reason::Ipv6Truncated)?;
    let source = address(cursor).or_end(Reason::Ipv6Truncated)?;
    let destination = address(cursor).or_end(Reason::Ipv6Truncated)?;
    if version >> 4 != 6 {
        return Break(Reason::Ipv6Version);
    }
    let mut payload = u32::from(u16::from_be_bytes([l0, l1]));
    // A payload length of 0 announces a jumbogram (RFC 2675), or an empty packet.
    if payload == 0 && next != Protocol::NO_NEXT_HEADER.0 || !cursor.holds(payload) {
        return Break(Reason::Ipv6PayloadLength);
    }

    let mut has_options = false;
    let mut fragment = Fragment::Whole;
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
                if fragment != Fragment::Whole {
                    return Break(Reason::Ipv6ExtensionOrder);
                }
                fragment = match fragment_of(field >> 3, field & MORE_FRAGMENTS != 0) {
                    Fragment::Whole => Fragment::Atomic,
                    part => part,
                };
                offset = u32::from(field & !7);
                id = u32::from_be_bytes([b4, b5, b6, b7]);
            }
            extension::ROUTING if b2 == 0 => return Break(Reason::Ipv6RoutingHeader0),
            _ => {
                has_options |= next == extension::HOP_BY_HOP;
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
        next = following;
        walked += 1;
        if fragment == Fragment::Later {
            break;
        }
    }

    let datagram = Datagram {
        family: Family::V6,
        source,
        destination,
        protocol: Protocol(next),
        hop_limit,
        has_options,
        payload,
        before: 0,
        fragment,
        id,
        offset,
    };
    transport::parse(cursor, datagram)
}

#[inline(always)]
const fn is_extension(next: u8) -> bool {
    matches!(
        next,
        extension::HOP_BY_HOP
            | extension::ROUTING
            | extension::FRAGMENT
            | extension::DESTINATION
            | extension::MOBILITY
            | extension::HIP
            | extension::SHIM6
    )
}

#[inline(always)]
fn address<C: Cursor>(cursor: &mut C) -> Option<Address> {
    Some(Address::v6(cursor.take()?, cursor.take()?))
}
