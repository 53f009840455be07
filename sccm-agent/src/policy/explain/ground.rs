//! What lets something be opened: a link or a rule, as an answer names it.

use super::{Opener, Question};
use crate::catalog::{ANY, Link, RoleId, Service};
use crate::policy::rights::{BootOpeners, Row, Way};
use crate::policy::{Rule, Target, vocabulary};
use crate::site::Site;
use serde::Serialize;
use std::net::IpAddr;

/// A link or a rule that lets something be opened.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case", tag = "kind")]
pub enum Ground {
    /// The document says so.
    Link {
        /// The link's id.
        link: String,
        /// The document's line of the row; none of a page that was read in excerpts.
        line: Option<u32>,
        /// The role that opens.
        from: String,
        /// The role that listens.
        to: String,
        /// What is spoken.
        service: String,
    },
    /// The site says so.
    Rule {
        /// The rule's name.
        name: String,
        /// Why, in the operator's words.
        reason: String,
    },
    /// `outbound` is `track` or `off`: whatever the protected systems open passes.
    OutboundNotEnforced,
    /// A gateway may open anything itself.
    Gateway,
}

impl Ground {
    /// Its name and, for a link, whom it joins; nothing for what has no name.
    #[must_use]
    pub fn brief(&self) -> String {
        match self {
            Self::Link { link, from, to, .. } => format!("link {link}: {from} -> {to}"),
            Self::Rule { name, .. } => format!("rule {name}"),
            Self::OutboundNotEnforced | Self::Gateway => String::new(),
        }
    }
}

pub(super) fn applies(rule: &Rule, question: &Question, of_internet: bool) -> bool {
    let covers = |list: &[ipnet::IpNet], address: IpAddr| {
        list.is_empty() || list.iter().any(|prefix| prefix.contains(&address))
    };
    let (peers, systems) = match question.opener {
        Opener::Peer => (&rule.from, &rule.to),
        Opener::Protected => (&rule.to, &rule.from),
    };
    let is_peer = match rule.internet {
        true => of_internet || peers.iter().any(|prefix| prefix.contains(&question.peer)),
        false => covers(peers, question.peer),
    };
    rule.targets
        .iter()
        .any(|target| target.covers(&question.target))
        && is_peer
        && covers(systems, question.protected)
}

pub(super) fn rule_ground(rule: &Rule) -> Ground {
    Ground::Rule {
        name: rule.name.clone(),
        reason: rule.reason.clone(),
    }
}

/// The row, for a peer that holds `role`.
pub(super) fn ground_for(row: &Row<'_>, role: &RoleId) -> Ground {
    let near = match row.other == &row.link.to {
        true => &row.link.from,
        false => &row.link.to,
    };
    let (from, to) = match row.way {
        Way::Inbound => (role, near),
        Way::Outbound => (near, role),
    };
    link_ground(row.link, row.service, from, to)
}

fn link_ground(link: &Link, service: &Service, from: &RoleId, to: &RoleId) -> Ground {
    Ground::Link {
        link: link.id.clone(),
        line: service.line,
        from: from.to_string(),
        to: to.to_string(),
        service: service.service.clone(),
    }
}

/// Every link of the site's edition that carries what is asked about, as [`Ground::Link`].
/// `carries` is asked with the name of a service and what it speaks of.
pub(super) fn in_catalog(
    site: &Site,
    carries: impl Fn(&str, &Target) -> bool,
    boots: BootOpeners,
) -> Vec<Ground> {
    let mut grounds = Vec::new();
    for role in site.catalog.all_roles() {
        for (link, opener, service) in site.links_into(role) {
            let rows = vocabulary::rows(service, site);
            let speaks = rows.iter().any(|(name, target)| carries(name, target));
            if speaks && opener.as_str() != ANY {
                let openers = boots.instead_of(link, opener, service).into_iter();
                grounds.extend(openers.map(|opener| link_ground(link, service, &opener, &role.id)));
            }
        }
    }
    grounds.sort();
    grounds.dedup();
    grounds
}
