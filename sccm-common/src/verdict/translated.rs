//! What a gateway translates (NAT) has other addresses where it goes out than where it came in and
//! was judged. Its answers come to the new ones, so it is remembered once more, as it goes out.
//! Nothing is judged here, and nothing counted.
//!
//! What crosses the other way, into the segment, is remembered by [`ingress`](super::ingress), as if
//! it came in at the uplink, and the verdict is not carried out: it writes only tables that an uplink
//! fills anyway.

use super::outbound::{flow_of, may_answer, note_pptp, open_flow, opens};
use super::{Tables, answered_service, class_of};
use crate::cursor::Payload;
use crate::flow::{FlowSlot, FlowState};
use crate::packet::{Fragment, Packet, Protocol};
use crate::policy::flag;
use crate::tftp;

/// Remembers what a protected system sent, was judged at the segment, and leaves by the uplink.
///
/// Its answers pass, whatever `outbound` says: the judgement before asked for the right. As there,
/// the answer of a service opens nothing; here it is the service of a published port.
#[inline(always)]
pub fn leaves_by_uplink<T: Tables, P: Payload + ?Sized>(tables: &T, packet: &Packet, payload: &P) {
    let policy = tables.policy();
    if policy.has(flag::OUTBOUND_OFF)
        || packet.fragment == Fragment::Later
        || packet.destination.is_group(packet.family)
    {
        return;
    }
    let flow = flow_of(tables, packet);
    let known = flow.as_ref().map(FlowSlot::load);
    // As in `outbound`: a word in any case.
    let before = known.unwrap_or(FlowState::UNKNOWN);
    let before = before.opaque(|word| tables.opaque(word));
    let state = before.after_outbound(packet, tables.now());
    let state = state.opaque(|word| tables.opaque(word));
    match flow {
        Some(flow) => flow.replace(before, state),
        None if is_service(tables, packet) => {}
        None if opens(packet) => open_flow(tables, packet, state),
        None => {}
    }
    note_pptp(tables, packet);
    if packet.protocol == Protocol::UDP && packet.destination_port == tftp::PORT {
        tftp::note_request(tables, payload, packet);
    }
}

/// Whether a packet is the answer of a service that its receiver may use.
#[inline(always)]
fn is_service<T: Tables>(tables: &T, packet: &Packet) -> bool {
    let policy = tables.policy();
    let local = class_of(tables, packet.family, &packet.source).local;
    let peer = class_of(tables, packet.family, &packet.destination).peer;
    let rights = policy.access(policy.pair(local, peer)).inbound;
    may_answer(packet) && rights.contains(answered_service(policy, packet))
}
