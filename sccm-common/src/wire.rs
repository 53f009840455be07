//! Parsing: Ethernet, IPv4, IPv6 and the transport headers.
//!
//! [`parse`] finds an IP [`Packet`], or ends the frame with a [`Reason`]. Every length is checked
//! against the others and against the frame, and every check that fails has a reason of its own.

pub mod ethernet;
pub mod fast;
pub mod ipv4;
pub mod ipv6;
pub mod transport;
pub mod vlan;

#[cfg(test)]
mod bounds;
#[cfg(test)]
mod lengths;

use crate::cursor::Cursor;
use crate::packet::Packet;
use crate::reason::Reason;
use core::ops::ControlFlow::{self, Break, Continue};

/// What parsing yields: `Continue` with what was read, or `Break` with the [`Reason`] at which
/// the frame ends. An end is not an error: ARP ends there, and passes.
pub type Parsed<Value = Packet> = ControlFlow<Reason, Value>;

/// Ends a frame in which something is missing: `cursor.take().or_end(reason)?`.
trait OrEnd<Value> {
    fn or_end(self, reason: Reason) -> Parsed<Value>;
}

impl<Value> OrEnd<Value> for Option<Value> {
    #[inline(always)]
    fn or_end(self, reason: Reason) -> Parsed<Value> {
        match self {
            Some(value) => Continue(value),
            None => Break(reason),
        }
    }
}

/// The longest packet that a length field can tell.
const LONGEST: u32 = 0xffff;

/// The size of a TCP packet whose length field is 0 because the field cannot tell it, of which
/// `header` bytes were read: this machine's kernel puts so many segments together (BIG TCP). `None`
/// for all others: no link carries a frame as long, so nobody else makes one.
#[inline(always)]
fn beyond_the_field<C: Cursor>(cursor: &mut C, header: u32) -> Option<u32> {
    let size = header + cursor.left();
    (size > LONGEST).then_some(size)
}

/// Parses a frame from its Ethernet header on.
pub fn parse<C: Cursor>(cursor: &mut C) -> Parsed {
    let mut packet = Packet::NONE;
    parse_into(cursor, &mut packet)?;
    Continue(packet)
}

/// The same, into a packet that is there already: the kernel's stack is short.
#[inline(always)]
pub fn parse_into<C: Cursor>(cursor: &mut C, packet: &mut Packet) -> Parsed<()> {
    // Once, before the paths part: of zeros in several places the compiler makes one loop, which
    // the verifier follows byte by byte.
    *packet = Packet::NONE;
    let network = ethernet::parse(cursor, packet)?;
    cursor.forget_path();
    parse_network(cursor, packet, network)
}

/// The same for a frame that has no link header, and that the kernel takes for one of this ethertype.
#[inline(always)]
pub fn parse_ip_into<C: Cursor>(cursor: &mut C, packet: &mut Packet, ethertype: u16) -> Parsed<()> {
    *packet = Packet::NONE;
    let network = match ethertype {
        ethernet::ethertype::IPV4 => ethernet::Network::Ipv4,
        ethernet::ethertype::IPV6 => ethernet::Network::Ipv6,
        refused => {
            packet.ethertype = refused;
            return Break(Reason::EthertypeRefused);
        }
    };
    parse_network(cursor, packet, network)
}

#[inline(always)]
fn parse_network<C: Cursor>(
    cursor: &mut C,
    packet: &mut Packet,
    network: ethernet::Network,
) -> Parsed<()> {
    match network {
        ethernet::Network::Ipv4 => ipv4::parse(cursor, packet),
        ethernet::Network::Ipv6 => ipv6::parse(cursor, packet),
    }
}
