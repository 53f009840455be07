//! The decision, both ways.

use std::net::IpAddr;

use sccm_common::Reason;
use sccm_tests::reading::{Carrier, Outbound, Way};

use super::parse::{Part, Seen, Transport};
use super::quote::About;
use super::state::{Asker, Datagram, Flow, FlowState, Question, transaction};
use super::{End, Oracle, essential};

const GRE: u8 = 47;
const PPTP: u16 = 1723;

/// Seconds for which fragments follow.
pub(super) const REASSEMBLY: u64 = 30;

impl Oracle<'_> {
    /// Towards the protected end `local`.
    pub(super) fn inbound(&mut self, packet: &Seen<'_>, local: Option<IpAddr>) -> End {
        let end = self.enters_or_answers(packet, local);
        self.hear(packet, Way::In, local, end.0);
        end
    }

    fn enters_or_answers(&mut self, packet: &Seen<'_>, local: Option<IpAddr>) -> End {
        if packet.part == Part::Later {
            return self.later(packet);
        }
        match essential::of(packet) {
            Some(Reason::IcmpError) => {
                return match self.about_sent(packet, local) {
                    About::Flow => (Reason::IcmpErrorRelated, None),
                    about => (self.icmp_error(about), None),
                };
            }
            Some(reason) => return (self.unless_removed(reason), None),
            None => {}
        }
        if essential::is_to_dhcp_client(packet) && self.answers_dhcp(packet) {
            return (self.unless_removed(Reason::DhcpReply), None);
        }
        let asked = asked(packet);
        let may_be_handed_out = self.may_be_handed_out(Way::In, local, packet.source, asked);
        let is_open = may_be_handed_out && self.uses_opening(packet, true);
        if self.rights.may(Way::In, local, packet.source, asked) {
            self.note_request(packet);
            if self.mode() == Outbound::Enforce {
                self.note_question(packet);
            }
            return (Reason::Service, Some(self.rights.name(asked)));
        }
        if is_open {
            return (Reason::Service, Some(self.rights.name(asked)));
        }
        if self.answers_a_flow(packet) || self.follows_transfer(packet) {
            return (Reason::Reply, Some(self.rights.name(answered(packet))));
        }
        if self.answers_a_relay(packet, self.asker(local)) {
            return (self.unless_removed(Reason::DhcpReply), None);
        }
        if self.is_probe(packet, local) {
            return (Reason::Probe, None);
        }
        if may_be_handed_out {
            return (Reason::RpcNotNamed, None);
        }
        self.refused(Reason::NotAllowed, local, asked)
    }

    /// Data from the middle of a stream, to a listed system behind a gateway that begins, which may have
    /// opened it.
    fn is_probe(&self, packet: &Seen<'_>, local: Option<IpAddr>) -> bool {
        let in_the_middle = matches!(
            packet.transport,
            Transport::Tcp {
                syn: false,
                ack: true,
                fin: false,
                rst: false,
                data: 1..,
                ..
            }
        );
        let may_have_opened = match self.mode() {
            Outbound::Off => false,
            Outbound::Track => true,
            Outbound::Enforce => {
                let what = answered(packet);
                self.rights.may(Way::Out, local, packet.source, what)
            }
        };
        self.setting.probing
            && self.setting.machine.is_gateway
            && matches!(packet.part, Part::Whole | Part::Atomic)
            && in_the_middle
            && may_have_opened
            && !self.rights.is_own(local)
            && !self.rights.is_unlisted(local)
    }

    /// From the protected end `local`.
    pub(super) fn outbound(&mut self, packet: &Seen<'_>, local: Option<IpAddr>) -> End {
        let end = self.opens_or_answers(packet, local);
        self.hear(packet, Way::Out, local, end.0);
        // Whoever may ask for an address is answered.
        if packet.part != Part::Later && end.0.passes() && essential::is_from_dhcp_client(packet) {
            if packet.is_v4() {
                self.ask(Question::Dhcp {
                    of_peer: false,
                    transaction: transaction(packet),
                });
            }
            self.ask(Question::DhcpBy(packet.source));
        }
        // Whoever may only ask for an address is no relay.
        if packet.part != Part::Later && end.0 == Reason::Outbound {
            self.note_relay(packet, self.asker(local));
        }
        end
    }

    /// Who a relay behind this machine is.
    fn asker(&self, local: Option<IpAddr>) -> Asker {
        match self.rights.is_own(local) {
            true => Asker::Gateway,
            false => Asker::Protected,
        }
    }

    fn opens_or_answers(&mut self, packet: &Seen<'_>, local: Option<IpAddr>) -> End {
        // Whoever is not listed may open nothing, also where others are only followed.
        let unlisted = self.rights.is_unlisted(local) && self.mode() != Outbound::Off;
        let enforce = self.mode() == Outbound::Enforce || unlisted;
        if packet.part == Part::Later {
            return match enforce {
                true => self.later(packet),
                false => (Reason::Outbound, None),
            };
        }
        let (asked, answered) = (asked(packet), answered(packet));
        let rights = self.rights;
        let passes = |what| (Reason::Outbound, Some(rights.name(what)));
        let peer = packet.destination;
        // What the mapper of either end has handed out, or may hand out.
        let to_handed = self.may_be_handed_out(Way::Out, local, peer, asked);
        let from_handed =
            is_answer(packet) && self.may_be_handed_out(Way::In, local, peer, answered);
        let opened = to_handed && self.uses_opening(packet, true);
        let serves = from_handed && self.uses_opening(packet, false);
        if self.mode() == Outbound::Off {
            return passes(asked);
        }
        if enforce {
            let own = self.rights.is_own(local);
            let beyond = self.goes_beyond_the_link(packet, local);
            match essential::of(packet) {
                Some(Reason::NeighbourDiscovery) if beyond => {}
                // A gateway tells of what it does not forward.
                Some(Reason::IcmpError) if !own => {
                    if self.rights.is_unlisted(local) {
                        return self.refused(Reason::UnlistedHost, local, asked);
                    }
                    return (self.icmp_error(self.about_received(packet)), None);
                }
                Some(reason) => return (self.unless_removed(reason), None),
                None => {}
            }
            let asks = essential::is_from_dhcp_client(packet);
            let stays = !(beyond && self.rights.is_unlisted(local));
            if asks && essential::is_to_dhcp_servers(packet) && stays {
                return (self.unless_removed(Reason::DhcpRequest), None);
            }
        }
        let may = |way, what| rights.may(way, local, packet.destination, what);
        if is_group(packet.destination) {
            // A group asked nothing and answers nothing.
            return match !enforce || may(Way::Out, asked) {
                true => passes(asked),
                false => self.refused(Reason::OutboundNotAllowed, local, asked),
            };
        }
        if enforce
            && self.mode() == Outbound::Enforce
            && self.answers_a_relay(packet, Asker::Peer)
            && !self.rights.is_unlisted(local)
            // Nobody sends in the name of a group.
            && !is_group(packet.source)
            && !self.rights.is_for_many(local)
            && self.rights.may_be_where_a_relay_is(packet.destination)
        {
            let port = if packet.is_v4() { 67 } else { 547 };
            return passes((Carrier::Udp, port));
        }
        let flow = flow_of(packet, packet.source, packet.destination, ends(packet));
        // A tunnel is opened by its control connection.
        let tunnel = packet.protocol == GRE && self.is_alive(&flow);
        let may_out = may(Way::Out, asked);
        // A connection outlives its opening.
        let outlives = (to_handed || from_handed) && !begins(packet) && self.is_alive(&flow);
        let allowed = !enforce || tunnel || may_out || opened || serves || outlives;
        // ICMP without an identifier belongs to no flow.
        let has_flow = match packet.transport {
            Transport::Control { .. } => !matches!(packet.protocol, 1 | 58) || opens(packet),
            _ => true,
        };
        let goes_on = !begins(packet) && has_flow && self.flows.contains_key(&flow);
        if !(goes_on && allowed) {
            let may_answer = may(Way::In, answered);
            if self.follows_transfer(packet) {
                return passes(answered);
            }
            if is_answer(packet) && may_answer && (!enforce || self.asked_for(packet)) {
                self.open_tunnel(packet);
                return passes(answered);
            }
            let what = if opens(packet) { asked } else { answered };
            if !allowed && to_handed && opens(packet) {
                return (Reason::RpcNotNamed, None);
            }
            if !allowed {
                return self.refused(Reason::OutboundNotAllowed, local, what);
            }
            if !opens(packet) {
                return passes(what);
            }
        }
        let before = self.flows.get(&flow).copied();
        let state = FlowState::after_own(before, packet.transport, self.now);
        self.flows.insert(flow, state);
        self.open_tunnel(packet);
        self.note_request(packet);
        passes(if serves { answered } else { asked })
    }

    /// Whether a router would send it on: then a system behind a gateway needs it for no link. To a
    /// listed system behind a bridge, all that the bridge joins is one link.
    fn goes_beyond_the_link(&self, packet: &Seen<'_>, local: Option<IpAddr>) -> bool {
        let machine = &self.setting.machine;
        let one_link = machine.is_bridge && !self.rights.is_unlisted(local);
        let IpAddr::V6(to) = packet.destination else {
            return false;
        };
        let of_link = match to.is_multicast() {
            true => to.octets()[1] & 0xf <= 2,
            false => to.is_unicast_link_local(),
        };
        machine.is_gateway && !self.rights.is_own(local) && !one_link && !of_link
    }

    fn later(&self, packet: &Seen<'_>) -> End {
        let first = self.firsts.get(&Datagram::of(packet));
        let first = first.filter(|(seen, _)| self.now - seen <= REASSEMBLY);
        let reason = if let Some((_, edge)) = first {
            match packet.edge < *edge {
                true => Reason::FragmentOverlap,
                false => Reason::FragmentFollows,
            }
        } else if self.setting.document.site.pass_orphan_fragments {
            Reason::LaterFragment
        } else {
            Reason::LaterFragmentRefused
        };
        (reason, None)
    }

    fn refused(&self, reason: Reason, local: Option<IpAddr>, what: (Carrier, u16)) -> End {
        let reason = match self.rights.is_unlisted(local) {
            true => Reason::UnlistedHost,
            false => reason,
        };
        (reason, Some(self.rights.name(what)))
    }

    /// Whether it answers a live flow, which then goes on or begins to end.
    fn answers_a_flow(&mut self, packet: &Seen<'_>) -> bool {
        let (from, to) = ends(packet);
        let flow = flow_of(packet, packet.destination, packet.source, (to, from));
        // Of ICMP, only an echo's answer belongs to a flow.
        let other_control = match packet.transport {
            Transport::Control { .. } => matches!(packet.protocol, 1 | 58) && !is_answer(packet),
            _ => false,
        };
        if is_bare_syn(packet) || other_control || !self.is_alive(&flow) {
            return false;
        }
        let Some(state) = self.flows.get_mut(&flow) else {
            return false;
        };
        *state = state.after_peer(packet.transport, self.now);
        true
    }

    /// Data on a PPTP control connection brings its tunnel.
    fn open_tunnel(&mut self, packet: &Seen<'_>) {
        let Transport::Tcp {
            ports, data: 1.., ..
        } = packet.transport
        else {
            return;
        };
        if ports.0 == PPTP || ports.1 == PPTP {
            let tunnel = Flow::new(packet.source, packet.destination, GRE, (0, 0));
            let state = FlowState {
                seen: self.now,
                ..FlowState::default()
            };
            self.flows.insert(tunnel, state);
        }
    }
}

