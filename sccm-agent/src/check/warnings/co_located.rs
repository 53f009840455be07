//! Roles on one host: what one of them offers to many, all of them offer.

use super::{Warning, add, is_sensitive, named, once};
use crate::check::rows::{Holders, Row, View, ports};

/// A service at a host that a peer has by some of the host's roles only.
struct Reopened<'a> {
    row: &'a Row<'a>,
    /// The roles that open it.
    by: Vec<&'a str>,
    /// The roles that, alone, would not.
    despite: Vec<&'a str>,
    links: Vec<String>,
}

pub(super) fn find(view: &View<'_>) -> Vec<Warning> {
    let mut found: Vec<Reopened<'_>> = Vec::new();
    for row in view.inbound.iter().filter(|row| is_sensitive(row)) {
        if *view.holders(row.peer) == Holders::Nobody {
            continue;
        }
        let closed = row.entry.roles.iter().filter(|role| {
            let mut rows = view.inbound.iter();
            !rows.any(|other| other.role == *role && same(other, row))
        });
        let despite: Vec<&str> = closed.map(|role| role.as_str()).collect();
        if despite.is_empty() {
            continue;
        }
        let index = found.iter().position(|known| same(known.row, row));
        let index = index.unwrap_or_else(|| {
            found.push(Reopened {
                row,
                by: Vec::new(),
                despite,
                links: Vec::new(),
            });
            found.len() - 1
        });
        once(&mut found[index].by, row.role.as_str());
        add(&mut found[index].links, row.link);
    }
    found.into_iter().map(warning).collect()
}

/// The same service at the same host for the same peers.
fn same(a: &Row<'_>, b: &Row<'_>) -> bool {
    std::ptr::eq(a.entry, b.entry) && a.peer == b.peer && a.targets == b.targets
}

fn warning(found: Reopened<'_>) -> Warning {
    let row = found.row;
    Warning {
        kind: "co-located-roles",
        message: format!(
            "`{}`: {} may open {} ({} {}) because of {} ({}); on a host of its own, {} would be \
             closed to it",
            row.entry.name,
            row.peer,
            row.service.service,
            row.service.protocol,
            ports(row),
            found.by.join(", "),
            named(&found.links),
            found.despite.join(", "),
        ),
        links: found.links,
    }
}
