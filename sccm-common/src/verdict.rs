//! The decision: a pure function of a packet, the tables and the clock.
//!
//! Inbound: essentials, then the access bit of the packet's service and peer,
//! then the flows that the protected system opened; otherwise the packet is
//! dropped. Outbound: everything passes, and what opens a flow is noted.

use crate::address::{self, CLASS_ANY, Entry, Family};
use crate::cursor::Cursor;
use crate::flow::{FlowKey, FlowSlot, FlowState, Phase};
use crate::packet::{Fragment, Packet, Protocol};
use crate::policy::{Policy, flag};
use crate::reason::Reason;
use crate::service::ServiceClass;
use crate::wire;

/// What the decision reads, and the one thing that it writes: the kernel's maps,
/// or their like in a test.
pub trait Tables {
    /// Where the state of a flow is kept.
    type Flow: FlowSlot;

    /// The active policy. It stays the same one during a decision.
    fn policy(&self) -> &Policy;
    /// The entry of the active root for the first 16 bits of an address.
    fn root_entry(&self, family: Family, first: u16) -> Option<Entry>;
    /// An entry of a chunk.
    fn chunk_entry(&self, chunk: u32, byte: u8) -> Option<Entry>;
    /// The state of a flow, if it is known.
    fn flow(&self, key: &FlowKey) -> Option<Self::Flow>;
    /// Remembers a flow.
    fn open_flow(&self, key: &FlowKey, state: FlowState);
    /// Seconds since boot.
    fn now(&self) -> u32;
}

/// How a packet ended, and the service that it spoke of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Verdict {
    /// Why it passed or was dropped.
    pub reason: Reason,
    /// What it wanted; [`ServiceClass::NONE`] where the reason says it all.
    pub service: ServiceClass,
}

impl Verdict {
    /// A packet that ended before its service was known.
    #[inline(always)]
    const fn without_service(reason: Reason) -> Self {
        Self {
            reason,
            service: ServiceClass::NONE,
        }
    }
}

mod icmp {
    pub const UNREACHABLE: u8 = 3;
    pub const TIME_EXCEEDED: u8 = 11;
    pub const PARAMETER_PROBLEM: u8 = 12;
}

mod icmpv6 {
    pub const FIRST_ERROR: u8 = 1;
    pub const LAST_ERROR: u8 = 4;
    pub const LISTENER_QUERY: u8 = 130;
    pub const LISTENER_DONE: u8 = 132;
    pub const ROUTER_SOLICITATION: u8 = 133;
    pub const NEIGHBOUR_ADVERTISEMENT: u8 = 136;
    pub const LISTENER_REPORT_V2: u8 = 143;
}

mod dhcp {
    pub const SERVER: u16 = 67;
    pub const CLIENT: u16 = 68;
    pub const SERVER_V6: u16 = 547;
    pub const CLIENT_V6: u16 = 546;
}

/// Judges a frame that arrives for the protected system.
#[inline(always)]
pub fn inbound<T: Tables, C: Cursor>(tables: &T, cursor: &mut C) -> Verdict {
    let policy = tables.policy();
    let packet = match wire::parse(cursor) {
        Ok(packet) => packet,
        Err(reason) => return Verdict::without_service(link_or_malformed(policy, reason)),
    };
    if packet.fragment == Fragment::Later {
        let reason = if policy.has(flag::PASS_LATER_FRAGMENTS) {
            Reason::LaterFragment
        } else {
            Reason::LaterFragmentRefused
        };
        return Verdict::without_service(reason);
    }
    if let Some(reason) = essential(&packet) {
        return Verdict::without_service(policy.essentials.judge(reason));
    }
    let service = service_at(policy, &packet, packet.destination_port);
    let peer = peer_class(tables, packet.family, &packet.source);
    if policy.inbound_services(peer).contains(service) {
        return Verdict {
            reason: Reason::Service,
            service,
        };
    }
    if is_reply(tables, &packet) {
        let service = service_at(policy, &packet, packet.source_port);
        return Verdict {
            reason: Reason::Reply,
            service,
        };
    }
    Verdict {
        reason: Reason::NotAllowed,
        service,
    }
}

/// Notes what a frame that leaves the protected system opens; it always passes.
#[inline(always)]
pub fn outbound<T: Tables, C: Cursor>(tables: &T, cursor: &mut C) -> Verdict {
    let policy = tables.policy();
    let Ok(packet) = wire::parse(cursor) else {
        return Verdict::without_service(Reason::Outbound);
    };
    if packet.fragment == Fragment::Later {
        return Verdict::without_service(Reason::Outbound);
    }
    let key = FlowKey::of_outbound(&packet);
    let flow = tables.flow(&key);
    let current = flow.as_ref().map(|flow| flow.load().phase());
    let phase = Phase::after_outbound(current, packet.protocol, packet.tcp_flags);
    let port = match flow {
        Some(flow) => {
            flow.note(FlowState::new(phase, tables.now()));
            packet.destination_port
        }
        None if opens_flow(tables, &packet) => {
            tables.open_flow(&key, FlowState::new(phase, tables.now()));
            packet.destination_port
        }
        None => packet.source_port,
    };
    Verdict {
        reason: Reason::Outbound,
        service: service_at(policy, &packet, port),
    }
}

