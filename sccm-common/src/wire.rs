//! Parsing: Ethernet, IPv4, IPv6 and the transport headers.
//!
//! [`parse`] either finds an IP [`Packet`], or ends with a [`Reason`] of its
//! own. Nothing is skipped in silence: lengths are checked against each other
//! and against the frame, and each failure has a name.

pub mod ethernet;
pub mod ipv4;
pub mod ipv6;
pub mod plain;
pub mod transport;
pub mod vlan;

#[cfg(test)]
mod bounds;

use crate::cursor::Cursor;
use crate::packet::Packet;
use crate::reason::Reason;

/// Parses a frame from its Ethernet header on.
///
/// # Errors
/// The reason at which the packet ends: a link protocol that is passed as an
/// essential, or a header that does not parse.
#[inline(always)]
pub fn parse<C: Cursor>(cursor: &mut C) -> Result<Packet, Reason> {
    let network = ethernet::parse(cursor)?;
    cursor.settle();
    match network {
        ethernet::Network::Ipv4 => ipv4::parse(cursor),
        ethernet::Network::Ipv6 => ipv6::parse(cursor),
    }
}
