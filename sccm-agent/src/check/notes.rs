//! What is worth to know of a policy, and no mistake: how its links open the RPC dynamic range.

use super::Warning;
use super::rows::{Holders, Row, View};
use super::warnings::{add, named, once};
use crate::policy::{Cover, Outbound, Protected, Rpc, dynamic_range, is_of_rpc};
use ipnet::IpNet;

/// All notes about a policy.
pub(super) fn of(view: &View<'_>) -> Vec<Warning> {
    let tracked = |uses_range| Users::of(view, Rpc::Tracked, uses_range);
    let notes = [
        tracked(true).map(|users| {
            let by = users.by();
            let what = "of the RPC dynamic range, what the endpoint mapper hands out is open to who \
                        asked, by";
            users.note("rpc-tracked", &format!("{what} {by}"))
        }),
        tracked(false).map(|users| {
            users.note(
                "rpc-tracked-nothing",
                "rpc = \"tracked\" changes nothing here: nothing opens the RPC dynamic range to anybody, as \
                 far as it is judged",
            )
        }),
        Users::of(view, Rpc::Static, true).map(|users| {
            let by = users.by();
            users.note(
                "rpc-static",
                &format!(
                    "the whole RPC dynamic range is open by {by}, and the endpoint mapper to the same peers: \
                     rpc = \"tracked\" would open only what the mapper hands out, to who asked"
                ),
            )
        }),
    ];
    notes.into_iter().flatten().collect()
}

/// Systems that use the dynamic range, or do not.
#[derive(Default)]
struct Users {
    systems: Vec<String>,
    links: Vec<String>,
    sets: Vec<String>,
}

impl Users {
    fn of(view: &View<'_>, rpc: Rpc, uses_range: bool) -> Option<Self> {
        let mut users = Self::default();
        let entries = view.policy.protect.iter();
        for entry in entries.filter(|entry| entry.rpc == rpc) {
            let (links, sets) = (links_of(view, entry), sets_of(view, entry));
            if (links.is_empty() && sets.is_empty()) != uses_range {
                once(&mut users.systems, format!("`{}`", entry.name));
                links
                    .into_iter()
                    .for_each(|link| once(&mut users.links, link));
                sets.into_iter().for_each(|set| once(&mut users.sets, set));
            }
        }
        (!users.systems.is_empty()).then_some(users)
    }

    /// What uses it.
    fn by(&self) -> String {
        let links = (!self.links.is_empty()).then(|| named(&self.links));
        let sets = self.sets.iter().map(|set| format!("set {set}"));
        links.into_iter().chain(sets).collect::<Vec<_>>().join(", ")
    }

    fn note(self, kind: &'static str, what: &str) -> Warning {
        Warning {
            kind,
            message: format!("{}: {what}", self.systems.join(", ")),
            links: self.links,
        }
    }
}

/// The links by which the dynamic range is used at an entry, as far as that is judged.
fn links_of(view: &View<'_>, entry: &Protected) -> Vec<String> {
    let mut links = Vec::new();
    let is_judged = view.policy.outbound == Outbound::Enforce;
    let outbound = view.outbound.iter().filter(|_| is_judged);
    let uses = |row: &&Row<'_>| {
        std::ptr::eq(row.entry, entry)
            && is_of_rpc(row.service)
            && *view.holders(row.peer) != Holders::Nobody
    };
    for row in view.inbound.iter().chain(outbound).filter(uses) {
        add(&mut links, row.link);
    }
    links
}

/// The sets by which it is used there and tracked.
fn sets_of(view: &View<'_>, entry: &Protected) -> Vec<String> {
    let policy = view.policy;
    let range = dynamic_range(&policy.site);
    let is_for = |systems: &[IpNet]| {
        let cover = Cover::of(systems);
        let mut addresses = entry.addresses.iter();
        systems.is_empty() || addresses.any(|prefix| cover.touches(prefix))
    };
    let inbound = policy.allow.iter().map(|rule| (rule, &rule.to));
    let outbound = policy.outbound_allow.iter().map(|rule| (rule, &rule.from));
    let outbound = outbound.filter(|_| policy.outbound == Outbound::Enforce);
    inbound
        .chain(outbound)
        .filter(|(rule, systems)| rule.tracked && rule.targets.contains(&range) && is_for(systems))
        .map(|(rule, _)| rule.name.clone())
        .collect()
}
