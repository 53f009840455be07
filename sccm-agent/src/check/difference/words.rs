//! Puts a difference between classes into the words of the candidate's file.

use super::Change;
use super::joint::Answer;
use crate::catalog::{Link, RoleId, Service};
use crate::check::rows::{Holders, Row, View};
use crate::policy::{Protected, Rule, ServiceNames, Target};
use ipnet::IpNet;
use sccm_common::address::LOCAL_SELF;
use std::net::IpAddr;
use std::ops::RangeInclusive;

/// What [`Change::systems`] says where the receivers are groups.
pub(super) const GROUPS: &str = "broadcast and multicast";

/// What is needed to name things.
pub(super) struct Words<'a> {
    view: &'a View<'a>,
    names: &'a ServiceNames,
    /// What links of the running roles open, inbound and outbound.
    live: [Vec<(&'a Link, &'a Service)>; 2],
}

impl<'a> Words<'a> {
    /// `roles` are those of the running policy, as `a,b`.
    pub(crate) fn new(view: &'a View<'a>, names: &'a ServiceNames, roles: &str) -> Self {
        let mut live = [Vec::new(), Vec::new()];
        let site = &view.policy.site;
        for role in roles.split(',').filter_map(|id| site.catalog.role(id).ok()) {
            let into = site.links_into(role);
            live[0].extend(into.map(|(link, _, service)| (link, service)));
            let out = site.links_out_of(role);
            live[1].extend(out.map(|(link, _, service)| (link, service)));
        }
        Self { view, names, live }
    }

    pub(crate) fn change(&self, answer: &Answer<'_>) -> Change {
        let entries = self.entries(answer);
        let service = self.names.get(answer.class);
        let service = service.map_or("unnamed", |name| name.service.as_str());
        Change {
            change: if answer.opens { "opens" } else { "closes" },
            if_handed_out: answer.if_handed_out,
            direction: if answer.inbound {
                "inbound"
            } else {
                "outbound"
            },
            systems: systems(answer, &entries),
            peers: self.peers(answer.peer),
            example: answer.peer.to_string(),
            service: service.to_owned(),
            protocol: answer.protocol,
            ports: ports(answer.ports),
            links: match answer.opens {
                true => self.opening(answer, &entries),
                false => self.closing(answer, service),
            },
        }
    }

    /// The entries of the candidate that a protected address belongs to.
    fn entries(&self, answer: &Answer<'_>) -> Vec<&'a Protected> {
        let protect = &self.view.policy.protect;
        if answer.local_class == LOCAL_SELF {
            return Vec::new();
        }
        if is_group(answer.local) {
            return protect.iter().collect();
        }
        let named: Vec<&Protected> = protect
            .iter()
            .filter(|entry| has(&entry.addresses, answer.local))
            .collect();
        match named.is_empty() {
            true => protect
                .iter()
                .filter(|entry| entry.addresses.is_empty())
                .collect(),
            false => named,
        }
    }

    fn peers(&self, peer: IpAddr) -> String {
        let Some(peers) = &self.view.policy.peers else {
            return "anybody".to_owned();
        };
        let holding = peers.iter().filter(|(_, list)| has(list, peer));
        let roles: Vec<&str> = holding.map(|(role, _)| RoleId::as_str(role)).collect();
        match (roles.is_empty(), is_group(peer)) {
            (false, _) => roles.join(", "),
            (true, true) => GROUPS.to_owned(),
            (true, false) => "without a role".to_owned(),
        }
    }

    /// What the candidate has that opens it.
    fn opening(&self, answer: &Answer<'_>, entries: &[&Protected]) -> Vec<String> {
        let rows = match answer.inbound {
            true => &self.view.inbound,
            false => &self.view.outbound,
        };
        let mut links = Vec::new();
        let mut add = |name: &String| {
            if !links.contains(name) {
                links.push(name.clone());
            }
        };
        let concerned = |row: &&Row<'_>| {
            entries.iter().any(|entry| std::ptr::eq(*entry, row.entry))
                && self.holds(row.peer, answer.peer)
                && (row.targets.iter().chain(&row.handed_out)).any(|target| among(target, answer))
        };
        rows.iter()
            .filter(concerned)
            .for_each(|row| add(&row.link.id));
        let rules = match (answer.inbound, answer.local_class == LOCAL_SELF) {
            (true, true) => &self.view.policy.management,
            (true, false) => &self.view.policy.allow,
            (false, _) => &self.view.policy.outbound_allow,
        };
        let matching = |rule: &&Rule| {
            let within = |list: &[IpNet], address| list.is_empty() || has(list, address);
            let (from, to) = match answer.inbound {
                true => (answer.peer, answer.local),
                false => (answer.local, answer.peer),
            };
            // As of a link to the Internet, it may be meant.
            let is_peer = |address| rule.internet && address == answer.peer;
            (within(&rule.from, from) || is_peer(from))
                && (within(&rule.to, to) || is_peer(to))
                && rule.targets.iter().any(|target| among(target, answer))
        };
        rules
            .iter()
            .filter(matching)
            .for_each(|rule| add(&rule.name));
        links
    }

    fn holds(&self, role: &str, peer: IpAddr) -> bool {
        match self.view.holders(role) {
            Holders::Anybody | Holders::Internet => true,
            Holders::Listed(_, cover) => cover.has(&IpNet::from(peer)),
            Holders::Nobody => false,
        }
    }

    /// The links of the running roles that name the service.
    fn closing(&self, answer: &Answer<'_>, name: &str) -> Vec<String> {
        let services: Vec<&str> = name.split('+').collect();
        let mut links: Vec<String> = Vec::new();
        for (link, service) in &self.live[usize::from(!answer.inbound)] {
            let named = services.contains(&service.service.as_str());
            if named && service.protocol.to_string() == answer.protocol && !links.contains(&link.id)
            {
                links.push(link.id.clone());
            }
        }
        links
    }
}

fn systems(answer: &Answer<'_>, entries: &[&Protected]) -> String {
    if answer.local_class == LOCAL_SELF {
        return "the gateway itself".to_owned();
    }
    if is_group(answer.local) {
        return GROUPS.to_owned();
    }
    if entries.is_empty() {
        return "not protected by the file".to_owned();
    }
    let names: Vec<&str> = entries.iter().map(|entry| entry.name.as_str()).collect();
    names.join(", ")
}

fn is_group(address: IpAddr) -> bool {
    address.is_multicast() || address == IpAddr::V4(std::net::Ipv4Addr::BROADCAST)
}

fn has(list: &[IpNet], address: IpAddr) -> bool {
    list.iter().any(|prefix| prefix.contains(&address))
}

/// Whether a target speaks of some of the ports of an answer.
fn among(target: &Target, answer: &Answer<'_>) -> bool {
    let (low, high) = match target {
        Target::Tcp(ports) | Target::Udp(ports) => (*ports.start(), *ports.end()),
        Target::Icmp(number) | Target::Icmpv6(number) | Target::Protocol(number) => {
            (u16::from(*number), u16::from(*number))
        }
    };
    let overlaps = |ports: &RangeInclusive<u16>| *ports.start() <= high && low <= *ports.end();
    target.protocol() == answer.protocol && answer.ports.iter().any(overlaps)
}

fn ports(ranges: &[RangeInclusive<u16>]) -> String {
    let text = |range: &RangeInclusive<u16>| match range.start() == range.end() {
        true => range.start().to_string(),
        false => format!("{}-{}", range.start(), range.end()),
    };
    ranges.iter().map(text).collect::<Vec<_>>().join(", ")
}
