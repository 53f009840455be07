//! Everything that the tables must be able to name, whether or not it applies:
//! a drop is named also where no role of this host is concerned.

use super::handed_out::{dynamic_range, is_of_rpc, minus};
use super::rights::{asked_by_relays, may_reach_many};
use super::services::{Classes, Entry};
use super::{SitePolicy, Target};
use crate::catalog::{PortSetting, Service};
use crate::site::Site;
use sccm_common::service::ServiceSet;
use std::collections::{HashMap, HashSet};

/// The service that brings the IPsec protocols with it.
const IKE: &str = "ike";

/// The named targets of the catalog and of a site's rules.
pub(super) struct Vocabulary {
    entries: Vec<Entry>,
    by_target: HashMap<Target, Vec<usize>>,
}

impl Vocabulary {
    /// What a policy and its catalog speak of.
    pub(crate) fn of(policy: &SitePolicy) -> Self {
        let mut entries: Vec<Entry> = Vec::new();
        let mut known = HashSet::new();
        let range = dynamic_range(&policy.site);
        let mut add = |name, target, ruled, of_rpc| {
            let entry = Entry {
                name,
                target,
                ruled,
                of_rpc,
            };
            if known.insert(entry.clone()) {
                entries.push(entry);
            }
        };
        let links = policy.site.catalog.all_links();
        for service in links.flat_map(|link| &link.services) {
            for (name, target) in rows(service, &policy.site) {
                add(name, target, None, is_of_rpc(service));
            }
        }
        if let Some((name, target)) = asked_by_relays(policy) {
            add(name.to_owned(), target, None, false);
        }
        for target in policy.publish.iter().flat_map(|one| &one.targets) {
            add(target.to_string(), target.clone(), None, false);
        }
        let mut rights = HashMap::new();
        let kinds = [&policy.allow, &policy.management, &policy.outbound_allow];
        for (kind, rules) in kinds.into_iter().enumerate() {
            for rule in rules {
                for target in &rule.targets {
                    let ends = (&rule.from, &rule.to, rule.internet);
                    let of_rpc = rule.tracked && *target == range;
                    let right = (kind, ends, may_reach_many(target), of_rpc);
                    let next = rights.len();
                    let right = *rights.entry(right).or_insert(next);
                    add(target.to_string(), target.clone(), Some(right), of_rpc);
                }
            }
        }
        let mut by_target: HashMap<_, Vec<_>> = HashMap::new();
        for (index, entry) in entries.iter().enumerate() {
            let known = by_target.entry(entry.target.clone());
            known.or_default().push(index);
        }
        Self { entries, by_target }
    }

    /// What [`services::classify`](super::services::classify) takes.
    pub(crate) fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// The classes of the RPC dynamic range that are no other service's.
    pub(crate) fn dynamic(&self, site: &Site, classes: &Classes) -> ServiceSet {
        let range = self.classes_of(&dynamic_range(site), classes);
        let entries = self.entries.iter().zip(&classes.of_entry);
        let services = entries.filter(|(entry, _)| !entry.of_rpc);
        let mut known = ServiceSet::default();
        let classes = services.flat_map(|(_, classes)| classes);
        classes.for_each(|class| known.insert(*class));
        minus(range, known)
    }

    /// Whether a target lies in the RPC dynamic range, and in no other service's.
    pub(crate) fn is_dynamic(&self, site: &Site, target: &Target) -> bool {
        let mut services = self.entries.iter().filter(|entry| !entry.of_rpc);
        dynamic_range(site).covers(target) && !services.any(|entry| entry.target.meets(target))
    }

    /// The classes that make up a target.
    pub(crate) fn classes_of(&self, target: &Target, classes: &Classes) -> ServiceSet {
        let mut set = ServiceSet::default();
        for entry in self.by_target.get(target).into_iter().flatten() {
            let classes = classes.of_entry[*entry].iter();
            classes.for_each(|class| set.insert(*class));
        }
        set
    }
}

/// What a port is called. A port that WSUS has for itself is no other web server's.
fn name_of(service: &Service, target: &Target, site: &Site) -> String {
    let shared = match service.port_from {
        Some(PortSetting::WsusHttp) => site.http.http().get(),
        Some(PortSetting::WsusHttps) => site.http.https().get(),
        _ => return service.service.clone(),
    };
    match *target == Target::Tcp(shared..=shared) {
        true => service.service.clone(),
        false => format!("wsus-{}", service.service),
    }
}

/// A row of the catalog as named targets: its own, and what cannot do without it.
pub(super) fn rows(service: &Service, site: &Site) -> Vec<(String, Target)> {
    let own = Target::of_service(service, site).into_iter();
    let mut rows: Vec<_> = own
        .map(|target| (name_of(service, &target, site), target))
        .collect();
    rows.extend(companions(service));
    rows
}

/// What a row of the catalog cannot do without, and does not list.
pub(crate) fn companions(service: &Service) -> Vec<(String, Target)> {
    if service.service != IKE {
        return Vec::new();
    }
    // IKE only negotiates (RFC 7296, 2.23; RFC 4303; RFC 4302).
    vec![
        ("ipsec-nat-traversal".to_owned(), Target::Udp(4500..=4500)),
        ("esp".to_owned(), Target::Protocol(50)),
        ("ah".to_owned(), Target::Protocol(51)),
    ]
}
