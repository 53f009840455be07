//! The packet that an ICMP error quotes, and the flow that it belongs to.

use super::Tables;
use crate::address::{Address, Family};
use crate::cursor::Payload;
use crate::flow::{FlowKey, FlowSlot};
use crate::packet::{Packet, Protocol};

/// Whether the error quotes a packet of a flow that the receiver opened
/// (RFC 792; RFC 4443, 2.4).
#[inline(always)]
pub(super) fn quotes_a_flow<T: Tables, P: Payload + ?Sized>(
    tables: &T,
    payload: &P,
    packet: &Packet,
) -> bool {
    let quoted = match packet.family {
        Family::V4 => quoted_v4(payload, packet.payload_offset),
        Family::V6 => quoted_v6(payload, packet.payload_offset),
    };
    let Some(key) = quoted else {
        return false;
    };
    // An error goes to the sender of what it quotes.
    if key.local != packet.destination {
        return false;
    }
    tables.flow(&key).is_some_and(|flow| {
        flow.load()
            .is_alive(key.protocol(), &tables.policy().timeouts, tables.now())
    })
}

#[inline(always)]
fn quoted_v4<P: Payload + ?Sized>(payload: &P, offset: u32) -> Option<FlowKey> {
    let [first, _, _, _, _, _, _, _, _, protocol, _, _] = payload.load(offset)?;
    let source = Address::v4(payload.load(offset + 12)?);
    let destination = Address::v4(payload.load(offset + 16)?);
    let header = u32::from(first & 0x0f) * 4;
    flow_key(
        payload,
        Family::V4,
        offset + header,
        protocol,
        (source, destination),
    )
}

#[inline(always)]
fn quoted_v6<P: Payload + ?Sized>(payload: &P, offset: u32) -> Option<FlowKey> {
    // A quoted packet with extension headers is left to the essential.
    let [_, _, _, _, _, _, next, _] = payload.load(offset)?;
    let source = Address::v6(payload.load(offset + 8)?, payload.load(offset + 16)?);
    let destination = Address::v6(payload.load(offset + 24)?, payload.load(offset + 32)?);
    flow_key(
        payload,
        Family::V6,
        offset + 40,
        next,
        (source, destination),
    )
}

#[inline(always)]
fn flow_key<P: Payload + ?Sized>(
    payload: &P,
    family: Family,
    offset: u32,
    protocol: u8,
    (local, peer): (Address, Address),
) -> Option<FlowKey> {
    let [a0, a1, a2, a3, i0, i1, _, _] = payload.load(offset)?;
    let (local_port, peer_port) = match Protocol(protocol) {
        Protocol::TCP | Protocol::UDP => {
            (u16::from_be_bytes([a0, a1]), u16::from_be_bytes([a2, a3]))
        }
        // Quoted is the echo request, which goes to its identifier.
        Protocol::ICMP | Protocol::ICMPV6 => (0, u16::from_be_bytes([i0, i1])),
        _ => (0, 0),
    };
    let ports = (local_port, peer_port);
    Some(FlowKey::new(family, local, peer, ports, Protocol(protocol)))
}
