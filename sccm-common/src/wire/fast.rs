//! The packets of the fast path, recognised in a few comparisons.
//!
//! Nearly all traffic is TCP or UDP, whole, without options or extension headers, behind at most
//! one VLAN tag, in one buffer. In such a frame every field is at an offset that is known
//! beforehand. Every other frame is left to [`super::parse`], which also finds the reason of what
//! does not parse. On what both read they agree (`fast/tests.rs`).
//!
//! The four kinds (IPv4 or IPv6, TCP or UDP) are types. So the kernel program finds out once for
//! each packet which kind it is, and reads a field only where it is needed.

mod header;

#[cfg(test)]
mod tests;

use super::ethernet::ethertype;
use crate::cursor::Contiguous;
use crate::packet::{Fragment, Packet, Protocol};

pub use header::{Ipv4, Ipv6, Network, Tcp, Transport, Udp};

const ETHERNET: usize = 14;
const TAG: usize = 4;

/// A packet of the fast path. Its fields stay in the frame until somebody asks for them.
#[derive(Debug, Clone, Copy)]
pub struct FastPacket<L3, L4> {
    /// [`Ipv4`] or [`Ipv6`].
    pub network: L3,
    /// [`Tcp`] or [`Udp`].
    pub transport: L4,
    /// Bytes before the network header.
    link: usize,
}

/// What is done with a packet of the fast path, whichever of the four kinds it is.
pub trait Visitor {
    /// What comes of it.
    type Output;

    /// Does it; `None` leaves the packet to the slow path.
    fn visit<'a, L3: Network<'a>, L4: Transport<'a>>(
        self,
        packet: FastPacket<L3, L4>,
    ) -> Option<Self::Output>;
}

/// Hands the packet of a frame to the visitor. `None`: a frame for the slow path, because it is of
/// none of the four kinds, or because the visitor says so.
#[inline(always)]
pub fn visit<F: Contiguous, V: Visitor>(frame: F, visitor: V) -> Option<V::Output> {
    let ethernet = frame.at::<{ ETHERNET + TAG }>(0)?;
    let (kind, link) = match header::be16(ethernet, 12) {
        ethertype::VLAN => (header::be16(ethernet, 16), ETHERNET + TAG),
        kind => (kind, ETHERNET),
    };
    // With a tag or without.
    let link = frame.opaque(link);
    let packet = frame.skip(link);
    match kind {
        ethertype::IPV4 => visit_network::<_, _, Ipv4<'_>>(&packet, link, visitor),
        ethertype::IPV6 => visit_network::<_, _, Ipv6<'_>>(&packet, link, visitor),
        _ => None,
    }
}

/// The packet of a frame as [`super::parse`] gives it; `None` for a frame of the slow path.
#[inline(always)]
pub fn parse<F: Contiguous>(frame: F) -> Option<Packet> {
    visit(frame, ToPacket)
}

struct ToPacket;

impl Visitor for ToPacket {
    type Output = Packet;

    #[inline(always)]
    fn visit<'a, L3: Network<'a>, L4: Transport<'a>>(
        self,
        packet: FastPacket<L3, L4>,
    ) -> Option<Packet> {
        Some(packet.to_packet())
    }
}

#[inline(always)]
fn visit_network<'a, F: Contiguous, V: Visitor, L3: Network<'a>>(
    packet: &'a F,
    link: usize,
    visitor: V,
) -> Option<V::Output> {
    let network = L3::of(packet)?;
    match network.protocol() {
        Protocol::TCP => visit_transport::<_, _, _, Tcp<'_>>(packet, network, link, visitor),
        Protocol::UDP => visit_transport::<_, _, _, Udp<'_>>(packet, network, link, visitor),
        _ => None,
    }
}

#[inline(always)]
fn visit_transport<'a, F: Contiguous, V: Visitor, L3: Network<'a>, L4: Transport<'a>>(
    packet: &'a F,
    network: L3,
    link: usize,
    visitor: V,
) -> Option<V::Output> {
    let transport = L4::of(packet, L3::SIZE)?;
    if L3::SIZE + transport.claimed() > network.length() {
        return None;
    }
    visitor.visit(FastPacket {
        network,
        transport,
        link,
    })
}

impl<'a, L3: Network<'a>, L4: Transport<'a>> FastPacket<L3, L4> {
    /// The same packet. What is asked of it is read from the frame once more: the kernel program then
    /// keeps nothing of what was read before.
    #[inline(always)]
    #[must_use]
    pub fn again(self) -> Self {
        Self {
            network: self.network.again(),
            transport: self.transport.again(),
            ..self
        }
    }

    /// What [`super::parse`] makes of the same frame.
    #[inline(always)]
    pub fn to_packet(self) -> Packet {
        let behind = self.network.length() - L3::SIZE;
        Packet {
            family: L3::FAMILY,
            source: self.network.source(),
            destination: self.network.destination(),
            protocol: L4::PROTOCOL,
            hop_limit: self.network.hop_limit(),
            has_options: false,
            source_routed: false,
            fragment: Fragment::Whole,
            source_port: self.transport.source_port(),
            destination_port: self.transport.destination_port(),
            tcp_flags: self.transport.flags(),
            tcp_sequence: self.transport.sequence(),
            tcp_acknowledgement: self.transport.acknowledgement(),
            icmp_type: 0,
            fragment_id: self.network.id(),
            fragment_edge: 0,
            payload_offset: (self.link + L3::SIZE + L4::SIZE) as u32,
            payload: self.transport.payload(behind) as u32,
            ethertype: 0,
        }
    }
}
