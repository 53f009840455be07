//! Traffic without which the network breaks, and forgeries of it.

use std::net::IpAddr;

use sccm_common::Reason;

use super::Oracle;
use super::parse::{Part, Seen, Transport};

impl Oracle<'_> {
    /// The reason, unless it is an essential that the policy takes away. Questions of DHCP go
    /// with its answers.
    pub(super) fn unless_removed(&self, reason: Reason) -> Reason {
        let name = match reason {
            Reason::DhcpRequest => Reason::DhcpReply.label(),
            _ => reason.label(),
        };
        let without = &self.setting.document.site.without_essentials;
        match without.iter().any(|removed| removed == name) {
            true => Reason::EssentialRemoved,
            false => reason,
        }
    }
}

/// The essential that a packet is, or the forgery of one.
pub fn of(packet: &Seen<'_>) -> Option<Reason> {
    let Transport::Control { kind, .. } = packet.transport else {
        return None;
    };
    let genuine = |yes, reason, forged| Some(if yes { reason } else { forged });
    match (packet.protocol, packet.is_v4(), kind) {
        (1, true, 3 | 11 | 12) | (58, false, 1..=4) => Some(Reason::IcmpError),
        (58, false, 133..=136) => genuine(
            // Routers count it down, so 255 is from the link (RFC 4861); no fragments (RFC 6980).
            packet.hop_limit == 255 && packet.part == Part::Whole,
            Reason::NeighbourDiscovery,
            Reason::NeighbourDiscoveryForged,
        ),
        (58, false, 130..=132 | 143 | 151..=153) => genuine(
            // RFC 3810, 5: hop limit 1, a hop-by-hop header, a source of the link.
            packet.hop_limit == 1 && packet.has_options && is_of_link(packet.source),
            Reason::Mld,
            Reason::MembershipForged,
        ),
        (2, true, _) => genuine(
            packet.hop_limit == 1 && packet.destination.is_multicast(),
            Reason::Igmp,
            Reason::MembershipForged,
        ),
        _ => None,
    }
}

/// Whether it is from a DHCP server or a relay to a client.
pub fn is_to_dhcp_client(packet: &Seen<'_>) -> bool {
    match (packet.is_v4(), packet.transport) {
        (true, Transport::Udp { ports, .. }) => ports == (67, 68),
        // A server of DHCPv6 may answer from any port.
        (false, Transport::Udp { ports, .. }) => ports.1 == 546,
        _ => false,
    }
}

/// Whether it is from a DHCP client to a server.
pub fn is_from_dhcp_client(packet: &Seen<'_>) -> bool {
    match (packet.is_v4(), packet.transport) {
        (true, Transport::Udp { ports, .. }) => ports == (68, 67),
        (false, Transport::Udp { ports, .. }) => ports == (546, 547),
        _ => false,
    }
}

/// Whether it goes to every server of DHCP: to broadcast, or to the groups of RFC 8415, 7.1.
pub fn is_to_dhcp_servers(packet: &Seen<'_>) -> bool {
    match packet.destination {
        IpAddr::V4(destination) => destination.is_broadcast(),
        IpAddr::V6(destination) => ["ff02::1:2", "ff05::1:3"]
            .map(str::parse)
            .contains(&Ok(destination)),
    }
}

fn is_of_link(source: IpAddr) -> bool {
    match source {
        IpAddr::V4(_) => false,
        IpAddr::V6(source) => source.is_unspecified() || source.is_unicast_link_local(),
    }
}
