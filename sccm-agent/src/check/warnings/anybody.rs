//! SMB, the endpoint mapper, SQL or the SMS Provider, open to every address.

use super::{Warning, add, is_sensitive, named, once};
use crate::catalog::ANY;
use crate::check::rows::{Holders, View, ports};
use crate::policy::{Cover, Rule, Target};

pub(super) fn find(view: &View<'_>) -> Vec<Warning> {
    let mut found: Vec<(String, Vec<&str>, Vec<String>)> = Vec::new();
    for row in view.inbound.iter().filter(|row| is_sensitive(row)) {
        if *view.holders(row.peer) != Holders::Anybody {
            continue;
        }
        let what = format!(
            "`{}`: anybody may open {} ({} {})",
            row.entry.name,
            row.service.service,
            row.service.protocol,
            ports(row)
        );
        let index = found.iter().position(|(known, ..)| *known == what);
        let index = index.unwrap_or_else(|| {
            found.push((what, Vec::new(), Vec::new()));
            found.len() - 1
        });
        let (_, peers, links) = &mut found[index];
        once(peers, row.peer);
        add(links, row.link);
    }
    let of_links = found.into_iter().map(|(what, peers, links)| {
        let named_peers: Vec<&str> = peers.into_iter().filter(|peer| *peer != ANY).collect();
        let remedy = match &named_peers[..] {
            [] => "the document asks nobody who it is there".to_owned(),
            roles => format!("name the holders of {} in [peers]", roles.join(", ")),
        };
        Warning {
            kind: "open-to-anybody",
            message: format!("{what} by {}: {remedy}", named(&links)),
            links,
        }
    });
    let of_rules = view
        .policy
        .allow
        .iter()
        .filter_map(|rule| of_rule(view, rule));
    of_links.chain(of_rules).collect()
}

fn of_rule(view: &View<'_>, rule: &Rule) -> Option<Warning> {
    let anybody = rule.from.is_empty() || Cover::of(&rule.from).is_everybody();
    let sensitive = [135, 139, 445, view.policy.site.sql.get()];
    let opens = |port: &u16| {
        let has = |target: &Target| matches!(target, Target::Tcp(range) if range.contains(port));
        rule.targets.iter().any(has)
    };
    let open: Vec<String> = sensitive
        .iter()
        .filter(|port| opens(port))
        .map(u16::to_string)
        .collect();
    (anybody && !open.is_empty()).then(|| Warning {
        kind: "open-to-anybody",
        links: Vec::new(),
        message: format!(
            "rule `{}` lets anybody open tcp {}: name its sources in `from`",
            rule.name,
            open.join(", ")
        ),
    })
}
