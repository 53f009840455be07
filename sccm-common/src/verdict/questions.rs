//! What was asked, and by whom: of protected systems by peers, under `enforce`, and of DHCP by
//! protected systems.
//!
//! The table is read once before the decision, and written once after it. Within the decision,
//! the verifier would follow each look-up once for every way to it.

use super::{Tables, Verdict, dhcp};
use crate::counter::Direction;
use crate::cursor::Payload;
use crate::packet::{Fragment, Packet, Protocol};
use crate::policy::flag;
use crate::question::{DHCP_AGE, QuestionKey};
use crate::reason::Reason;

/// Whether a packet answers a question, as far as questions are noted: outbound under `enforce`,
/// of all protocols but TCP; inbound of DHCP.
#[inline(always)]
pub(super) fn are_answered<T: Tables, P: Payload + ?Sized>(
    tables: &T,
    payload: &P,
    packet: &Packet,
    direction: Direction,
) -> bool {
    tables.opaque_answer(look_up(tables, payload, packet, direction))
}

#[inline(never)]
fn look_up<T: Tables, P: Payload + ?Sized>(
    tables: &T,
    payload: &P,
    packet: &Packet,
    direction: Direction,
) -> bool {
    if packet.fragment == Fragment::Later {
        return false;
    }
    match direction {
        Direction::Inbound => {
            let asker = || QuestionKey::dhcp_asker(packet.destination, packet.family);
            dhcp::is_to_client(packet)
                && (tables.was_asked(&asker(), DHCP_AGE)
                    || dhcp::transaction(payload, packet, false)
                        .is_some_and(|key| tables.was_asked(&key, DHCP_AGE)))
        }
        Direction::Outbound => {
            let policy = tables.policy();
            let within = policy.timeouts.answer;
            packet.protocol != Protocol::TCP
                && policy.has(flag::OUTBOUND_ENFORCE)
                && (tables.was_asked(&QuestionKey::of_answer(packet, false), within)
                    || tables.was_asked(&QuestionKey::of_answer(packet, true), within)
                    || dhcp::is_from_server(packet)
                        && dhcp::transaction(payload, packet, true)
                            .is_some_and(|key| tables.was_asked(&key, DHCP_AGE)))
        }
    }
}

/// Notes the question that a packet asks, if it may.
#[inline(always)]
pub(super) fn note<T: Tables, P: Payload + ?Sized>(
    tables: &T,
    payload: &P,
    packet: &Packet,
    direction: Direction,
    verdict: &Verdict,
) {
    let asks = match direction {
        Direction::Inbound => {
            verdict.reason == Reason::Service
                && packet.protocol != Protocol::TCP
                && tables.policy().has(flag::OUTBOUND_ENFORCE)
        }
        Direction::Outbound => {
            dhcp::is_from_client(packet)
                && packet.fragment != Fragment::Later
                && verdict.reason.passes()
        }
    };
    if asks {
        write(tables, payload, packet, direction);
    }
}

#[inline(never)]
fn write<T: Tables, P: Payload + ?Sized>(
    tables: &T,
    payload: &P,
    packet: &Packet,
    direction: Direction,
) {
    let (key, of_peer) = match direction {
        Direction::Inbound => (
            QuestionKey::of_question(packet, packet.destination.is_group(packet.family)),
            true,
        ),
        Direction::Outbound => (QuestionKey::dhcp_asker(packet.source, packet.family), false),
    };
    tables.note_question(&key);
    if dhcp::is_to_server(packet)
        && let Some(key) = dhcp::transaction(payload, packet, of_peer)
    {
        tables.note_question(&key);
    }
}
