//! Protected systems whose own connections are not judged, or that may have none.

use super::Warning;
use crate::check::rows::{Holders, View};
use crate::policy::{Cover, Outbound, Protected};
use ipnet::IpNet;

pub(super) fn find(view: &View<'_>) -> Vec<Warning> {
    let entries = view.policy.protect.iter();
    if view.policy.outbound != Outbound::Enforce {
        let names: Vec<String> = entries.map(|entry| format!("`{}`", entry.name)).collect();
        return vec![Warning {
            kind: "outbound-not-enforced",
            links: Vec::new(),
            message: format!(
                "{} may open anything to anybody: set [site] outbound = \"enforce\" to let pass \
                 only what the links of the roles say",
                names.join(", ")
            ),
        }];
    }
    let silent = entries.filter(|entry| !may_open(view, entry));
    silent
        .map(|entry| Warning {
            kind: "no-outbound-rule",
            links: Vec::new(),
            message: format!(
                "`{}` may open nothing: outbound is enforced, no link of its roles leads to an \
                 address in [peers], and no [[outbound.allow]] is for it",
                entry.name
            ),
        })
        .collect()
}

fn may_open(view: &View<'_>, entry: &Protected) -> bool {
    let mut rules = view.policy.outbound_allow.iter();
    let is_among = |list: &[IpNet]| {
        let list = Cover::of(list);
        entry.addresses.is_empty() || entry.addresses.iter().any(|prefix| list.touches(prefix))
    };
    if rules.any(|rule| rule.from.is_empty() || is_among(&rule.from)) {
        return true;
    }
    let mut rows = view.outbound.iter();
    rows.any(|row| std::ptr::eq(row.entry, entry) && *view.holders(row.peer) != Holders::Nobody)
}
