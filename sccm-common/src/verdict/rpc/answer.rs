//! The answer to a question that was noted, and what is opened for it.

use super::Outcome;
use super::towers::{names_port, towers};
use super::unit::{CALL_HEADER, FAULT, LEFT, call};
use crate::opening::OpeningKey;
use crate::packet::Packet;
use crate::question::{MAX_AGE, QuestionKey};
use crate::rpc::bytes::Order;
use crate::rpc::room::{self, Room};
use crate::rpc::scan::{self, Scan};
use crate::rpc::{How, Refusal, limits};
use crate::service::ServiceClass;
use crate::verdict::Tables;

/// Bytes of what follows an answer's parameters if it is signed.
const TRAILER: u32 = 8;

/// A unit is the first and the last of its call.
const IS_WHOLE: u8 = 3;

/// The level of a trailer by which the parameters are encrypted.
const PRIVACY: u8 = 6;

/// What an answer is to: the number of a [`How`], and whether it was answered before. One word,
/// because the kernel's program hands it on.
#[derive(Clone, Copy)]
pub(super) struct Asked(u32);

impl Asked {
    const NOTHING: Self = Self(1 << 9);
    /// A question whose answer is awaited at another place in the stream.
    const ELSEWHERE: Self = Self(1 << 10);
    const AGAIN: u32 = 1 << 8;

    #[inline(always)]
    const fn how(self) -> How {
        match self.0 & 0xff {
            0 => How::Map,
            1 => How::Activation,
            2 => How::LegacyActivation,
            3 => How::ResolveOxid,
            _ => How::ResolveOxid2,
        }
    }
}

/// Reads an answer, if it is one to a question that was noted. Says [`LEFT`] where more may be found in
/// it than is read here.
#[inline(never)]
pub(super) fn answer<T: Tables>(
    tables: &T,
    room: &Room,
    packet: &Packet,
    at: u32,
    order: Order,
) -> u32 {
    let asked = Asked(tables.opaque(asked(tables, room, packet, at, order).0.into()) as u32);
    let refused = |why| {
        tables.count_rpc(Outcome::refused(why));
        match why {
            Refusal::Unread | Refusal::NoRequest | Refusal::OutOfWindow => LEFT,
            _ => 0,
        }
    };
    if asked.0 == Asked::ELSEWHERE.0 {
        return refused(Refusal::OutOfWindow);
    }
    if asked.0 == Asked::NOTHING.0 {
        // Most answers name no port.
        if names_port(tables, room, packet, at, order) {
            refused(Refusal::NoRequest);
        }
        return LEFT;
    }
    if room.u8(at + 2) == FAULT {
        return refused(Refusal::Fault);
    }
    let (size, credentials) = (room.u16(at + 8, order), room.u16(at + 10, order));
    let (size, credentials) = (u32::from(size), u32::from(credentials));
    let (mut end, mut level) = (at + size, 0);
    let is_whole = room.u8(at + 3) & IS_WHOLE == IS_WHOLE
        && end <= packet.payload
        && end <= room::BYTES
        && matches!(order, Order::Little);
    if credentials != 0 {
        let trailer = end.wrapping_sub(credentials + TRAILER);
        level = room.u8(trailer + 1);
        end = trailer.wrapping_sub(room.u8(trailer + 2).into());
    }
    let stub = at + CALL_HEADER;
    if !is_whole || end <= stub || end > room::BYTES {
        return refused(Refusal::Unread);
    }
    if level == PRIVACY {
        return refused(Refusal::Privacy);
    }
    let stub = Stub(tables.opaque(Stub::new(stub, end, asked).0));
    let left = match matches!(stub.asked().how(), How::Map) {
        true => towers(tables, room, packet, stub),
        false => {
            bindings(tables, room, packet, stub);
            0
        }
    };
    // Of one that comes again, somebody else may know the rest.
    match stub.asked().0 & Asked::AGAIN {
        0 => left,
        _ => LEFT,
    }
}

/// The parameters of an answer. From the lowest bit on: 16 of where they begin in the segment, 16 of
/// where they end, the rest of what they answer.
#[derive(Clone, Copy)]
pub(super) struct Stub(u64);

