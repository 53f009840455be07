//! What a system looks like, by the ports that others open at it: a role, or the peer of a set.

use super::input::Seen;
use crate::catalog::{ANY, Sets};
use crate::policy::{INTERNET, Labels, SitePolicy, Target};
use serde::Serialize;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

/// Ports by which a system is known; fewer say nothing.
const ENOUGH: usize = 2;

/// Roles that are named for one system.
const NAMED: usize = 3;

/// A system, and what it looks like.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Likeness {
    /// The system.
    #[cfg_attr(test, schemars(with = "String"))]
    pub system: IpAddr,
    /// What the policy calls it.
    pub name: Option<String>,
    /// How many others open something at it.
    pub clients: usize,
    /// What they open: `tcp/80`, `tcp/443`, `tcp/10123`.
    pub opened: Vec<String>,
    /// Roles of the catalog that listen there, the best first.
    pub roles: Vec<String>,
    /// Sets that say what is opened there.
    pub sets: Vec<String>,
}

impl Likeness {
    /// In a sentence.
    #[must_use]
    pub fn text(&self) -> String {
        let name = self
            .name
            .as_ref()
            .map_or_else(String::new, |name| format!(" ({name})"));
        let clients = match self.clients {
            1 => "1 system opens".to_owned(),
            many => format!("{many} systems open"),
        };
        let sets = match self.sets.as_slice() {
            [] => String::new(),
            sets => format!("; sets that say so: {}", sets.join(", ")),
        };
        format!(
            "{}{name} looks like {}: {clients} {}{sets}",
            self.system,
            self.roles.join(" or "),
            self.opened.join(", ")
        )
    }
}

/// A role, and where it listens.
struct Candidate {
    role: String,
    targets: BTreeSet<String>,
    listens: Vec<Target>,
    set: Option<&'static str>,
}

/// What the systems look like at which others opened something.
pub(super) fn of(policy: &SitePolicy, seen: &[&Seen], labels: &Labels) -> Vec<Likeness> {
    let mut systems: BTreeMap<IpAddr, (BTreeSet<IpAddr>, Vec<Target>)> = BTreeMap::new();
    for one in seen {
        let (clients, targets) = systems.entry(one.server()).or_default();
        clients.insert(one.opener());
        if !targets.contains(&one.question.target) {
            targets.push(one.question.target.clone());
        }
    }
    let candidates = candidates(policy);
    let likenesses = systems
        .into_iter()
        .filter_map(|(system, (clients, mut targets))| {
            // In the order of their ports.
            targets.sort_by_key(|target| match target {
                Target::Tcp(ports) | Target::Udp(ports) => (*ports.start(), target.to_string()),
                other => (0, other.to_string()),
            });
            let best = best(&candidates, &targets);
            if best.is_empty() {
                return None;
            }
            let mut roles: Vec<String> = Vec::new();
            for one in &best {
                if !roles.contains(&one.role) {
                    roles.push(one.role.clone());
                }
            }
            roles.truncate(NAMED);
            let sets = best.iter().filter_map(|one| one.set.map(str::to_owned));
            Some(Likeness {
                system,
                name: labels.get(system).map(str::to_owned),
                clients: clients.len(),
                opened: targets.iter().map(Target::to_string).collect(),
                roles,
                sets: sets.collect(),
            })
        });
    likenesses.collect()
}

/// Those that explain the most of what is opened, and listen at the least besides.
fn best<'c>(candidates: &'c [Candidate], opened: &[Target]) -> Vec<&'c Candidate> {
    let explained = |one: &Candidate| {
        let is_listened = |asked: &&Target| one.listens.iter().any(|target| target.covers(asked));
        opened.iter().filter(is_listened).count()
    };
    let most = candidates.iter().map(explained).max().unwrap_or(0);
    // Most of it, or it is something else that happens to share a port.
    if most < ENOUGH || most * 3 < opened.len() * 2 {
        return Vec::new();
    }
    let mut best: Vec<&Candidate> = candidates
        .iter()
        .filter(|one| explained(one) == most)
        .collect();
    best.sort_by_key(|one| {
        (
            one.targets.len(),
            Reverse(one.set.is_some()),
            one.role.clone(),
        )
    });
    let least = best.first().map_or(0, |one| one.targets.len());
    best.retain(|one| one.targets.len() == least);
    best
}

fn candidates(policy: &SitePolicy) -> Vec<Candidate> {
    let site = &policy.site;
    let candidate = |role: &str, set, listens: Vec<Target>| Candidate {
        role: role.to_owned(),
        targets: listens.iter().map(Target::to_string).collect(),
        listens,
        set,
    };
    let roles = site.catalog.all_roles();
    let roles =
        roles.filter(|role| role.id.as_str() != ANY && site.catalog.stale(&role.id).is_none());
    let mut candidates: Vec<Candidate> = roles
        .map(|role| {
            let found = site.links_into(role);
            let listens = found.flat_map(|(_, _, service)| Target::of_service(service, site));
            candidate(role.id.as_str(), None, listens.collect())
        })
        .collect();
    for set in Sets::known().iter() {
        let Some(to) = set.to.as_deref().filter(|to| *to != INTERNET) else {
            continue;
        };
        let services = set.services.iter();
        let listens = services.flat_map(|service| Target::of_set(service, site));
        candidates.push(candidate(to, Some(&set.id), listens.collect()));
    }
    candidates
}
