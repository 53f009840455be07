//! The plain packet, recognised in a few comparisons.
//!
//! Nearly all traffic is TCP or UDP, whole, without options or extension headers, behind at most
//! one VLAN tag, in one buffer. Such a frame has every field at a place that is known beforehand.
//! What is not certainly of that kind is left to [`super::parse`], which also finds the reason of
//! what does not parse; on what both read, they agree (`plain/tests.rs`).
//!
//! The four kinds are types, so that the kernel program asks once for each packet what it is, and
//! every field is read where it is needed, if at all.

mod header;

#[cfg(test)]
mod tests;

use super::ethernet::ethertype;
use crate::cursor::InPlace;
use crate::packet::{Fragment, Packet, Protocol};

pub use header::{Ipv4, Ipv6, Network, Tcp, Transport, Udp};

const ETHERNET: usize = 14;
const TAG: usize = 4;

/// A plain packet. Everything stays in the frame until it is asked for.
#[derive(Debug, Clone, Copy)]
pub struct Plain<N, T> {
    /// [`Ipv4`] or [`Ipv6`].
    pub network: N,
    /// [`Tcp`] or [`Udp`].
    pub transport: T,
    /// Bytes before the network header.
    link: usize,
}

/// What is done with a plain packet, whichever of the four kinds it is.
pub trait Visitor {
    /// What comes of it.
    type Output;

    /// Does it.
    fn visit<'a, N: Network<'a>, T: Transport<'a>>(self, plain: Plain<N, T>) -> Self::Output;
}

/// Hands the packet of a frame to the visitor; `None` if it is not a plain one.
#[inline(always)]
pub fn visit<F: InPlace, V: Visitor>(frame: F, visitor: V) -> Option<V::Output> {
    let ethernet = frame.at::<{ ETHERNET + TAG }>(0)?;
    let (kind, link) = match header::be16(ethernet, 12) {
        ethertype::VLAN => (header::be16(ethernet, 16), ETHERNET + TAG),
        kind => (kind, ETHERNET),
    };
    // With a tag or without.
    let link = frame.vague(link);
    let packet = frame.skip(link);
    match kind {
        ethertype::IPV4 => visit_network::<_, _, Ipv4<'_>>(&packet, link, visitor),
        ethertype::IPV6 => visit_network::<_, _, Ipv6<'_>>(&packet, link, visitor),
        _ => None,
    }
}

/// The packet of a frame as [`super::parse`] gives it, if it is a plain one.
#[inline(always)]
pub fn packet<F: InPlace>(frame: F) -> Option<Packet> {
    visit(frame, ToPacket)
}

struct ToPacket;

impl Visitor for ToPacket {
    type Output = Packet;

    #[inline(always)]
    fn visit<'a, N: Network<'a>, T: Transport<'a>>(self, plain: Plain<N, T>) -> Packet {
        plain.packet()
    }
}

#[inline(always)]
fn visit_network<'a, F: InPlace, V: Visitor, N: Network<'a>>(
    packet: &'a F,
    link: usize,
    visitor: V,
) -> Option<V::Output> {
    let network = N::of(packet)?;
    match network.protocol() {
        Protocol::TCP => visit_transport::<_, _, _, Tcp<'_>>(packet, network, link, visitor),
        Protocol::UDP => visit_transport::<_, _, _, Udp<'_>>(packet, network, link, visitor),
        _ => None,
    }
}

#[inline(always)]
fn visit_transport<'a, F: InPlace, V: Visitor, N: Network<'a>, T: Transport<'a>>(
    packet: &'a F,
    network: N,
    link: usize,
    visitor: V,
) -> Option<V::Output> {
    let transport = T::of(packet, N::SIZE)?;
    if N::SIZE + transport.claimed() > network.length() {
        return None;
    }
    Some(visitor.visit(Plain {
        network,
        transport,
        link,
    }))
}

impl<'a, N: Network<'a>, T: Transport<'a>> Plain<N, T> {
    /// What [`super::parse`] makes of the same frame.
    #[inline(always)]
    pub fn packet(&self) -> Packet {
        let behind = self.network.length() - N::SIZE;
        Packet {
            family: N::FAMILY,
            source: self.network.source(),
            destination: self.network.destination(),
            protocol: T::PROTOCOL,
            hop_limit: self.network.hop_limit(),
            has_options: false,
            fragment: Fragment::Whole,
            source_port: self.transport.source_port(),
            destination_port: self.transport.destination_port(),
            tcp_flags: self.transport.flags(),
            icmp_type: 0,
            fragment_id: self.network.id(),
            payload_offset: (self.link + N::SIZE + T::SIZE) as u32,
            payload: self.transport.payload(behind) as u32,
        }
    }
}
