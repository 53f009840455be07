//! Outbound: what the protected system sends. What it opens is noted, and judged if the policy says
//! so.

use super::icmp_error::About;
use super::questions::Answers;
use super::{
    Tables, Verdict, answered_service, dhcp, essential, is_unlisted, later_fragment, refusal, rpc,
    service_at,
};
use crate::address::LOCAL_SELF;
use crate::as_written;
use crate::cursor::Payload;
use crate::flow::{FlowKey, FlowSlot, FlowState, Phase};
use crate::packet::{Fragment, Packet, Protocol};
use crate::policy::{Pair, flag};
use crate::reason::Reason;
use crate::service::ServiceClass;
use crate::tftp;
use crate::wire::fast::{FastPacket, Network, Transport};

/// The control port of PPTP (RFC 2637).
const PPTP: u16 = 1723;

/// Answers of allowed services pass and write no flow; everything else opens
/// one, if it may. `answers`: what it answers, under `enforce`. `about`: what it quotes, if it is an
/// ICMP error.
#[inline(always)]
pub(super) fn judge<T: Tables, P: Payload + ?Sized>(
    tables: &T,
    payload: &P,
    packet: &Packet,
    local: u16,
    peer: u16,
    answers: Answers,
    about: About,
) -> Verdict {
    let policy = tables.policy();
    // Whoever is not listed has no rights, also where those of others are not asked for.
    let unlisted = is_unlisted(policy, local) && !policy.has(flag::OUTBOUND_OFF);
    let enforcing = policy.has(flag::OUTBOUND_ENFORCE) || unlisted;
    // The verifier follows the rest once, whichever of them it was.
    let enforcing = tables.opaque_answer(enforcing);
    if packet.fragment == Fragment::Later {
        return Verdict::without_service(match enforcing {
            true => later_fragment(tables, packet),
            false => Reason::Outbound,
        });
    }
    let wanted = service_at(policy, packet, packet.destination_port);
    // Here and below: the verifier forgets what was found out of the packet so far, and follows the rest
    // once, whatever it was.
    let packet = as_written::same(packet);
    if policy.has(flag::OUTBOUND_OFF) {
        return passes(wanted);
    }
    if enforcing {
        // A bridge does not end the link of its listed systems.
        let on_link = local == LOCAL_SELF
            || !policy.has(flag::GATEWAY)
            || (policy.has(flag::BRIDGE) && !unlisted)
            || !essential::leaves_link(packet);
        let on_link = tables.opaque_answer(on_link);
        let needed = essential::of(packet);
        let needed = needed.filter(|reason| on_link || *reason != Reason::NeighbourDiscovery);
        if let Some(reason) = needed {
            // Whoever is not listed owes nobody an answer beyond the link.
            if reason == Reason::IcmpError && is_unlisted(policy, local) {
                return Verdict::of_service(Reason::UnlistedHost, wanted);
            }
            return Verdict::without_service(match reason {
                // A gateway tells either side of what it does not forward.
                Reason::IcmpError if local != LOCAL_SELF => about.reason(policy),
                reason => policy.essentials.judge(reason),
            });
        }
        let asks_all = dhcp::is_from_client(packet) && dhcp::is_to_all_servers(packet);
        if asks_all && (on_link || !unlisted) {
            return Verdict::without_service(policy.essentials.judge(Reason::DhcpRequest));
        }
    }
    let packet = as_written::same(packet);
    let pair = policy.pair(local, peer);
    let rights = policy.access(pair);
    let to_group = packet.destination.is_group(packet.family);
    if tables.opaque_answer(to_group) {
        // A group has asked for nothing, and answers nothing: no flow is looked for or noted.
        return match !enforcing || rights.outbound.contains(wanted) {
            true => passes(wanted).by_right(policy.rows(pair).outbound),
            false => refusal(policy, local, pair, Reason::OutboundNotAllowed, wanted),
        };
    }
    // A relay need not have the right at the address where it is answered, only within the site.
    if answers.a_relay() && rights.outbound.contains(ServiceClass::RELAYED) {
        let port = dhcp::server_port(packet.family);
        return passes(service_at(policy, packet, port));
    }
    let answered = answered_service(policy, packet);
    let packet = as_written::same(packet);
    let flow = flow_of(tables, packet);
    let packet = as_written::same(packet);
    let known = flow.as_ref().map(FlowSlot::load);
    let now = tables.now();
    // A tunnel is opened by its control connection, not by a right of its own. A connection outlives
    // the port that was handed out for it.
    let maybe = answers.any(Answers::MAYBE_CLIENT | Answers::MAYBE_SERVER);
    let outlives = (packet.protocol == Protocol::GRE || maybe)
        && known.is_some_and(|state| state.is_alive(packet.protocol, &policy.timeouts, now));
    let allowed = !enforcing
        || rights.outbound.contains(wanted)
        || outlives
        || answers.any(Answers::CLIENT | Answers::SERVER);
    // A word in any case, because one that is there only with a flow would share a register with a
    // pointer, which the verifier refuses. It follows the rest once, whatever the phase.
    let before = known.unwrap_or(FlowState::UNKNOWN);
    let before = before.opaque(|word| tables.opaque(word));
    let state = before
        .after_outbound(packet, now)
        .opaque(|word| tables.opaque(word));
    match flow {
        Some(flow) if allowed => flow.replace(before, state),
        // A flow without a right was opened under a policy that has changed since.
        _ => {
            if packet.protocol == Protocol::UDP && tftp::follows(tables, payload, packet) {
                return passes(answered);
            }
            // TCP needs no question: what is no bare SYN opens nothing at the other end.
            if may_answer(packet)
                && rights.inbound.contains(answered)
                && (answers.a_question() || !enforcing || packet.protocol == Protocol::TCP)
            {
                note_pptp(tables, packet);
                return passes(answered);
            }
            // Answers to what was refused on its way in do no harm, and say little.
            let opens = opens(packet);
            let service = if opens { wanted } else { answered };
            if !allowed && opens && answers.any(Answers::MAYBE_CLIENT) {
                return Verdict::without_service(Reason::RpcNotNamed);
            }
            if !allowed {
                let reason = Reason::OutboundNotAllowed;
                return refusal(policy, local, pair, reason, service);
            }
            if !opens {
                return passes(service);
            }
            open_flow(tables, packet, state);
        }
    }
    note_pptp(tables, packet);
    if packet.protocol == Protocol::UDP && packet.destination_port == tftp::PORT {
        tftp::note_request(tables, payload, packet);
    }
    match answers.any(Answers::SERVER) {
        true => passes(answered),
        false => passes(wanted).by_right(policy.rows(pair).outbound),
    }
}

