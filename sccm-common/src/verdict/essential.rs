//! Which packets are essentials, by what they are rather than whom they serve.

use crate::address::Family;
use crate::packet::{Fragment, Packet, Protocol};
use crate::reason::Reason;

mod icmp {
    pub(crate) const UNREACHABLE: u8 = 3;
    pub(crate) const TIME_EXCEEDED: u8 = 11;
    pub(crate) const PARAMETER_PROBLEM: u8 = 12;
}

mod icmpv6 {
    pub(crate) const FIRST_ERROR: u8 = 1;
    pub(crate) const LAST_ERROR: u8 = 4;
    pub(crate) const LISTENER_QUERY: u8 = 130;
    pub(crate) const LISTENER_DONE: u8 = 132;
    pub(crate) const ROUTER_SOLICITATION: u8 = 133;
    pub(crate) const NEIGHBOUR_ADVERTISEMENT: u8 = 136;
    pub(crate) const LISTENER_REPORT_V2: u8 = 143;
    /// Multicast router discovery (RFC 4286), which IPv4 has within IGMP.
    pub(crate) const ROUTER_ADVERTISEMENT: u8 = 151;
    pub(crate) const ROUTER_TERMINATION: u8 = 153;
}

/// Whether a packet is an ICMP error. Later fragments have no type, and are none.
#[inline(always)]
pub const fn is_icmp_error(packet: &Packet) -> bool {
    !matches!(packet.fragment, Fragment::Later)
        && is_error(packet.family, packet.protocol, packet.icmp_type)
}

/// Whether a message of this type is an ICMP error. (Type 0 of each family is none.)
#[inline(always)]
pub(super) const fn is_error(family: Family, protocol: Protocol, icmp_type: u8) -> bool {
    match (family, protocol) {
        (Family::V4, Protocol::ICMP) => matches!(
            icmp_type,
            icmp::UNREACHABLE | icmp::TIME_EXCEEDED | icmp::PARAMETER_PROBLEM
        ),
        (Family::V6, Protocol::ICMPV6) => {
            matches!(icmp_type, icmpv6::FIRST_ERROR..=icmpv6::LAST_ERROR)
        }
        _ => false,
    }
}

/// Whether a packet of a system behind a gateway would go beyond that system's link, although only a
/// link needs it: neighbour discovery, and questions of DHCPv6. Those of IPv4 do not get that far.
#[inline(always)]
pub(super) const fn leaves_link(packet: &Packet) -> bool {
    matches!(packet.family, Family::V6) && !packet.destination.stays_on_link_v6()
}

/// The essential that a packet is, or the forgery of one; `None` for others.
#[inline(always)]
pub(super) fn of(packet: &Packet) -> Option<Reason> {
    if is_error(packet.family, packet.protocol, packet.icmp_type) {
        return Some(Reason::IcmpError);
    }
    match (packet.family, packet.protocol) {
        (Family::V6, Protocol::ICMPV6) => match packet.icmp_type {
            icmpv6::ROUTER_SOLICITATION..=icmpv6::NEIGHBOUR_ADVERTISEMENT => {
                // A router forwards no hop limit of 255, so the sender is on the link.
                let genuine = packet.hop_limit == 255 && packet.fragment == Fragment::Whole;
                Some(if genuine {
                    Reason::NeighbourDiscovery
                } else {
                    Reason::NeighbourDiscoveryForged
                })
            }
            icmpv6::LISTENER_QUERY..=icmpv6::LISTENER_DONE
            | icmpv6::LISTENER_REPORT_V2
            | icmpv6::ROUTER_ADVERTISEMENT..=icmpv6::ROUTER_TERMINATION => {
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
        (Family::V4, Protocol::IGMP) => {
            // Version 1 has no router-alert option, so the TTL must do.
            let genuine = packet.hop_limit == 1 && packet.destination.is_multicast(packet.family);
            Some(if genuine {
                Reason::Igmp
            } else {
                Reason::MembershipForged
            })
        }
        _ => None,
    }
}
