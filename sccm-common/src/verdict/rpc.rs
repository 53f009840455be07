//! Ports of the RPC dynamic range that are open only to whom the endpoint mapper hands them.
//!
//! What a client asks the mapper is noted as a question, as anybody may ask ([`question`]). Its answer
//! is one if it begins where the client awaited it, on the same connection, in a context that the
//! client has proposed. Then each port that it names becomes an [`opening`](crate::opening), of the
//! system that answered for the system that asked. What a peer says, who is not protected, counts only
//! within a flow that the protected system has opened.
//!
//! Here are read only answers that lie in one segment and are laid out as Windows does it.
//! [`rpc::conversation`](crate::rpc::conversation) reads all.
//!
//! [`question`]: crate::question

mod answer;
mod towers;
mod unit;

use super::questions::Answers;
use super::{Tables, Verdict, class_of};
use crate::address::LOCAL_SELF;
use crate::counter::Direction;
use crate::cursor::Payload;
use crate::opening::OpeningKey;
use crate::packet::{Fragment, Packet, Protocol};
use crate::policy::{Pair, Policy};
use crate::reason::Reason;
use crate::rpc::{How, MAPPER, Refusal};
use crate::service::{ServiceClass, ServiceSet};

pub use unit::{LEFT, UNITS, unit};

/// What became of an answer of the endpoint mapper, or of a port in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(transparent)]
pub struct Outcome(pub u32);

impl Outcome {
    /// How many numbers there are.
    pub const COUNT: u32 = 64;

    const REFUSED: u32 = 8;

    /// A port was opened.
    #[inline(always)]
    #[must_use]
    pub const fn opened(how: How) -> Self {
        Self(how as u32)
    }

    /// Nothing was.
    #[inline(always)]
    #[must_use]
    pub const fn refused(why: Refusal) -> Self {
        Self(Self::REFUSED + why as u32)
    }

    /// How a port was opened, or why none was; `None` for a number that this version does not know.
    #[must_use]
    pub fn read(self) -> Option<Result<How, Refusal>> {
        let opened = How::ALL.get(self.0 as usize).map(|how| Ok(*how));
        let refused = || {
            let number = self.0.checked_sub(Self::REFUSED)?;
            Refusal::ALL.get(number as usize).map(|why| Err(*why))
        };
        opened.or_else(refused)
    }
}

const _: () = assert!(Outcome::REFUSED as usize + Refusal::ALL.len() <= Outcome::COUNT as usize);

/// Bytes of a TCP header without options (RFC 9293, 3.1).
const TCP_HEADER: u32 = 20;

/// Whether a pair has, instead of a right to this service, one to what is handed out.
#[inline(always)]
pub(super) fn may_be_handed_out(
    policy: &Policy,
    protocol: Protocol,
    rights: &ServiceSet,
    service: ServiceClass,
) -> bool {
    rights.contains(ServiceClass::HANDED_OUT)
        && protocol == Protocol::TCP
        && policy.dynamic.contains(service)
        && !rights.contains(service)
}

/// Whether a packet between these ports may ask the mapper something, or answer it.
#[inline(always)]
pub(super) fn may_concern(policy: &Policy, source_port: u16, destination_port: u16) -> bool {
    (destination_port == MAPPER || source_port == MAPPER)
        && policy.dynamic.0 != ServiceSet::default().0
}

/// Whether the port that a packet is to may be handed out, and whether it was: bits of [`Answers`].
/// Each packet of a connection keeps its port open.
#[inline(never)]
pub(super) fn of_client<T: Tables>(
    tables: &T,
    packet: &Packet,
    direction: Direction,
    pair: Pair,
) -> u64 {
    let policy = tables.policy();
    let access = policy.access(pair);
    let rights = match direction {
        Direction::Inbound => &access.inbound,
        Direction::Outbound => &access.outbound,
    };
    let wanted = policy.tcp[packet.destination_port as usize];
    if packet.fragment == Fragment::Later
        || !may_be_handed_out(policy, packet.protocol, rights, wanted)
    {
        return 0;
    }
    match is_open(tables, packet, true) {
        true => Answers::MAYBE_CLIENT | Answers::CLIENT,
        false => Answers::MAYBE_CLIENT,
    }
}