/// [`judge`] for a packet of the fast path, which is no fragment, no essential, and to no group.
/// `None`: the slow path must decide, because DHCP, TFTP, PPTP or RPC need a look at more, or because
/// an answer needs a question.
#[inline(always)]
pub(super) fn judge_fast<'a, T: Tables, P: Payload + ?Sized, L3: Network<'a>, L4: Transport<'a>>(
    tables: &T,
    payload: &P,
    packet: &FastPacket<L3, L4>,
    local: u16,
    pair: Pair,
) -> Option<Verdict> {
    let policy = tables.policy();
    let (from, to) = (
        packet.transport.source_port(),
        packet.transport.destination_port(),
    );
    let tcp = L4::PROTOCOL == Protocol::TCP;
    let enforcing = policy.has(flag::OUTBOUND_ENFORCE);
    let needs_more = match tcp {
        true => from == PPTP || to == PPTP || rpc::may_concern(policy, from, to),
        false => enforcing || dhcp::may_concern(from, to) || to == tftp::PORT,
    };
    if needs_more || is_unlisted(policy, local) {
        return None;
    }
    let services = match tcp {
        true => &policy.tcp,
        false => &policy.udp,
    };
    let (wanted, answered) = (services[to as usize], services[from as usize]);
    let rights = policy.access(pair);
    if rpc::may_be_handed_out(policy, L4::PROTOCOL, &rights.outbound, wanted)
        || rpc::may_be_handed_out(policy, L4::PROTOCOL, &rights.inbound, answered)
    {
        return None;
    }
    if policy.has(flag::OUTBOUND_OFF) {
        return Some(passes(wanted));
    }
    let flags = packet.transport.flags();
    let begins = tcp && flags.is_bare_syn() && !flags.is_closing();
    // Nothing that was read is kept over the look-up: there is no room for it.
    let packet = *packet;
    let read_again = move || packet.again().to_packet();
    let by_right = |wanted| passes(wanted).by_right(policy.rows(pair).outbound);
    let is_allowed = |wanted| !enforcing || policy.access(pair).outbound.contains(wanted);
    // All within the branch: older verifiers must see that the flow is there.
    if !begins && let Some(flow) = tables.flow(|| FlowKey::of_outbound(&read_again())) {
        let packet = read_again();
        let wanted = services[packet.destination_port as usize];
        if is_allowed(wanted) {
            let before = flow.load();
            flow.replace(before, before.after_outbound(&packet, tables.now()));
            return Some(by_right(wanted));
        }
    }
    let packet = read_again();
    let (wanted, answered) = (
        services[packet.destination_port as usize],
        services[packet.source_port as usize],
    );
    let allowed = is_allowed(wanted);
    if !tcp && tftp::may_follow(payload, &packet) {
        return None;
    }
    if may_answer(&packet) && policy.access(pair).inbound.contains(answered) {
        return Some(passes(answered));
    }
    let opens = opens(&packet);
    let service = if opens { wanted } else { answered };
    if !allowed {
        let reason = Reason::OutboundNotAllowed;
        return Some(refusal(policy, local, pair, reason, service));
    }
    if !opens {
        return Some(passes(service));
    }
    tables.open_flow_apart(read_again);
    Some(by_right(wanted))
}

