//! Towards the protected system.

use super::{
    Tables, Verdict, answered_service, essential, icmp_error, later_fragment, refusal, service_at,
};
use crate::cursor::Payload;
use crate::flow::{FlowKey, FlowSlot, FlowState};
use crate::packet::{Fragment, Packet, Protocol};
use crate::policy::Pair;
use crate::reason::Reason;
use crate::tftp;
use crate::wire::plain::{Network, Plain, Transport};

/// Essentials, then the access bit, then what the protected system opened.
#[inline(always)]
pub(super) fn judge<T: Tables, P: Payload + ?Sized>(
    tables: &T,
    payload: &P,
    packet: &Packet,
    local: u16,
    peer: u16,
) -> Verdict {
    if packet.fragment == Fragment::Later {
        return later_fragment(tables, packet);
    }
    let policy = tables.policy();
    if let Some(reason) = essential::of(packet) {
        let related =
            reason == Reason::IcmpError && icmp_error::quotes_a_flow(tables, payload, packet);
        return Verdict::without_service(if related {
            Reason::IcmpErrorRelated
        } else {
            policy.essentials.judge(reason)
        });
    }
    if essential::is_dhcp_reply(packet) {
        return Verdict::without_service(policy.essentials.judge(Reason::DhcpReply));
    }
    let service = service_at(policy, packet, packet.destination_port);
    let pair = policy.pair(local, peer);
    if policy.access(pair).inbound.contains(service) {
        if packet.protocol == Protocol::UDP && packet.destination_port == tftp::PORT {
            tftp::note_request(tables, payload, packet);
        }
        return Verdict::of_service(Reason::Service, service);
    }
    if is_reply(tables, packet) || tftp::follows(tables, payload, packet) {
        return Verdict::of_service(Reason::Reply, answered_service(policy, packet));
    }
    refusal(policy, local, pair, Reason::NotAllowed, service)
}

/// The same of a plain packet, which is no fragment and can be an essential only by its port;
/// `None` where a service needs a look at more: DHCP and TFTP.
#[inline(always)]
pub(super) fn judge_plain<'a, T: Tables, P: Payload + ?Sized, N: Network<'a>, R: Transport<'a>>(
    tables: &T,
    payload: &P,
    plain: &Plain<N, R>,
    local: u16,
    pair: Pair,
) -> Option<Verdict> {
    let policy = tables.policy();
    let port = plain.transport.destination_port();
    let udp = R::PROTOCOL == Protocol::UDP;
    if udp && (essential::is_dhcp_client(port) || port == tftp::PORT) {
        return None;
    }
    let service = match udp {
        true => policy.udp[port as usize],
        false => policy.tcp[port as usize],
    };
    if policy.access(pair).inbound.contains(service) {
        return Some(Verdict::of_service(Reason::Service, service));
    }
    let refused = || Some(refusal(policy, local, pair, Reason::NotAllowed, service));
    // Decided before the addresses are read.
    if plain.transport.flags().is_bare_syn() {
        return refused();
    }
    let packet = plain.packet();
    if is_reply(tables, &packet) {
        let service = answered_service(policy, &packet);
        return Some(Verdict::of_service(Reason::Reply, service));
    }
    if udp && tftp::may_follow(payload, &packet) {
        return None;
    }
    refused()
}

/// Whether a packet answers a flow that the protected system opened; it keeps
/// the flow alive, or closes it.
#[inline(always)]
fn is_reply<T: Tables>(tables: &T, packet: &Packet) -> bool {
    // A bare SYN opens, and so never answers.
    if packet.protocol == Protocol::TCP && packet.tcp_flags.is_bare_syn() {
        return false;
    }
    let Some(flow) = tables.flow(&FlowKey::of_inbound(packet)) else {
        return false;
    };
    let now = tables.now();
    let state = flow.load();
    if !state.is_alive(packet.protocol, &tables.policy().timeouts, now) {
        return false;
    }
    let phase = state.phase().after_inbound(packet.tcp_flags);
    flow.note(FlowState::new(phase, now));
    true
}
