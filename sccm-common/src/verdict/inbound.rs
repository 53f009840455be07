//! Towards the protected system.

use super::{
    Tables, Verdict, access, answered_service, essential, icmp_error, later_fragment, refusal,
    service_at,
};
use crate::cursor::Payload;
use crate::flow::{FlowKey, FlowSlot, FlowState};
use crate::packet::{Fragment, Packet, Protocol};
use crate::policy::Access;
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
    if access(tables, local, peer).inbound.contains(service) {
        if packet.protocol == Protocol::UDP && packet.destination_port == tftp::PORT {
            tftp::note_request(tables, payload, packet);
        }
        return Verdict {
            reason: Reason::Service,
            service,
        };
    }
    let reason = if is_reply(tables, packet) || tftp::follows(tables, payload, packet) {
        Reason::Reply
    } else {
        return Verdict {
            reason: refusal(policy, local, Reason::NotAllowed),
            service,
        };
    };
    Verdict {
        reason,
        service: answered_service(policy, packet),
    }
}

/// The same of a plain packet, which is no fragment and can be an essential only by its port;
/// `None` where a service needs a look at more: DHCP and TFTP.
#[inline(always)]
pub(super) fn judge_plain<'a, T: Tables, P: Payload + ?Sized, N: Network<'a>, R: Transport<'a>>(
    tables: &T,
    payload: &P,
    plain: &Plain<N, R>,
    local: u16,
    rights: &Access,
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
    let verdict = |reason| Some(Verdict { reason, service });
    if rights.inbound.contains(service) {
        return verdict(Reason::Service);
    }
    // Decided before the addresses are read.
    if plain.transport.flags().is_bare_syn() {
        return verdict(refusal(policy, local, Reason::NotAllowed));
    }
    let packet = plain.packet();
    if is_reply(tables, &packet) {
        return Some(Verdict {
            reason: Reason::Reply,
            service: answered_service(policy, &packet),
        });
    }
    if udp && tftp::may_follow(payload, &packet) {
        return None;
    }
    verdict(refusal(policy, local, Reason::NotAllowed))
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
