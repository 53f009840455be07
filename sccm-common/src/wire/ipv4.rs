//! IPv4 (RFC 791).

use super::transport::{self, Datagram};
use super::{OrEnd, Parsed};
use crate::address::{Address, Family};
use crate::as_written;
use crate::cursor::Cursor;
use crate::packet::{Fragment, Protocol};
use crate::reason::Reason;
use core::ops::ControlFlow::Break;

const MIN_HEADER: u32 = 20;
pub(super) const MORE_FRAGMENTS: u16 = 0x2000;
pub(super) const OFFSET: u16 = 0x1fff;

/// Reads an IPv4 header and the transport header behind it.
#[inline(always)]
pub fn parse<C: Cursor>(cursor: &mut C) -> Parsed {
    let [version_length, _, l0, l1, i0, i1, f0, f1] =
        cursor.take().or_end(Reason::Ipv4Truncated)?;
    let [hop_limit, protocol, _, _] = cursor.take().or_end(Reason::Ipv4Truncated)?;
    let source = cursor.take().or_end(Reason::Ipv4Truncated)?;
    let destination = cursor.take().or_end(Reason::Ipv4Truncated)?;

    if version_length >> 4 != 4 {
        return Break(Reason::Ipv4Version);
    }
    let header = u32::from(version_length & 0x0f) * 4;
    let total = u32::from(u16::from_be_bytes([l0, l1]));
    if header < MIN_HEADER || header > total {
        return Break(Reason::Ipv4HeaderLength);
    }
    // The header itself has been read already.
    if !cursor.holds(total - MIN_HEADER) {
        return Break(Reason::Ipv4TotalLength);
    }
    let has_options = header > MIN_HEADER;
    if has_options {
        // 40 bytes at most, which the verifier of Linux 6.1 no longer knows here.
        let options = as_written::and::<0x3f>((header - MIN_HEADER).into());
        cursor.skip(options as u32).or_end(Reason::Ipv4Truncated)?;
    }

    let fragment = u16::from_be_bytes([f0, f1]);
    let datagram = Datagram {
        family: Family::V4,
        source: Address::v4(source),
        destination: Address::v4(destination),
        protocol: Protocol(protocol),
        hop_limit,
        has_options,
        payload: total - header,
        before: header,
        fragment: fragment_of(fragment & OFFSET, fragment & MORE_FRAGMENTS != 0),
        id: u32::from(u16::from_be_bytes([i0, i1])),
        offset: u32::from(fragment & OFFSET) * 8,
    };
    transport::parse(cursor, datagram)
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
