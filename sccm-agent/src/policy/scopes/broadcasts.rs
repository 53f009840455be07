//! Broadcast addresses of networks in which protected systems are, beyond the machine's own networks.

use super::super::{Cover, SitePolicy, Surroundings};
use ipnet::{IpNet, Ipv4Net};
use std::collections::BTreeSet;
use std::net::IpAddr;

/// Those that no entry of the policy covers. One that an entry covers may also be a system's, where
/// the entry lists some of a network's addresses by a prefix.
pub(super) fn unlisted(policy: &SitePolicy, machine: &Surroundings) -> Vec<IpNet> {
    let mut entries = policy.protect.iter();
    if entries.any(|entry| entry.addresses.is_empty()) {
        return Vec::new();
    }
    let entries = policy.protect.iter().flat_map(|entry| &entry.addresses);
    let listed: Vec<IpNet> = entries.copied().collect();
    let listed = Cover::of(&listed);
    let mut found: BTreeSet<IpNet> = machine
        .far_broadcasts
        .iter()
        .map(|address| IpNet::from(IpAddr::V4(*address)))
        .collect();
    // No route tells of what is behind a bridge.
    if machine.is_bridge {
        let around = named(policy).filter(|prefix| listed.touches(prefix));
        found.extend(around.filter_map(last));
    }
    found.retain(|address| !listed.has(address));
    found.into_iter().collect()
}

/// The prefixes of the policy that may be whole networks.
fn named(policy: &SitePolicy) -> impl Iterator<Item = &IpNet> {
    let peers = policy
        .peers
        .iter()
        .flat_map(|peers| peers.values().flatten());
    let rules = policy.allow.iter().chain(&policy.management);
    peers.chain(rules.flat_map(|rule| rule.from.iter().chain(&rule.to)))
}

/// The last address of a network that has one for all its systems (RFC 919; RFC 3021 of lines).
fn last(network: &IpNet) -> Option<IpNet> {
    match network {
        IpNet::V4(network) if (1..=30).contains(&network.prefix_len()) => {
            Some(IpNet::V4(Ipv4Net::from(network.broadcast())))
        }
        _ => None,
    }
}