/// The fate of a frame without a parsed IP packet.
#[inline(always)]
fn link_or_malformed(policy: &Policy, reason: Reason) -> Reason {
    match reason {
        Reason::EthertypeRefused if policy.has(flag::PASS_OTHER_ETHERTYPES) => {
            Reason::OtherEthertype
        }
        _ => policy.essentials.judge(reason),
    }
}

/// The essential that a packet is, or the forgery of one; `None` for others.
#[inline(always)]
fn essential(packet: &Packet) -> Option<Reason> {
    match packet.protocol {
        Protocol::ICMP => matches!(
            packet.icmp_type,
            icmp::UNREACHABLE | icmp::TIME_EXCEEDED | icmp::PARAMETER_PROBLEM
        )
        .then_some(Reason::IcmpError),
        Protocol::ICMPV6 => match packet.icmp_type {
            icmpv6::FIRST_ERROR..=icmpv6::LAST_ERROR => Some(Reason::IcmpError),
            icmpv6::ROUTER_SOLICITATION..=icmpv6::NEIGHBOUR_ADVERTISEMENT => {
                // A router forwards no hop limit of 255, so the sender is on the link.
                let genuine = packet.hop_limit == 255 && packet.fragment == Fragment::Whole;
                Some(if genuine {
                    Reason::NeighbourDiscovery
                } else {
                    Reason::NeighbourDiscoveryForged
                })
            }
            icmpv6::LISTENER_QUERY..=icmpv6::LISTENER_DONE | icmpv6::LISTENER_REPORT_V2 => {
                let genuine = packet.hop_limit == 1
                    && packet.has_options
                    && packet.source.is_link_local_or_unspecified_v6();
                Some(if genuine {
                    Reason::Mld
                } else {
                    Reason::MembershipForged
                })
            }
            _ => None,
        },
        Protocol::IGMP => {
            // Version 1 has no router-alert option, so the TTL must do.
            let genuine = packet.hop_limit == 1 && packet.destination.is_multicast(packet.family);
            Some(if genuine {
                Reason::Igmp
            } else {
                Reason::MembershipForged
            })
        }
        Protocol::UDP => matches!(
            (packet.family, packet.source_port, packet.destination_port),
            (Family::V4, dhcp::SERVER, dhcp::CLIENT)
                | (Family::V6, dhcp::SERVER_V6, dhcp::CLIENT_V6)
        )
        .then_some(Reason::DhcpReply),
        _ => None,
    }
}

/// The service that a packet speaks of, were `port` the server's.
#[inline(always)]
fn service_at(policy: &Policy, packet: &Packet, port: u16) -> ServiceClass {
    match packet.protocol {
        Protocol::TCP => policy.tcp[port as usize],
        Protocol::UDP => policy.udp[port as usize],
        Protocol::ICMP => policy.icmp[packet.icmp_type as usize],
        Protocol::ICMPV6 => policy.icmpv6[packet.icmp_type as usize],
        protocol => policy.protocol[protocol.0 as usize],
    }
}

#[inline(always)]
fn peer_class<T: Tables>(tables: &T, family: Family, address: &crate::Address) -> u16 {
    if tables.policy().has(flag::PEERS) {
        address::classify(tables, family, address)
    } else {
        CLASS_ANY
    }
}

/// Whether an arriving packet answers a flow that the protected system opened;
/// it keeps the flow alive, or closes it.
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
    flow.note(FlowState::new(
        state.phase().after_inbound(packet.tcp_flags),
        now,
    ));
    true
}

/// Whether a leaving packet of no known flow writes one: it opens something, or
/// belongs to a stream already under way. The answer of a service that its peer
/// may use writes none: its requests come in by the access bit, and whoever
/// forges requests must not fill the table.
#[inline(always)]
fn opens_flow<T: Tables>(tables: &T, packet: &Packet) -> bool {
    match packet.protocol {
        Protocol::TCP if packet.tcp_flags.is_bare_syn() => return true,
        Protocol::TCP if packet.tcp_flags.is_syn_ack() || packet.tcp_flags.is_reset() => {
            return false;
        }
        Protocol::ICMP => return packet.icmp_type == wire::transport::ICMP_ECHO,
        Protocol::ICMPV6 => return packet.icmp_type == wire::transport::ICMPV6_ECHO,
        Protocol::IGMP => return false,
        _ => {}
    }
    let policy = tables.policy();
    let peer = peer_class(tables, packet.family, &packet.destination);
    let answered = service_at(policy, packet, packet.source_port);
    !policy.inbound_services(peer).contains(answered)
}
