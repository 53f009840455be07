//! Everything that the tables must be able to name, whether or not it applies:
//! a drop is named also where no role of this host is concerned.

use super::rights::asked_by_relays;
use super::services::{Classes, Entry};
use super::{SitePolicy, Target};
use crate::catalog::{PortSetting, Service};
use crate::site::Site;
use sccm_common::service::ServiceSet;

/// The service that brings the IPsec protocols with it.
const IKE: &str = "ike";

/// The named targets of the catalog and of a site's rules.
pub(super) struct Vocabulary(Vec<Entry>);

impl Vocabulary {
    /// What a policy and its catalog speak of.
    pub(crate) fn of(policy: &SitePolicy) -> Self {
        let mut entries: Vec<Entry> = Vec::new();
        let mut add = |entry: Entry| {
            if !entries.contains(&entry) {
                entries.push(entry);
            }
        };
        for service in policy
            .site
            .catalog
            .links
            .iter()
            .flat_map(|link| &link.services)
        {
            for (name, target) in rows(service, &policy.site) {
                add(Entry { name, target });
            }
        }
        if let Some((name, target)) = asked_by_relays(policy) {
            let name = name.to_owned();
            add(Entry { name, target });
        }
        let rules = policy.allow.iter().chain(&policy.management);
        let published = policy.publish.iter().flat_map(|one| &one.targets);
        for target in rules.flat_map(|rule| &rule.targets).chain(published) {
            add(Entry {
                name: target.to_string(),
                target: target.clone(),
            });
        }
        Self(entries)
    }

    /// What [`services::classify`](super::services::classify) takes.
    pub(crate) fn entries(&self) -> &[Entry] {
        &self.0
    }

    /// The classes that make up a target.
    pub(crate) fn classes_of(&self, target: &Target, classes: &Classes) -> ServiceSet {
        let mut set = ServiceSet::default();
        for (entry, classes) in self.0.iter().zip(&classes.of_entry) {
            if entry.target == *target {
                classes.iter().for_each(|class| set.insert(*class));
            }
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
    if service.service == IKE {
        // IKE only negotiates (RFC 7296, 2.23; RFC 4303; RFC 4302).
        rows.extend([
            ("ipsec-nat-traversal".to_owned(), Target::Udp(4500..=4500)),
            ("esp".to_owned(), Target::Protocol(50)),
            ("ah".to_owned(), Target::Protocol(51)),
        ]);
    }
    rows
}
