//! Outbound: what the protected system sends. What it opens is noted, and judged if the policy says
//! so.

use super::{
    Tables, Verdict, answered_service, essential, is_unlisted, later_fragment, refusal, service_at,
};
use crate::cursor::Payload;
use crate::flow::{FlowKey, FlowSlot, FlowState, Phase};
use crate::packet::{Fragment, Packet, Protocol};
use crate::policy::flag;
use crate::reason::Reason;
use crate::service::ServiceClass;
use crate::{as_written, tftp, wire};

/// The control port of PPTP (RFC 2637).
const PPTP: u16 = 1723;

/// Answers of allowed services pass and write no flow; everything else opens
/// one, if it may.
#[inline(always)]
pub(super) fn judge<T: Tables, P: Payload + ?Sized>(
    tables: &T,
    payload: &P,
    packet: &Packet,
    local: u16,
    peer: u16,
) -> Verdict {
    let policy = tables.policy();
    // Whoever is not listed has no rights, also where those of others are not asked for.
    let unlisted = is_unlisted(policy, local) && !policy.has(flag::OUTBOUND_OFF);
    let enforcing = policy.has(flag::OUTBOUND_ENFORCE) || unlisted;
    // The verifier follows the rest once, whichever of them it was.
    let enforcing = as_written::opaque(enforcing.into(), policy.flags.into()) != 0;
    if packet.fragment == Fragment::Later {
        return match enforcing {
            true => later_fragment(tables, packet),
            false => Verdict::without_service(Reason::Outbound),
        };
    }
    let asked = service_at(policy, packet, packet.destination_port);
    if policy.has(flag::OUTBOUND_OFF) {
        return passes(asked);
    }
    if enforcing {
        if let Some(reason) = essential::of(packet) {
            return Verdict::without_service(policy.essentials.judge(reason));
        }
        if essential::is_dhcp_request(packet) {
            return Verdict::without_service(policy.essentials.judge(Reason::DhcpRequest));
        }
    }
    let pair = policy.pair(local, peer);
    let rights = policy.access(pair);
    let to_group = packet.destination.is_group(packet.family);
    if as_written::opaque(to_group.into(), policy.flags.into()) != 0 {
        // A group has asked for nothing, and answers nothing: no flow is looked for or noted.
        return match !enforcing || rights.outbound.contains(asked) {
            true => passes(asked),
            false => refusal(policy, local, pair, Reason::OutboundNotAllowed, asked),
        };
    }
    let answered = answered_service(policy, packet);

    let key = FlowKey::of_outbound(packet);
    // Whatever is known, a bare SYN begins anew: it is written without a look.
    let flow = match packet.protocol {
        Protocol::TCP if packet.tcp_flags.is_bare_syn() && !packet.tcp_flags.is_closing() => None,
        _ => tables.flow(&key),
    };
    let known = flow.as_ref().map(FlowSlot::load);
    let now = tables.now();
    // A tunnel is opened by its control connection, not by a right of its own.
    let tunnel = packet.protocol == Protocol::GRE
        && known.is_some_and(|state| state.is_alive(packet.protocol, &policy.timeouts, now));
    let allowed = !enforcing || rights.outbound.contains(asked) || tunnel;
    let current = known.map(FlowState::phase);
    let phase = Phase::after_outbound(current, packet.protocol, packet.tcp_flags);
    let state = FlowState::new(phase, now);
    match flow {
        Some(flow) if allowed => flow.note(state),
        // A flow without a right was opened under a policy that has changed since.
        _ => {
            if packet.protocol == Protocol::UDP && tftp::follows(tables, payload, packet) {
                return passes(answered);
            }
            if answers(packet) && rights.inbound.contains(answered) {
                note_pptp(tables, packet, &key);
                return passes(answered);
            }
            // Answers to what was refused on its way in do no harm, and say little.
            let opens = opens(packet);
            let service = if opens { asked } else { answered };
            if !allowed {
                let reason = Reason::OutboundNotAllowed;
                return refusal(policy, local, pair, reason, service);
            }
            if !opens {
                return passes(service);
            }
            tables.open_flow(&key, state);
        }
    }
    note_pptp(tables, packet, &key);
    if packet.protocol == Protocol::UDP && packet.destination_port == tftp::PORT {
        tftp::note_request(tables, payload, packet);
    }
    passes(asked)
}

#[inline(always)]
const fn passes(service: ServiceClass) -> Verdict {
    Verdict::of_service(Reason::Outbound, service)
}

/// Whether a packet may be the answer of a service: a bare SYN is none, and of ICMP
/// only the echo reply.
#[inline(always)]
const fn answers(packet: &Packet) -> bool {
    match packet.protocol {
        Protocol::TCP => !packet.tcp_flags.is_bare_syn(),
        Protocol::ICMP => packet.icmp_type == wire::transport::ICMP_ECHO_REPLY,
        Protocol::ICMPV6 => packet.icmp_type == wire::transport::ICMPV6_ECHO_REPLY,
        _ => true,
    }
}

/// Whether a packet of no known flow may write one: it opens something, or
/// belongs to a stream already under way.
#[inline(always)]
const fn opens(packet: &Packet) -> bool {
    match packet.protocol {
        Protocol::TCP => !packet.tcp_flags.is_syn_ack() && !packet.tcp_flags.is_reset(),
        Protocol::ICMP => packet.icmp_type == wire::transport::ICMP_ECHO,
        Protocol::ICMPV6 => packet.icmp_type == wire::transport::ICMPV6_ECHO,
        Protocol::IGMP => false,
        _ => true,
    }
}

/// Lets GRE in from the other end of a PPTP control connection (RFC 2637). Data
/// on it comes only after a handshake, which nobody forges from afar.
#[inline(always)]
fn note_pptp<T: Tables>(tables: &T, packet: &Packet, control: &FlowKey) {
    let control_data = packet.protocol == Protocol::TCP && packet.payload != 0;
    if !control_data || (packet.source_port != PPTP && packet.destination_port != PPTP) {
        return;
    }
    let (local, peer) = (control.local, control.peer);
    let tunnel = FlowKey::new(packet.family, local, peer, (0, 0), Protocol::GRE);
    tables.open_flow(&tunnel, FlowState::new(Phase::Open, tables.now()));
}
