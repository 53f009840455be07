//! IPv4 (RFC 791).

use super::transport::{self, Datagram};
use crate::address::{Address, Family};
use crate::as_written;
use crate::cursor::Cursor;
use crate::packet::{Fragment, Packet, Protocol};
use crate::reason::Reason;

const MIN_HEADER: u32 = 20;
pub(super) const MORE_FRAGMENTS: u16 = 0x2000;
pub(super) const OFFSET: u16 = 0x1fff;

/// Reads an IPv4 header and what is behind it.
///
/// # Errors
/// The reason at which a packet ends that does not parse.
#[inline(always)]
pub fn parse<C: Cursor>(cursor: &mut C) -> Result<Packet, Reason> {
    let [version_length, _, l0, l1, i0, i1, f0, f1] = cursor.take().ok_or(Reason::Ipv4Truncated)?;
    let [hop_limit, protocol, _, _] = cursor.take().ok_or(Reason::Ipv4Truncated)?;
    let source = cursor.take().ok_or(Reason::Ipv4Truncated)?;
    let destination = cursor.take().ok_or(Reason::Ipv4Truncated)?;

    if version_length >> 4 != 4 {
        return Err(Reason::Ipv4Version);
    }
    let header = u32::from(version_length & 0x0f) * 4;
    let total = u32::from(u16::from_be_bytes([l0, l1]));
    if header < MIN_HEADER || header > total {
        return Err(Reason::Ipv4HeaderLength);
    }
    // The header itself has been read already.
    if !cursor.holds(total - MIN_HEADER) {
        return Err(Reason::Ipv4TotalLength);
    }
    let has_options = header > MIN_HEADER;
    if has_options {
        // 40 bytes at most; the verifier of Linux 6.1 loses sight of that on the way here.
        let options = as_written::and::<0x3f>((header - MIN_HEADER).into());
        cursor.skip(options as u32).ok_or(Reason::Ipv4Truncated)?;
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
