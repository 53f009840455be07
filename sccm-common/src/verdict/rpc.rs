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

use super::questions::Answers;
use super::{Tables, Verdict, class_of};
use crate::address::{Address, Family, LOCAL_SELF};
use crate::counter::Direction;
use crate::cursor::Payload;
use crate::opening::OpeningKey;
use crate::packet::{Fragment, Packet, Protocol};
use crate::policy::{Pair, Policy};
use crate::question::{MAX_AGE, QuestionKey};
use crate::reason::Reason;
use crate::rpc::bind::Service;
use crate::rpc::bytes::Order;
use crate::rpc::room::{self, Room};
use crate::rpc::scan::{self, Scan};
use crate::rpc::{How, MAPPER, Refusal, Uuid, limits};
use crate::service::{ServiceClass, ServiceSet};

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

/// Units of RPC that are read of one segment.
pub const UNITS: usize = 3;

/// What [`unit`] says beside a place: the unit may hold an answer that was not read.
pub const LEFT: u32 = 1 << 31;

/// Contexts that are read of one proposal.
const PROPOSALS: u8 = 8;

/// Bytes of the header of a call, of the part that all units share, and of what follows an answer's
/// parameters if it is signed.
const CALL_HEADER: u32 = 24;
const HEADER: u32 = 16;
const TRAILER: u32 = 8;

/// Bytes of a TCP header without options (RFC 9293, 3.1).
const TCP_HEADER: u32 = 20;

/// Types of units (DCE 1.1: RPC, 12.6.3.1), and whether one is the first of its call, and the last.
const REQUEST: u8 = 0;
const RESPONSE: u8 = 2;
const FAULT: u8 = 3;
const BIND: u8 = 11;
const ALTER_CONTEXT: u8 = 14;
const IS_FIRST: u8 = 1;
const IS_WHOLE: u8 = 3;

/// The level of a trailer by which the parameters are encrypted.
const PRIVACY: u8 = 6;

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

