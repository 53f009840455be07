//! Inbound: what peers send to the protected system.

use super::icmp_error::About;
use super::questions::Answers;
use super::{
    Tables, Verdict, answered_service, dhcp, essential, is_unlisted, later_fragment, refusal, rpc,
    service_at,
};
use crate::address::LOCAL_SELF;
use crate::cursor::Payload;
use crate::flow::{FlowKey, FlowSlot};
use crate::packet::{Fragment, Packet, Protocol};
use crate::policy::{Pair, flag};
use crate::probe;
use crate::reason::Reason;
use crate::tftp;
use crate::wire::fast::{FastPacket, Network, Transport};

/// Asks in this order: is it an essential, may the peer use the service, is it an answer to
/// something that the protected system opened. `answers`: what it answers that was asked of DHCP.
/// `about`: what it quotes, if it is an ICMP error.
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
    if packet.fragment == Fragment::Later {
        return Verdict::without_service(later_fragment(tables, packet));
    }
    let policy = tables.policy();
    if let Some(reason) = essential::of(packet) {
        return Verdict::without_service(match reason {
            Reason::IcmpError if about == About::FLOW => Reason::IcmpErrorRelated,
            Reason::IcmpError => about.reason(policy),
            reason => policy.essentials.judge(reason),
        });
    }
    if answers.a_question() {
        return Verdict::without_service(policy.essentials.judge(Reason::DhcpReply));
    }
    let service = service_at(policy, packet, packet.destination_port);
    let pair = policy.pair(local, peer);
    if policy.access(pair).inbound.contains(service) {
        if packet.protocol == Protocol::UDP && packet.destination_port == tftp::PORT {
            tftp::note_request(tables, payload, packet);
        }
        return Verdict::of_service(Reason::Service, service).by_right(policy.rows(pair).inbound);
    }
    if answers.any(Answers::CLIENT) {
        return Verdict::of_service(Reason::Service, service).by_right(policy.rows(pair).inbound);
    }
    if tables.answers_apart(packet, true) || tftp::follows(tables, payload, packet) {
        return Verdict::of_service(Reason::Reply, answered_service(policy, packet));
    }
    if answers.a_relay() {
        return Verdict::without_service(policy.essentials.judge(Reason::DhcpReply));
    }
    if is_probe(tables, packet, local, pair) {
        return Verdict::without_service(Reason::Probe);
    }
    if answers.any(Answers::MAYBE_CLIENT) {
        return Verdict::without_service(Reason::RpcNotNamed);
    }
    refusal(policy, local, pair, Reason::NotAllowed, service)
}

/// Whether a packet that would be refused may find out whether the protected system knows the stream
/// that it is from.
#[inline(always)]
fn is_probe<T: Tables>(tables: &T, packet: &Packet, local: u16, pair: Pair) -> bool {
    let policy = tables.policy();
    let may_be = probe::may_be(packet)
        && policy.probes(|| tables.now())
        && local != LOCAL_SELF
        && !is_unlisted(policy, local);
    let service = answered_service(policy, packet);
    let may_have_opened =
        !policy.has(flag::OUTBOUND_ENFORCE) || policy.access(pair).outbound.contains(service);
    tables.opaque_answer(may_be && may_have_opened) && tables.may_probe(&packet.source)
}

/// [`judge`] for a packet of the fast path, which is no fragment, and an essential at most by its
/// port. `None`: the slow path must decide, because DHCP or TFTP need a look at more, or because
/// something must be noted.
#[inline(always)]
pub(super) fn judge_fast<'a, T: Tables, P: Payload + ?Sized, L3: Network<'a>, L4: Transport<'a>>(
    tables: &T,
    payload: &P,
    packet: &FastPacket<L3, L4>,
    local: u16,
    pair: Pair,
) -> Option<Verdict> {
    let policy = tables.policy();
    let port = packet.transport.destination_port();
    let udp = L4::PROTOCOL == Protocol::UDP;
    if udp && (dhcp::may_answer(packet.transport.source_port(), port) || port == tftp::PORT) {
        return None;
    }
    let service = match udp {
        true => policy.udp[port as usize],
        false => policy.tcp[port as usize],
    };
    if policy.access(pair).inbound.contains(service) {
        // The slow path notes the question.
        if udp && policy.has(flag::OUTBOUND_ENFORCE) {
            return None;
        }
        // So does what is asked of the mapper.
        if !udp && rpc::may_concern(policy, packet.transport.source_port(), port) {
            return None;
        }
        let verdict = Verdict::of_service(Reason::Service, service);
        return Some(verdict.by_right(policy.rows(pair).inbound));
    }
    // The slow path knows what was handed out.
    let rights = &policy.access(pair).inbound;
    if rpc::may_be_handed_out(policy, L4::PROTOCOL, rights, service) {
        return None;
    }
    // It reads the mapper's answers, too.
    if !udp && rpc::may_concern(policy, packet.transport.source_port(), port) {
        return None;
    }
    let refused = || Some(refusal(policy, local, pair, Reason::NotAllowed, service));
    // Decided before the addresses are read.
    if packet.transport.flags().is_bare_syn() {
        return refused();
    }
    // Nothing that was read is kept over the look-up: there is no room for it.
    let read_again = || packet.again().to_packet();
    let is_answer = answers(tables, read_again, true);
    let packet = read_again();
    if is_answer {
        let service = answered_service(policy, &packet);
        return Some(Verdict::of_service(Reason::Reply, service));
    }
    if udp && tftp::may_follow(payload, &packet) {
        return None;
    }
    // The slow path counts it.
    if probe::may_be(&packet) && policy.probes(|| tables.now()) {
        return None;
    }
    refused()
}

/// Whether a packet is an answer in a flow that the protected system opened. If it `writes`, it keeps
/// the flow alive, or closes it.
#[inline(always)]
pub fn answers<T: Tables>(tables: &T, packet: impl Fn() -> Packet, writes: bool) -> bool {
    let protocol = packet().protocol;
    // A bare SYN opens, and so never answers; of ICMP only the echo reply answers.
    let may_answer = match protocol {
        Protocol::TCP => !packet().tcp_flags.is_bare_syn(),
        Protocol::ICMP | Protocol::ICMPV6 => packet().is_echo_reply(),
        _ => true,
    };
    if !may_answer {
        return false;
    }
    let Some(flow) = tables.flow(|| FlowKey::of_inbound(&packet())) else {
        return false;
    };
    let now = tables.now();
    let state = flow.load();
    if !state.is_alive(protocol, &tables.policy().timeouts, now) {
        return false;
    }
    if writes {
        flow.replace(state, state.after_inbound(&packet(), now));
    }
    true
}
