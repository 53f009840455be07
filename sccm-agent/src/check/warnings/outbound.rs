//! Protected systems whose own connections are not judged, or that may have none.

use super::Warning;
use crate::check::rows::{Holders, View};
use crate::policy::{Outbound, Protected};

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
                "`{}` may open nothing: outbound is enforced, and no link of its roles leads to an \
                 address in [peers]",
                entry.name
            ),
        })
        .collect()
}

fn may_open(view: &View<'_>, entry: &Protected) -> bool {
    let mut rows = view.outbound.iter();
    rows.any(|row| std::ptr::eq(row.entry, entry) && *view.holders(row.peer) != Holders::Nobody)
}