impl Stub {
    #[inline(always)]
    const fn new(begin: u32, end: u32, asked: Asked) -> Self {
        Self((asked.0 as u64) << 32 | (end as u64) << 16 | begin as u64)
    }

    #[inline(always)]
    pub(super) const fn begin(self) -> u32 {
        self.0 as u16 as u32
    }

    #[inline(always)]
    pub(super) const fn end(self) -> u32 {
        (self.0 >> 16) as u16 as u32
    }

    #[inline(always)]
    pub(super) const fn asked(self) -> Asked {
        Asked((self.0 >> 32) as u32)
    }
}

/// Finds the question of an answer, which then counts as answered. Not inlined: its part of the stack
/// is then its own.
#[inline(never)]
fn asked<T: Tables>(tables: &T, room: &Room, packet: &Packet, at: u32, order: Order) -> Asked {
    let (call, context) = call(room, at, order);
    let exchange = (call, packet.tcp_sequence.wrapping_add(at));
    for how in How::ALL {
        let asked = QuestionKey::rpc_call(packet, false, context, how as u8, exchange);
        if tables.was_asked(&asked, MAX_AGE) {
            let answered = asked.answered();
            let again = tables.was_asked(&answered, MAX_AGE);
            tables.note_question(&answered);
            return Asked(how as u32 | if again { Asked::AGAIN } else { 0 });
        }
    }
    let anywhere = |how| QuestionKey::rpc_call_anywhere(packet, false, context, how as u8, call);
    for how in How::ALL {
        if tables.was_asked(&anywhere(how), MAX_AGE) {
            return Asked::ELSEWHERE;
        }
    }
    Asked::NOTHING
}

/// Bytes of an answer with string bindings that are read.
const MOST_SCANS: u32 = room::BYTES / scan::BYTES;

/// Reads an answer with string bindings.
#[inline(never)]
fn bindings<T: Tables>(tables: &T, room: &Room, packet: &Packet, stub: Stub) {
    let refused = |why| tables.count_rpc(Outcome::refused(why));
    let (asked, end) = (stub.asked(), stub.end());
    let how = asked.how();
    let mut scan = Scan::BEGIN;
    for part in 0..MOST_SCANS {
        let at = stub.begin() + part * scan::BYTES;
        if at >= end {
            break;
        }
        scan = tables.scan_rpc(room, at, end, scan);
    }
    // The upper bit of an HRESULT says that it failed; any other status but 0 does.
    let status = room.u32(end.wrapping_sub(4), Order::Little);
    let failed = match how {
        How::Activation | How::LegacyActivation => status >> 31 != 0,
        _ => status != 0,
    };
    if failed {
        return refused(Refusal::CallFailed);
    }
    if scan.disagrees() {
        return refused(Refusal::BindingsDisagree);
    }
    match scan.port() {
        Some(port) => open(tables, packet, port, asked, &[0; 16]),
        None => refused(Refusal::NoTcp),
    }
}

/// Opens a port, if it may be.
#[inline(never)]
pub(super) fn open<T: Tables>(
    tables: &T,
    packet: &Packet,
    port: u16,
    asked: Asked,
    interface: &[u8; 16],
) {
    let policy = tables.policy();
    let service = policy.tcp[port as usize];
    let outcome = if limits::NEVER.contains(&port) {
        Outcome::refused(Refusal::ForbiddenPort)
    } else if !policy.dynamic.contains(service) {
        Outcome::refused(match service.0 >= ServiceClass::FIRST_NAMED {
            true => Refusal::ForbiddenPort,
            false => Refusal::OutsideRange,
        })
    } else {
        let (client, server) = (packet.destination, packet.source);
        let key = OpeningKey::new(packet.family, client, server, port);
        if asked.0 & Asked::AGAIN != 0 {
            let timeouts = &policy.timeouts;
            if tables.opening(&key).is_alive(timeouts, tables.now()) {
                return;
            }
            Outcome::refused(Refusal::RetransmissionDiffers)
        } else {
            tables.note_opening(&key, asked.how(), interface);
            Outcome::opened(asked.how())
        }
    };
    tables.count_rpc(outcome);
}