/// What a packet wants, told by where it goes.
pub(super) fn asked(packet: &Seen<'_>) -> (Carrier, u16) {
    match packet.transport {
        Transport::Tcp { ports, .. } => (Carrier::Tcp, ports.1),
        Transport::Udp { ports, .. } => (Carrier::Udp, ports.1),
        Transport::Control { kind, .. } if packet.protocol == 1 && packet.is_v4() => {
            (Carrier::Icmp, kind.into())
        }
        Transport::Control { kind, .. } if packet.protocol == 58 && !packet.is_v4() => {
            (Carrier::Icmpv6, kind.into())
        }
        _ => (Carrier::Ip, packet.protocol.into()),
    }
}

/// What a packet would be the answer of, told by where it comes from.
fn answered(packet: &Seen<'_>) -> (Carrier, u16) {
    match (asked(packet), packet.transport) {
        (_, Transport::Tcp { ports, .. }) => (Carrier::Tcp, ports.0),
        (_, Transport::Udp { ports, .. }) => (Carrier::Udp, ports.0),
        ((Carrier::Icmp, 0), _) => (Carrier::Icmp, 8),
        ((Carrier::Icmpv6, 129), _) => (Carrier::Icmpv6, 128),
        (asked, _) => asked,
    }
}

/// The ports from and to. An echo goes to its identifier, and its answer comes from there.
pub(super) fn ends(packet: &Seen<'_>) -> (u16, u16) {
    match packet.transport {
        Transport::Tcp { ports, .. } | Transport::Udp { ports, .. } => ports,
        Transport::Control { kind, identifier } => match (packet.protocol, kind) {
            (1, 8) | (58, 128) => (0, identifier),
            (1, 0) | (58, 129) => (identifier, 0),
            _ => (0, 0),
        },
        Transport::Other => (0, 0),
    }
}

