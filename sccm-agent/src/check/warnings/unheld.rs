//! Roles that links of the protected systems name, and that nobody holds.

use super::{Warning, add, named, once};
use crate::catalog::RoleId;
use crate::check::rows::{Holders, Row, View};
use crate::policy::Outbound;
use std::collections::{BTreeMap, BTreeSet};

pub(super) fn find(view: &View<'_>) -> Vec<Warning> {
    let mut warnings = of(view, &view.inbound, |role, systems, links| {
        format!("nobody holds {role}, so nobody gets in at {systems} by {links}")
    });
    // Otherwise what the protected systems open passes, whoever it is for.
    if view.policy.outbound == Outbound::Enforce {
        warnings.extend(of(view, &view.outbound, |role, systems, links| {
            format!("nobody holds {role}, so {systems} can open nothing by {links}")
        }));
    }
    warnings
}

/// The roles of those whom the protected systems would talk to, and whom nobody has been named for.
pub(super) fn roles<'v>(view: &'v View<'_>) -> BTreeSet<&'v str> {
    let mut roles: BTreeSet<&str> = unheld(view, &view.inbound).into_keys().collect();
    if view.policy.outbound == Outbound::Enforce {
        roles.extend(unheld(view, &view.outbound).into_keys());
    }
    roles
}

fn of(
    view: &View<'_>,
    rows: &[Row<'_>],
    sentence: impl Fn(&str, &str, &str) -> String,
) -> Vec<Warning> {
    let warning = |(role, (systems, links)): (&str, Rows)| Warning {
        kind: "role-without-address",
        message: format!(
            "{}: name its addresses in [peers], or write `{role} = []` there if the site has none",
            sentence(role, &systems.join(", "), &named(&links))
        ),
        links,
    };
    unheld(view, rows).into_iter().map(warning).collect()
}

/// Protected systems, and links.
type Rows = (Vec<String>, Vec<String>);

fn unheld<'r>(view: &View<'_>, rows: &'r [Row<'_>]) -> BTreeMap<&'r str, Rows> {
    let mut roles: BTreeMap<&str, Rows> = BTreeMap::new();
    let is_known_to_be_nobody = |role: &str| {
        let listed = view.policy.peers.as_ref();
        listed.is_some_and(|peers| peers.get(&RoleId::from(role)).is_some_and(Vec::is_empty))
    };
    // Of what is dying, nobody is missed.
    let is_stale = |role: &str| {
        view.policy
            .site
            .catalog
            .stale(&RoleId::from(role))
            .is_some()
    };
    for row in rows.iter().filter(|row| !is_stale(row.peer)) {
        if *view.holders(row.peer) == Holders::Nobody && !is_known_to_be_nobody(row.peer) {
            let (systems, links) = roles.entry(row.peer).or_default();
            once(systems, format!("`{}`", row.entry.name));
            add(links, row.link);
        }
    }
    roles
}