/// Reads the unit at a place of a segment. Says where the next one begins (0: nowhere), and whether
/// somebody else should read this one ([`LEFT`]).
#[inline(always)]
pub fn unit<T: Tables>(tables: &T, room: &Room, packet: &Packet, asks: bool, at: u32) -> u32 {
    let left = packet.payload.wrapping_sub(at);
    if left > packet.payload || left < CALL_HEADER || at + CALL_HEADER > room::BYTES {
        return 0;
    }
    let [version, minor, kind, flags, order, ..] = *room.at::<8>(at);
    let order = match order >> 4 {
        0 => Order::Big,
        1 => Order::Little,
        _ => return 0,
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
fn call(room: &Room, at: u32, order: Order) -> (u32, u16) {
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
        let service = proposed(room, at + 4, order);
        if !matches!(service, Service::Other) {
            let key = QuestionKey::rpc_context(packet, true, context, service as u8);
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

/// What an answer is to: the number of a [`How`], and whether it was answered before. One word,
/// because the kernel's program hands it on.
#[derive(Clone, Copy)]
struct Asked(u32);

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
fn answer<T: Tables>(tables: &T, room: &Room, packet: &Packet, at: u32, order: Order) -> u32 {
    let asked = asked(tables, room, packet, at, order);
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
        if names_port(room, packet, at, order) {
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
    let left = match matches!(asked.how(), How::Map) {
        true => towers(tables, room, packet, stub),
        false => {
            bindings(tables, room, packet, stub);
            0
        }
    };
    // Of one that comes again, somebody else may know the rest.
    match asked.0 & Asked::AGAIN {
        0 => left,
        _ => LEFT,
    }
}

/// The parameters of an answer. From the lowest bit on: 16 of where they begin in the segment, 16 of
/// where they end, the rest of what they answer.
#[derive(Clone, Copy)]
struct Stub(u64);

impl Stub {
    #[inline(always)]
    const fn new(begin: u32, end: u32, asked: Asked) -> Self {
        Self((asked.0 as u64) << 32 | (end as u64) << 16 | begin as u64)
    }

    #[inline(always)]
    const fn begin(self) -> u32 {
        self.0 as u16 as u32
    }

    #[inline(always)]
    const fn end(self) -> u32 {
        (self.0 >> 16) as u16 as u32
    }

    #[inline(always)]
    const fn asked(self) -> Asked {
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

/// Whether a unit is the answer of `ept_map` with a port, by its looks.
#[inline(always)]
fn names_port(room: &Room, packet: &Packet, at: u32, order: Order) -> bool {
    let size = u32::from(room.u16(at + 8, order));
    let length = size.wrapping_sub(CALL_HEADER);
    let is_there = at + size <= packet.payload && at + size <= room::BYTES;
    let first = match (Layout::NDR32.towers(length), Layout::NDR64.towers(length)) {
        (Some(count), _) => Layout::NDR32.first(count),
        (_, Some(count)) => Layout::NDR64.first(count),
        _ => return false,
    };
    is_there && [1, 0, 0x07, 2, 0] == *room.at(at + CALL_HEADER + first + 59)
}

/// Where the parts of an answer of `ept_map` are, in NDR32 and NDR64 (DCE 1.1: RPC, Appendix L).
struct Layout {
    /// Bytes of a size or of a pointer.
    word: u32,
    /// Bytes in front of the first tower, but for the pointers.
    head: u32,
    /// From one tower to the next.
    stride: u32,
    /// From a tower's sizes to its bytes.
    sizes: u32,
}

impl Layout {
    const NDR32: Self = Self {
        word: 4,
        head: 36,
        stride: 84,
        sizes: 8,
    };
    const NDR64: Self = Self {
        word: 8,
        head: 48,
        stride: 88,
        sizes: 12,
    };

    /// How many towers an answer of this length has, each of [`TOWER`] bytes.
    #[inline(always)]
    fn towers(&self, length: u32) -> Option<u32> {
        let (rest, each) = (length.wrapping_sub(self.head + 4), self.stride + self.word);
        (1..=MOST_TOWERS).find(|count| rest == each * count)
    }

    /// Where the first of so many begins.
    #[inline(always)]
    const fn first(&self, count: u32) -> u32 {
        self.head + self.word * count + self.sizes
    }
}

/// Towers that clients ask for.
const MOST_TOWERS: u32 = 4;

/// Bytes of a tower of five floors that ends in TCP and IP, and where its port is.
const TOWER: u32 = 75;

/// Reads an answer of `ept_map`.
#[inline(never)]
fn towers<T: Tables>(tables: &T, room: &Room, packet: &Packet, stub: Stub) -> u32 {
    let (asked, end) = (stub.asked(), stub.end());
    let stub = stub.begin();
    let length = end.wrapping_sub(stub);
    let order = Order::Little;
    let refused = |why| tables.count_rpc(Outcome::refused(why));
    let (layout, count) = match (Layout::NDR32.towers(length), Layout::NDR64.towers(length)) {
        (Some(count), _) => (Layout::NDR32, count),
        (_, Some(count)) => (Layout::NDR64, count),
        _ if room.u32(stub + 20, order) == 0 => {
            refused(Refusal::NotRegistered);
            return 0;
        }
        _ => {
            refused(Refusal::Unread);
            return LEFT;
        }
    };
    let sizes = stub + 24;
    let is_sound = room.u32(stub + 20, order) == count
        && room.u32(sizes, order) >= count
        && room.u32(sizes + layout.word, order) == 0
        && room.u32(sizes + 2 * layout.word, order) == count;
    if !is_sound {
        refused(Refusal::MalformedAnswer);
        return 0;
    }
    if room.u32(end.wrapping_sub(4), order) != 0 {
        refused(Refusal::CallFailed);
        return 0;
    }
    let mut at = stub + layout.first(count) - layout.sizes;
    for number in 0..MOST_TOWERS {
        if number >= count {
            break;
        }
        let is_whole = room.u32(at, order) == TOWER
            && room.u32(at + layout.word, order) == TOWER
            && (layout.word == 4 || room.u32(at + 4, order) == 0);
        match is_whole {
            true => tower(tables, room, packet, at + layout.sizes, asked),
            false => refused(Refusal::MalformedAnswer),
        }
        at = tables.opaque((at + layout.stride).into()) as u32;
    }
    0
}

/// Opens the port of a tower, whose integers are little endian; those of the network are not.
#[inline(always)]
fn tower<T: Tables>(tables: &T, room: &Room, packet: &Packet, at: u32, asked: Asked) {
    let refused = |why| tables.count_rpc(Outcome::refused(why));
    // Floors: their number; an interface; a syntax; connections; TCP; IP. Each has two halves, with
    // their lengths in front.
    let named = [5, 0, 19, 0, 0x0d] == *room.at::<5>(at)
        && [2, 0] == *room.at(at + 23)
        && [19, 0, 0x0d] == *room.at(at + 27)
        && [2, 0] == *room.at(at + 48);
    let below = [1, 0, 0x0b, 2, 0] == *room.at(at + 52)
        && [1, 0] == *room.at(at + 59)
        && [2, 0] == *room.at(at + 62)
        && [1, 0, 0x09, 4, 0] == *room.at(at + 66);
    if room.u8(at + 61) != 0x07 {
        return refused(Refusal::NoTcp);
    }
    if !(named && below) {
        return refused(Refusal::MalformedTower);
    }
    let host = Address::v4(*room.at(at + 71));
    if packet.family == Family::V4 && host != packet.source && host != Address::V4_UNSPECIFIED {
        // The port is opened at who answered, and nowhere else.
        refused(Refusal::AnotherHost);
    }
    let port = u16::from_be_bytes(*room.at(at + 64));
    open(tables, packet, port, asked, room.at(at + 5));
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
fn open<T: Tables>(tables: &T, packet: &Packet, port: u16, asked: Asked, interface: &[u8; 16]) {
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
