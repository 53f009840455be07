//! Sources that nobody has where a packet comes in.

use std::net::IpAddr;

use ipnet::IpNet;
use sccm_common::Reason;

use super::parse::{Part, Seen};
use super::{Oracle, essential};
use crate::case::Spot;

impl Oracle<'_> {
    /// Whether the source of a packet that comes in is a lie by its side alone.
    pub(super) fn is_spoofed(&self, place: Spot, packet: &Seen<'_>) -> bool {
        let source = packet.source;
        if covers(&self.setting.document.site.pass_sources, source) {
            return false;
        }
        let nobody = stands_for_nobody(source) || self.is_own(source);
        let outside = place != Spot::Segment && self.is_behind(source);
        (nobody || outside) && !is_needed(packet)
    }

    /// Whether a protected system with this address is behind this machine.
    fn is_behind(&self, source: IpAddr) -> bool {
        let machine = &self.setting.machine;
        let protect = || self.setting.document.protect.iter();
        let lists = |here: bool| {
            let mut entries = protect().filter(|entry| entry.elsewhere != here);
            entries.any(|entry| covers(&entry.addresses, source))
        };
        // On a bridge the policy says who is behind it. The networks of links are on both sides.
        let link_local = |prefix: &IpNet| match prefix {
            IpNet::V4(_) => false,
            IpNet::V6(v6) => v6.addr().is_unicast_link_local() && v6.prefix_len() < 128,
        };
        let mut here = protect()
            .filter(|entry| !entry.elsewhere)
            .flat_map(|entry| &entry.addresses);
        if machine.is_bridge && here.any(|one| one.contains(&source) && !link_local(one)) {
            return true;
        }
        let has_rest = protect().any(|entry| entry.addresses.is_empty());
        let is_protected = lists(true) || has_rest && !lists(false);
        is_protected && self.is_routed_to_segment(source)
    }

    /// By the route with the longest prefix; by any of several.
    fn is_routed_to_segment(&self, source: IpAddr) -> bool {
        if matches!(source, IpAddr::V6(source) if source.is_unicast_link_local()) {
            return false;
        }
        let routes = self.setting.machine.routes.iter();
        let best = routes
            .filter(|(prefix, _)| prefix.contains(&source))
            .max_by_key(|(prefix, behind)| (prefix.prefix_len(), *behind));
        best.is_some_and(|(_, behind)| *behind)
    }

    /// Of this machine, or of a network that it is in.
    fn is_own(&self, source: IpAddr) -> bool {
        let machine = &self.setting.machine;
        let broadcast = |broadcast| IpAddr::V4(broadcast) == source;
        machine.own.contains(&source) || machine.broadcasts.iter().copied().any(broadcast)
    }
}

fn covers(prefixes: &[IpNet], address: IpAddr) -> bool {
    prefixes.iter().any(|prefix| prefix.contains(&address))
}

/// Loopback, multicast, broadcast, 0.0.0.0/8, `::`, 240.0.0.0/4, IPv4-mapped.
fn stands_for_nobody(source: IpAddr) -> bool {
    match source {
        IpAddr::V4(source) => {
            let first = source.octets()[0];
            first == 0 || source.is_loopback() || source.is_multicast() || first >= 240
        }
        IpAddr::V6(source) => {
            source.is_unspecified()
                || source.is_loopback()
                || source.is_multicast()
                || source.to_ipv4_mapped().is_some()
        }
    }
}

/// What DHCP (RFC 2131, 4.1), a proxy querier (RFC 4541, 2.1.1), and neighbour discovery and
/// listeners on a link (RFC 4861, RFC 3590) send without an address, or with one of the link.
fn is_needed(packet: &Seen<'_>) -> bool {
    if packet.part == Part::Later {
        return false;
    }
    let of_link = match packet.source {
        IpAddr::V4(source) => source.is_unspecified(),
        IpAddr::V6(source) => source.is_unspecified() || source.is_unicast_link_local(),
    };
    let genuine = [Reason::Igmp, Reason::Mld, Reason::NeighbourDiscovery];
    let asks_for_address = packet.is_v4() && essential::is_from_dhcp_client(packet);
    let is_genuine = essential::of(packet).is_some_and(|reason| genuine.contains(&reason));
    of_link && (asks_for_address || is_genuine)
}
