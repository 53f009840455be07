//! A prefix inside another: it has the rights of both, which is a surprise where
//! the narrow one was meant to have fewer.

use super::{Warning, add, is_sensitive, named};
use crate::catalog::RoleId;
use crate::check::matrix::shown;
use crate::check::rows::{Row, View};
use crate::policy::{Cover, DHCP_RELAY, PXE_CLIENT, Protected};
use ipnet::IpNet;
use std::collections::BTreeSet;

pub(super) fn find(view: &View<'_>) -> Vec<Warning> {
    let mut warnings = Vec::new();
    let peers: Vec<(&RoleId, &Vec<IpNet>)> = view.policy.peers.iter().flatten().collect();
    for (wide, wide_list) in &peers {
        for (narrow, narrow_list) in &peers {
            warnings.extend(of_peers(view, (wide, wide_list), (narrow, narrow_list)));
        }
    }
    for wide in &view.policy.protect {
        for narrow in &view.policy.protect {
            warnings.extend(of_systems(wide, narrow));
        }
    }
    warnings
}

fn of_peers(
    view: &View<'_>,
    (wide, wide_list): (&RoleId, &[IpNet]),
    (narrow, narrow_list): (&RoleId, &[IpNet]),
) -> Option<Warning> {
    // Computers that boot over the network are clients afterwards.
    if [PXE_CLIENT, DHCP_RELAY].contains(&narrow.as_str()) {
        return None;
    }
    let gained: Vec<&Row<'_>> = sensitive(view, wide)
        .filter(|row| {
            let mut own = sensitive(view, narrow);
            !own.any(|own| std::ptr::eq(own.entry, row.entry) && own.targets == row.targets)
        })
        .collect();
    if gained.is_empty() {
        return None;
    }
    let inside = shown(&within(narrow_list, wide_list)?);
    let mut links = Vec::new();
    let mut services = BTreeSet::new();
    for row in gained {
        add(&mut links, row.link);
        services.insert(row.service.service.as_str());
    }
    let services: Vec<&str> = services.into_iter().collect();
    Some(Warning {
        kind: "prefix-within-prefix",
        message: format!(
            "{inside} of {narrow} lies within a prefix of {wide}, and rights add up: it may open \
             {} as {wide} may ({}); a narrow prefix takes nothing away",
            services.join(", "),
            named(&links)
        ),
        links,
    })
}

/// The sensitive rows that holders of a role have.
fn sensitive<'v>(view: &'v View<'_>, id: &'v RoleId) -> impl Iterator<Item = &'v Row<'v>> {
    let rows = view.inbound.iter().filter(|row| is_sensitive(row));
    rows.filter(|row| view.policy.site.catalog.is(id, row.peer))
}

fn of_systems(wide: &Protected, narrow: &Protected) -> Option<Warning> {
    let gained: Vec<&str> = wide
        .roles
        .iter()
        .filter(|role| !narrow.roles.contains(role))
        .map(|role| role.as_str())
        .collect();
    if gained.is_empty() {
        return None;
    }
    let inside = shown(&within(&narrow.addresses, &wide.addresses)?);
    Some(Warning {
        kind: "prefix-within-prefix",
        links: Vec::new(),
        message: format!(
            "{inside} of `{}` lies within a prefix of `{}`, and rights add up: it is {} as well",
            narrow.name,
            wide.name,
            gained.join(", ")
        ),
    })
}

/// The first of the narrow prefixes that lies within a wide one and is not it.
fn within(narrow: &[IpNet], wide: &[IpNet]) -> Option<IpNet> {
    let same: BTreeSet<&IpNet> = wide.iter().collect();
    let cover = Cover::of(wide);
    let mut narrow = narrow.iter();
    narrow
        .find(|prefix| cover.has(prefix) && !same.contains(prefix))
        .copied()
}
