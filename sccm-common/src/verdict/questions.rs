//! What was asked, and by whom: of protected systems by peers, under `enforce`, and of DHCP by
//! protected systems and by this gateway.
//!
//! The table is read once before the decision, and written once after it. Within the decision,
//! the verifier would follow each look-up once for every way to it.

use super::{Tables, Verdict, dhcp, rpc};
use crate::address::Address;
use crate::counter::Direction;
use crate::cursor::Payload;
use crate::packet::{Fragment, Packet, Protocol};
use crate::policy::{Pair, flag};
use crate::question::{DHCP_AGE, QuestionKey, Relay};
use crate::reason::Reason;

/// What a packet answers: a set of bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(transparent)]
pub(super) struct Answers(u64);

impl Answers {
    const QUESTION: u64 = 1;
    const RELAY: u64 = 2;
    /// It may be of a connection to a port that is handed out: as its client's, or as its server's.
    pub(super) const MAYBE_CLIENT: u64 = 4;
    pub(super) const MAYBE_SERVER: u64 = 8;
    /// And the port was.
    pub(super) const CLIENT: u64 = 16;
    pub(super) const SERVER: u64 = 32;

    /// A question of its receiver.
    #[inline(always)]
    pub(super) const fn a_question(self) -> bool {
        self.0 & Self::QUESTION != 0
    }

    /// What a relay of DHCP has asked, to be answered at the receiver.
    #[inline(always)]
    pub(super) const fn a_relay(self) -> bool {
        self.0 & Self::RELAY != 0
    }

    /// Any of these bits.
    #[inline(always)]
    pub(super) const fn any(self, bits: u64) -> bool {
        self.0 & bits != 0
    }
}

/// What a packet answers, as far as questions are noted: outbound under `enforce`, of all protocols
/// but TCP; inbound of DHCP; and which ports that were handed out it concerns. `receiver` is the local
/// class of the destination.
#[inline(always)]
pub(super) fn answered<T: Tables, P: Payload + ?Sized>(
    tables: &T,
    payload: &P,
    packet: &Packet,
    direction: Direction,
    receiver: u16,
    pair: Pair,
) -> Answers {
    // Functions, one after the other, whose parts of the stack are their own.
    let question = look_up(tables, packet, direction)
        || look_up_transaction(tables, payload, packet, direction);
    let question = tables.opaque(question.into());
    let relay = match direction {
        Direction::Inbound => Relay::behind(receiver),
        Direction::Outbound => Relay::Peer,
    };
    let relay = tables.opaque(look_up_relay(tables, payload, packet, relay).into());
    let of_client = tables.opaque(rpc::of_client(tables, packet, direction, pair));
    let of_server = tables.opaque(match direction {
        Direction::Inbound => 0,
        Direction::Outbound => rpc::of_server(tables, packet, pair),
    });
    Answers((question * Answers::QUESTION) | (relay * Answers::RELAY) | of_client | of_server)
}

/// Whether a packet answers by its ends: to who asked DHCP, or to who asked a protected system.
#[inline(never)]
fn look_up<T: Tables>(tables: &T, packet: &Packet, direction: Direction) -> bool {
    if packet.fragment == Fragment::Later {
        return false;
    }
    match direction {
        Direction::Inbound => {
            let asker = || QuestionKey::dhcp_asker(packet.destination, packet.family);
            dhcp::is_to_client(packet) && tables.was_asked(&asker(), DHCP_AGE)
        }
        Direction::Outbound => {
            let policy = tables.policy();
            let within = policy.timeouts.answer;
            packet.protocol != Protocol::TCP
                && policy.has(flag::OUTBOUND_ENFORCE)
                && (tables.was_asked(&QuestionKey::of_answer(packet, false), within)
                    || tables.was_asked(&QuestionKey::of_answer(packet, true), within))
        }
    }
}

/// Whether a packet answers a transaction of DHCP.
#[inline(never)]
fn look_up_transaction<T: Tables, P: Payload + ?Sized>(
    tables: &T,
    payload: &P,
    packet: &Packet,
    direction: Direction,
) -> bool {
    if packet.fragment == Fragment::Later {
        return false;
    }
    let of_peer = matches!(direction, Direction::Outbound);
    let may_answer = match direction {
        Direction::Inbound => dhcp::is_to_client(packet),
        Direction::Outbound => {
            dhcp::is_from_server(packet) && tables.policy().has(flag::OUTBOUND_ENFORCE)
        }
    };
    may_answer
        && dhcp::transaction(payload, packet, of_peer)
            .is_some_and(|key| tables.was_asked(&key, DHCP_AGE))
}

/// Whether a packet answers what this relay has asked. Relays of peers are noted only under
/// `enforce`, so nobody need ask for that here.
#[inline(never)]
fn look_up_relay<T: Tables, P: Payload + ?Sized>(
    tables: &T,
    payload: &P,
    packet: &Packet,
    relay: Relay,
) -> bool {
    packet.fragment != Fragment::Later
        && dhcp::may_be_to_relay(packet)
        && dhcp::answer_to_relay(payload, packet, relay)
            .is_some_and(|key| tables.was_asked(&key, DHCP_AGE))
}

/// Notes the question that a packet asks, if it may. `asker` is who it would be as a relay.
#[inline(always)]
pub(super) fn note<T: Tables, P: Payload + ?Sized>(
    tables: &T,
    payload: &P,
    packet: &Packet,
    asker: Relay,
    verdict: &Verdict,
) {
    let of_peer = asker == Relay::Peer;
    let asks = match of_peer {
        true => {
            verdict.reason == Reason::Service
                && packet.protocol != Protocol::TCP
                && tables.policy().has(flag::OUTBOUND_ENFORCE)
        }
        false => {
            dhcp::is_from_client(packet)
                && packet.fragment != Fragment::Later
                && verdict.reason.passes()
        }
    };
    if asks {
        write(tables, payload, packet, of_peer);
    }
    // Whoever asks all servers under `enforce`, as anybody may, is no relay.
    let relays = match of_peer {
        true => asks,
        false => verdict.reason == Reason::Outbound && packet.fragment != Fragment::Later,
    };
    if relays && dhcp::may_be_of_relay(packet) {
        note_relay(tables, payload, packet, asker);
    }
}

/// Notes where a relay is answered, if a packet is of one: whoever asks for himself is no relay.
#[inline(never)]
fn note_relay<T: Tables, P: Payload + ?Sized>(
    tables: &T,
    payload: &P,
    packet: &Packet,
    relay: Relay,
) {
    let Some(asked) = dhcp::asked_by_relay(payload, packet) else {
        return;
    };
    let family = packet.family;
    for at in asked.at {
        if at == (Address { high: 0, low: 0 })
            || at == Address::V4_UNSPECIFIED
            || at.is_group(family)
        {
            continue;
        }
        for port in [dhcp::server_port(family), packet.source_port] {
            tables.note_question(&asked.key(relay, family, at, port));
        }
    }
}

#[inline(never)]
fn write<T: Tables, P: Payload + ?Sized>(tables: &T, payload: &P, packet: &Packet, of_peer: bool) {
    let key = match of_peer {
        true => QuestionKey::of_question(packet, packet.destination.is_group(packet.family)),
        false => QuestionKey::dhcp_asker(packet.source, packet.family),
    };
    tables.note_question(&key);
    if dhcp::is_to_server(packet)
        && let Some(key) = dhcp::transaction(payload, packet, of_peer)
    {
        tables.note_question(&key);
    }
}