/// The flow that a packet belongs to, if there is one to look for.
#[inline(always)]
pub(super) fn flow_of<T: Tables>(tables: &T, packet: &Packet) -> Option<T::Flow> {
    match packet.protocol {
        // Whatever is known, a bare SYN begins anew: it is written without a look.
        Protocol::TCP if packet.tcp_flags.is_bare_syn() && !packet.tcp_flags.is_closing() => None,
        // Without an identifier, ICMP belongs to no flow.
        Protocol::ICMP | Protocol::ICMPV6 if !packet.is_echo_request() => None,
        _ => tables.flow_apart(packet),
    }
}

/// Not inlined: its part of the stack is then its own.
#[inline(never)]
pub(super) fn open_flow<T: Tables>(tables: &T, packet: &Packet, state: FlowState) {
    tables.open_flow(packet, false, state);
}

#[inline(always)]
const fn passes(service: ServiceClass) -> Verdict {
    Verdict::of_service(Reason::Outbound, service)
}

/// Whether a packet may be the answer of a service: a bare SYN is none, and of ICMP
/// only the echo reply.
#[inline(always)]
pub(super) const fn may_answer(packet: &Packet) -> bool {
    match packet.protocol {
        Protocol::TCP => !packet.tcp_flags.is_bare_syn(),
        Protocol::ICMP | Protocol::ICMPV6 => packet.is_echo_reply(),
        _ => true,
    }
}

/// Whether a packet of no known flow may write one: it opens something, or
/// belongs to a stream already under way.
#[inline(always)]
pub(super) const fn opens(packet: &Packet) -> bool {
    match packet.protocol {
        Protocol::TCP => !packet.tcp_flags.is_syn_ack() && !packet.tcp_flags.is_reset(),
        Protocol::ICMP | Protocol::ICMPV6 => packet.is_echo_request(),
        Protocol::IGMP => false,
        _ => true,
    }
}

/// Lets GRE in from the other end of a PPTP control connection (RFC 2637). Data
/// on it comes only after a handshake, which nobody forges from afar.
#[inline(always)]
pub(super) fn note_pptp<T: Tables>(tables: &T, packet: &Packet) {
    let control_data = packet.protocol == Protocol::TCP && packet.payload != 0;
    if control_data && (packet.source_port == PPTP || packet.destination_port == PPTP) {
        open_tunnel(tables, packet);
    }
}

/// Not inlined: its part of the stack is then its own.
#[inline(never)]
fn open_tunnel<T: Tables>(tables: &T, packet: &Packet) {
    let state = FlowState::new(Phase::Open, tables.now());
    tables.open_flow(packet, true, state);
}