/// The same for the port that a packet is from, which leaves the protected system. A peer is a server
/// only in a flow that the protected system has opened.
#[inline(never)]
pub(super) fn of_server<T: Tables>(tables: &T, packet: &Packet, pair: Pair) -> u64 {
    let policy = tables.policy();
    let rights = &policy.access(pair).inbound;
    let answered = policy.tcp[packet.source_port as usize];
    if packet.fragment == Fragment::Later
        || packet.tcp_flags.is_bare_syn()
        || !may_be_handed_out(policy, packet.protocol, rights, answered)
    {
        return 0;
    }
    match is_open(tables, packet, false) {
        true => Answers::MAYBE_SERVER | Answers::SERVER,
        false => Answers::MAYBE_SERVER,
    }
}

#[inline(always)]
fn is_open<T: Tables>(tables: &T, packet: &Packet, to_server: bool) -> bool {
    let (client, server, port) = match to_server {
        true => (packet.source, packet.destination, packet.destination_port),
        false => (packet.destination, packet.source, packet.source_port),
    };
    let key = OpeningKey::new(packet.family, client, server, port);
    let now = tables.now();
    let opening = tables.opening(&key);
    let alive = opening.is_alive(&tables.policy().timeouts, now);
    if alive && !(opening.is_used() && opening.seen() == now) {
        tables.renew_opening(&key);
    }
    alive
}

/// Notes what a packet asks the mapper, or opens what its answer names. `direction`: how it was
/// judged.
#[inline(always)]
pub(super) fn note<T: Tables, P: Payload + ?Sized>(
    tables: &T,
    payload: &P,
    packet: &Packet,
    direction: Direction,
    verdict: &Verdict,
) {
    if packet.protocol != Protocol::TCP
        || !may_concern(tables.policy(), packet.source_port, packet.destination_port)
    {
        return;
    }
    let asks = packet.destination_port == MAPPER;
    // Whoever is not protected asks where he may open, and answers where he was asked.
    let counts = match (direction, asks) {
        (Direction::Inbound, true) => matches!(verdict.reason, Reason::Service),
        (Direction::Inbound, false) => matches!(verdict.reason, Reason::Reply),
        (Direction::Outbound, _) => verdict.reason.passes(),
    };
    if counts {
        read(tables, payload, packet, direction);
    }
}

/// Reads a packet, if the two ends have a right to what is handed out. The classes of their addresses
/// are looked up once more: kept from the decision on, they would take room on the stack from every
/// packet.
#[inline(never)]
fn read<T: Tables, P: Payload + ?Sized>(
    tables: &T,
    payload: &P,
    packet: &Packet,
    direction: Direction,
) {
    if !matches!(packet.fragment, Fragment::Whole | Fragment::Atomic)
        || !may_hand_out(tables, packet, direction)
    {
        return;
    }
    // No receiver takes other data of an open connection than with ACK (RFC 9293, 3.10.7.4).
    if !packet.tcp_flags.acknowledges() && packet.payload != 0 {
        return;
    }
    let asks = packet.destination_port == MAPPER;
    // The parser stops behind the fixed part of the header, whose 13th byte says where options end.
    // With the byte behind it: of one alone, the compiler makes a comparison that the verifier does not
    // follow.
    let Some([words, _]) = payload.load(packet.payload_offset.wrapping_sub(TCP_HEADER - 12)) else {
        return;
    };
    let options = (u32::from(words >> 4) * 4).wrapping_sub(TCP_HEADER);
    payload.show(packet.payload_offset + options, packet.payload, |room| {
        tables.read_rpc(room, packet, asks);
    });
}

/// Whether the pair of a packet's ends has the right, in this role of the protected system. A gateway
/// is handed nothing itself: it may open everything.
#[inline(always)]
fn may_hand_out<T: Tables>(tables: &T, packet: &Packet, direction: Direction) -> bool {
    let source = class_of(tables, packet.family, &packet.source);
    let destination = class_of(tables, packet.family, &packet.destination);
    let (local, peer) = match direction {
        Direction::Inbound => (destination.local, source.peer),
        Direction::Outbound => (source.local, destination.peer),
    };
    let policy = tables.policy();
    let access = policy.access(policy.pair(local, peer));
    let asks = packet.destination_port == MAPPER;
    // The protected system is the server where a peer asks, and where it answers itself.
    let rights = match asks == matches!(direction, Direction::Inbound) {
        true => &access.inbound,
        false => &access.outbound,
    };
    local != LOCAL_SELF && rights.contains(ServiceClass::HANDED_OUT)
}
