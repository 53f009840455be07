//! The units of RPC in a segment: what a client asks is noted, what is answered is read.

use super::answer::answer;
use crate::packet::Packet;
use crate::question::{MAX_AGE, QuestionKey};
use crate::rpc::bind::Service;
use crate::rpc::bytes::Order;
use crate::rpc::room::{self, Room};
use crate::rpc::{How, Uuid};
use crate::verdict::Tables;

/// Units of RPC that are read of one segment.
pub const UNITS: usize = 3;

/// What [`unit`] says beside a place: the unit may hold an answer that was not read.
pub const LEFT: u32 = 1 << 31;

/// Contexts that are read of one proposal.
const PROPOSALS: u8 = 8;

/// Bytes of the header of a call, and of the part that all units share.
pub(super) const CALL_HEADER: u32 = 24;
const HEADER: u32 = 16;

/// Types of units (DCE 1.1: RPC, 12.6.3.1), and whether one is the first of its call.
const REQUEST: u8 = 0;
const RESPONSE: u8 = 2;
pub(super) const FAULT: u8 = 3;
const BIND: u8 = 11;
const ALTER_CONTEXT: u8 = 14;
const IS_FIRST: u8 = 1;

/// Reads the unit at a place of a segment. Says where the next one begins (0: nowhere), and whether
/// somebody else should read this one ([`LEFT`]).
#[inline(always)]
pub fn unit<T: Tables>(tables: &T, room: &Room, packet: &Packet, asks: bool, at: u32) -> u32 {
    let left = packet.payload.wrapping_sub(at);
    if left > packet.payload || left < CALL_HEADER || at + CALL_HEADER > room::BYTES {
        return 0;
    }
    let [version, minor, kind, flags, order, ..] = *room.at::<8>(at);
    if order >> 5 != 0 {
        return 0;
    }
    // Integers are read by arithmetic, so that the verifier follows both orders at once.
    let order = match tables.opaque(order.into()) & 1 << 4 {
        0 => Order::Big,
        _ => Order::Little,
    };
    let size = u32::from(room.u16(at + 8, order));
    if version != 5 || minor > 1 || size < HEADER {
        return 0;
    }
    let mut left = 0;
    match (asks, kind) {
        (true, REQUEST) if flags & IS_FIRST != 0 => question(tables, room, packet, at, order),
        (true, BIND | ALTER_CONTEXT) => proposals(tables, room, packet, at, order),
        (false, RESPONSE | FAULT) => left = answer(tables, room, packet, at, order),
        _ => {}
    }
    (at + size) | left
}

/// The number and the context of the call that a request or its answer is of.
#[inline(always)]
pub(super) fn call(room: &Room, at: u32, order: Order) -> (u32, u16) {
    (room.u32(at + 12, order), room.u16(at + 20, order))
}

/// Notes a question that may be answered with a port, in a context of which that is known.
#[inline(never)]
fn question<T: Tables>(tables: &T, room: &Room, packet: &Packet, at: u32, order: Order) {
    let (call, context) = call(room, at, order);
    let ways = match room.u16(at + 22, order) {
        0 => [How::ResolveOxid, How::LegacyActivation],
        3 => [How::Map, How::Activation],
        4 => [How::ResolveOxid2, How::Activation],
        _ => return,
    };
    for how in ways {
        let service = service_of(how);
        let known = QuestionKey::rpc_context(packet, true, context, service as u8);
        if tables.was_asked(&known, MAX_AGE) {
            // A connection lasts as long as somebody asks on it.
            tables.note_question(&known);
            let exchange = (call, packet.tcp_acknowledgement);
            let asked = QuestionKey::rpc_call(packet, true, context, how as u8, exchange);
            tables.note_question(&asked);
            let anywhere = QuestionKey::rpc_call_anywhere(packet, true, context, how as u8, call);
            tables.note_question(&anywhere);
        }
    }
}

#[inline(always)]
const fn service_of(how: How) -> Service {
    match how {
        How::Map => Service::Mapper,
        How::Activation => Service::Activator,
        How::LegacyActivation => Service::LegacyActivation,
        How::ResolveOxid | How::ResolveOxid2 => Service::Resolver,
    }
}

/// Notes which contexts a client proposes for services that hand out ports.
#[inline(never)]
fn proposals<T: Tables>(tables: &T, room: &Room, packet: &Packet, at: u32, order: Order) {
    let count = room.u8(at + 24);
    let mut at = at + 28;
    for number in 0..PROPOSALS {
        let is_there = at + 24 <= packet.payload && at + 24 <= room::BYTES;
        if number >= count || !is_there {
            return;
        }
        let context = room.u16(at, order);
        let service = tables.opaque(proposed(room, at + 4, order) as u64) as u8;
        if service != Service::Other as u8 {
            let key = QuestionKey::rpc_context(packet, true, context, service);
            tables.note_question(&key);
        }
        let syntaxes = u32::from(room.u8(at + 2));
        at = tables.opaque((at + 24 + 20 * syntaxes).into()) as u32;
    }
}

/// The service of a proposal: a UUID and a version.
#[inline(always)]
fn proposed(room: &Room, at: u32, order: Order) -> Service {
    let first = u128::from(room.u32(at, order));
    let second = u128::from(room.u16(at + 4, order));
    let third = u128::from(room.u16(at + 6, order));
    let rest = u128::from(u64::from_be_bytes(*room.at(at + 8)));
    let name = Uuid(first << 96 | second << 80 | third << 64 | rest);
    Service::of(name, room.u32(at + 16, order))
}
