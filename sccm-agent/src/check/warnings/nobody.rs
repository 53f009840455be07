//! Addresses that no system has, as peers, as protected systems, or as sources of rules.

use super::Warning;
use crate::check::rows::View;
use ipnet::IpNet;
use std::net::IpAddr;

pub(super) fn find(view: &View<'_>) -> Vec<Warning> {
    let policy = view.policy;
    let peers = policy.peers.iter().flatten();
    let peers = peers.map(|(role, list)| (format!("[peers] {role}"), list));
    let protect = policy.protect.iter();
    let protect = protect.map(|entry| (format!("`{}`", entry.name), &entry.addresses));
    let rules = policy
        .rules()
        .map(|rule| (format!("rule `{}`", rule.name), &rule.from));
    let lists = peers.chain(protect).chain(rules);
    let found = lists.flat_map(|(who, list)| {
        let nobodies = list.iter().filter_map(|prefix| Some((prefix, of(prefix)?)));
        let nobodies: Vec<_> = nobodies.collect();
        nobodies.into_iter().map(move |(prefix, what)| Warning {
            kind: "address-of-nobody",
            links: Vec::new(),
            message: format!(
                "{who} has {prefix}: {what}, so no system has it, and no packet is from there"
            ),
        })
    });
    found.collect()
}

/// What all addresses of a prefix are, if no system has any.
fn of(prefix: &IpNet) -> Option<&'static str> {
    let first = prefix.network();
    let within = |text: &str| text.parse().is_ok_and(|net: IpNet| net.contains(prefix));
    match first {
        _ if first.is_multicast() && prefix.broadcast().is_multicast() => Some("it is multicast"),
        IpAddr::V4(_) if within("255.255.255.255/32") => Some("it is broadcast"),
        IpAddr::V4(_) if within("0.0.0.0/8") => Some("it is \"this network\" (RFC 1122)"),
        IpAddr::V6(_) if within("::ffff:0.0.0.0/96") => {
            Some("it is IPv4-mapped: write the IPv4 address")
        }
        IpAddr::V6(_) if within("::/128") => Some("it is the unspecified address"),
        _ => None,
    }
}