fn flow_of(packet: &Seen<'_>, local: IpAddr, peer: IpAddr, ports: (u16, u16)) -> Flow {
    Flow::new(local, peer, packet.protocol, ports)
}

fn is_bare_syn(packet: &Seen<'_>) -> bool {
    matches!(
        packet.transport,
        Transport::Tcp {
            syn: true,
            ack: false,
            ..
        }
    )
}

fn closes(packet: &Seen<'_>) -> bool {
    match packet.transport {
        Transport::Tcp { fin, rst, .. } => fin || rst,
        _ => false,
    }
}

/// Begins a connection anew, whatever is known of one.
fn begins(packet: &Seen<'_>) -> bool {
    is_bare_syn(packet) && !closes(packet)
}

/// Whether a rule may let it reach a group: no TCP, and no echo request.
pub(super) fn may_be_for_many(packet: &Seen<'_>) -> bool {
    match packet.transport {
        Transport::Tcp { .. } => false,
        Transport::Control { kind, .. } => !matches!((packet.protocol, kind), (1, 8) | (58, 128)),
        Transport::Udp { .. } | Transport::Other => true,
    }
}

/// Broadcast and multicast.
pub(super) fn is_group(address: IpAddr) -> bool {
    address.is_multicast() || address == IpAddr::from([255; 4])
}

fn is_answer(packet: &Seen<'_>) -> bool {
    match packet.transport {
        Transport::Udp { .. } => true,
        Transport::Tcp { .. } => !is_bare_syn(packet),
        Transport::Control { kind, .. } => match packet.protocol {
            1 => kind == 0,
            58 => kind == 129,
            _ => true,
        },
        Transport::Other => true,
    }
}

/// Whether it may begin a flow, or belongs to one that was there before the program.
fn opens(packet: &Seen<'_>) -> bool {
    match packet.transport {
        Transport::Tcp { syn, ack, rst, .. } => !(rst || syn && ack),
        Transport::Control { kind, .. } => match packet.protocol {
            1 => kind == 8,
            58 => kind == 128,
            _ => false,
        },
        Transport::Udp { .. } | Transport::Other => true,
    }
}
