//! A site server that may open SMB to clients: whoever makes it connect there
//! can relay its account to the rest of the site.

use super::{Warning, add, named};
use crate::catalog::SITE_SERVER;
use crate::check::rows::{Holders, Row, View};
use crate::policy::{CLIENT, Outbound, Protected};

const SMB: [&str; 2] = ["smb", "netbios-session"];

pub(super) fn find(view: &View<'_>) -> Vec<Warning> {
    let servers = view
        .policy
        .protect
        .iter()
        .filter(|entry| is_site_server(view, entry));
    servers.filter_map(|entry| warning(view, entry)).collect()
}

fn is_site_server(view: &View<'_>, entry: &Protected) -> bool {
    let catalog = view.policy.site.catalog;
    entry.roles.iter().any(|id| catalog.is(id, SITE_SERVER))
}

fn warning(view: &View<'_>, entry: &Protected) -> Option<Warning> {
    let name = &entry.name;
    let of_entry = |row: &&Row<'_>| {
        let smb = SMB.contains(&row.service.service.as_str());
        std::ptr::eq(row.entry, entry) && smb
    };
    let mut rows = view.outbound.iter().filter(of_entry);
    let feature = rows.find(|row| row.peer == CLIENT).map(|row| row.link);
    if let Some(link) = feature {
        return Some(Warning {
            kind: "smb-to-clients",
            links: vec![link.id.clone()],
            message: format!(
                "`{name}` is a site server and may open SMB to clients by link {}: leave out what \
                 enables it, if clients are installed in another way",
                link.id
            ),
        });
    }
    if view.policy.outbound != Outbound::Enforce {
        return Some(Warning {
            kind: "smb-to-clients",
            links: Vec::new(),
            message: format!(
                "`{name}` is a site server and may open SMB to clients, because what it opens is \
                 not judged: no link needs that; set [site] outbound = \"enforce\""
            ),
        });
    }
    let mut links = Vec::new();
    let mut roles = Vec::new();
    for row in view.outbound.iter().filter(of_entry) {
        if reaches_clients(view, row.peer) {
            add(&mut links, row.link);
            super::once(&mut roles, row.peer);
        }
    }
    (!links.is_empty()).then(|| Warning {
        kind: "smb-to-clients",
        message: format!(
            "`{name}` is a site server and may open SMB to clients by {}: addresses of clients \
             are among those of {}; name these more narrowly in [peers]",
            named(&links),
            roles.join(", ")
        ),
        links,
    })
}

/// Whether holders of `role` are so many that whole prefixes of clients are among them.
fn reaches_clients(view: &View<'_>, role: &str) -> bool {
    match (view.holders(role), view.holders(CLIENT)) {
        (Holders::Anybody, _) => true,
        (Holders::Listed(_, holders), Holders::Listed(clients, _)) => {
            clients.iter().any(|prefix| holders.has(prefix))
        }
        _ => false,
    }
}
