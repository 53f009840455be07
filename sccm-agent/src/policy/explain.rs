//! Why something may be opened, or what would have to be different.
//!
//! The answer is the compiled policy's own; the grounds are looked for among
//! the same rows and rules that it was compiled from.

mod source;

use super::hints::{self, Hint};
use super::rights::{BootOpeners, Rights, Row, Way, is_datagram, is_to_many, may_reach_many};
use super::scopes::{self, Local, Peer};
use super::{
    Compiled, Outbound, Request, Rule, ServiceNames, Target, compile, publish, vocabulary,
};
use crate::catalog::{ANY, Link, RoleId, Service};
use crate::site::Site;
use anyhow::Result;
use sccm_common::service::ServiceSet;
use serde::Serialize;
use std::collections::BTreeSet;
use std::net::IpAddr;

/// Which end opens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Opener {
    /// The peer, to the protected system.
    Peer,
    /// The protected system, to the peer.
    Protected,
}

/// What is asked about.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Question {
    /// Which end opens.
    pub opener: Opener,
    /// The protected end.
    pub protected: IpAddr,
    /// The other end.
    pub peer: IpAddr,
    /// What is opened.
    pub target: Target,
}

/// A link or a rule that lets something be opened.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case", tag = "kind")]
pub enum Ground {
    /// The document says so.
    Link {
        /// The link's id.
        link: String,
        /// The document's line of the row.
        line: u32,
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

/// The answer.
#[derive(Debug, Clone, Serialize)]
pub struct Explanation {
    /// Which way it goes, seen from the protected end.
    pub direction: &'static str,
    /// Whether it may be opened.
    pub allowed: bool,
    /// What the protected end is: names of entries, or what it is instead.
    pub protected: String,
    /// The roles that the peer holds; `None` where anybody may hold any.
    pub peer_roles: Option<Vec<String>>,
    /// Why, or when, it is dropped for its source alone.
    pub source: Option<String>,
    /// What allows it.
    pub because: Vec<Ground>,
    /// Where it is not allowed: links that would, for other roles at either end.
    pub would_allow: Vec<Ground>,
    /// What to write into the policy file so that it passes.
    pub hints: Vec<Hint>,
    /// Which answers pass between the two, although they open nothing.
    pub answers: &'static str,
}

/// Explains one question under a policy.
pub fn explain(request: &Request<'_>, question: &Question) -> Result<Explanation> {
    let policy = request.policy;
    let compiled = compile(request, ServiceNames::default())?;
    let scopes = scopes::of(policy, request.machine);
    let (local, peer) = (
        scopes.local_at(question.protected),
        scopes.peer_at(question.peer),
    );
    // Classes decide nothing here: rows are compared by their targets.
    let rights = Rights::new(policy, &|_| ServiceSet::default())?;
    let roles = rights.roles(&peer);

    let way = hints::way(question);
    let allowed = opens(request, &compiled, question, &local);
    let to_many = is_to_many(way, &local, &peer);
    let speaks = |row: &&Row<'_>| {
        let asked = &question.target;
        row.targets.iter().any(|target| target.covers(asked)) && (!to_many || is_datagram(asked))
    };
    let (open, closed): (Vec<&Row<'_>>, Vec<&Row<'_>>) = rights
        .concerning(&local)
        .filter(speaks)
        .partition(|row| rights.grants(row, way, &local, &peer, &roles));
    let closed = closed.into_iter().filter(|row| row.way == way);
    let mut because: Vec<Ground> = open.into_iter().map(ground).collect();
    if question.opener == Opener::Peer {
        let rules: Vec<&Rule> = match local {
            Local::Own | Local::EndsHere => policy.management.iter().collect(),
            Local::Group { .. } => policy.allow.iter().chain(&policy.management).collect(),
            Local::Systems { .. } => policy.allow.iter().collect(),
        };
        let reaches = |rule: &&Rule| {
            applies(rule, question) && (!to_many || may_reach_many(&question.target))
        };
        because.extend(rules.into_iter().filter(reaches).map(rule_ground));
        if matches!(local, Local::Own) {
            because.extend(publish::grounds(&compiled, policy, question));
        }
    } else {
        if matches!(local, Local::Own) {
            because.push(Ground::Gateway);
        }
        if policy.outbound != Outbound::Enforce {
            because.push(Ground::OutboundNotEnforced);
        }
    }
    let closed: Vec<&Row<'_>> = closed.collect();
    let lacking = closed.iter().flat_map(|row| row.wanted(policy)).collect();
    let grounds = closed.iter().flat_map(|row| {
        let roles = row.wanted(policy).into_iter();
        roles.map(move |role| ground_for(row, &role))
    });
    let mut would_allow: Vec<Ground> = grounds.collect();
    // A gateway has no role, and nothing but a datagram reaches many.
    let has_links = !matches!(local, Local::Own) && (!to_many || is_datagram(&question.target));
    if would_allow.is_empty() && has_links {
        let openers = BootOpeners::of(policy);
        would_allow = in_catalog(&policy.site, &question.target, openers);
    }
    for grounds in [&mut because, &mut would_allow] {
        grounds.sort();
        grounds.dedup();
    }
    let source = match question.opener {
        Opener::Peer => source::of(request, &compiled, question.peer),
        Opener::Protected => None,
    };
    let refused = source.as_ref().is_some_and(|source| source.is_refused);
    // No right helps against a source that is refused.
    if allowed || refused {
        would_allow.clear();
    }
    if !allowed || refused {
        because.clear();
    }
    let hints = match allowed || refused {
        true => Vec::new(),
        false => hints::of(request, question, &lacking),
    };
    Ok(Explanation {
        direction: match way {
            Way::Inbound => "inbound",
            Way::Outbound => "outbound",
        },
        hints,
        answers: answers(policy.outbound, way, &local, &peer),
        allowed: allowed && !refused,
        source: source.map(|source| source.why),
        protected: describe(&local, request),
        peer_roles: policy.peers.is_some().then(|| held(&peer, &roles)),
        because,
        would_allow,
    })
}

/// Whether what is asked about may be opened: by the tables, and by the address that opens it.
pub(super) fn passes(request: &Request<'_>, question: &Question) -> Result<bool> {
    let compiled = compile(request, ServiceNames::default())?;
    let scopes = scopes::of(request.policy, request.machine);
    let local = scopes.local_at(question.protected);
    let source = match question.opener {
        Opener::Peer => source::of(request, &compiled, question.peer),
        Opener::Protected => None,
    };
    let refused = source.is_some_and(|source| source.is_refused);
    Ok(!refused && opens(request, &compiled, question, &local))
}

/// Whether the tables let it be opened.
fn opens(
    request: &Request<'_>,
    compiled: &Compiled,
    question: &Question,
    local: &Local<'_>,
) -> bool {
    let access = compiled.access(question.protected, question.peer);
    let class = compiled.class_of(&question.target);
    match (question.opener, request.policy.outbound) {
        (Opener::Peer, _) => access.inbound.contains(class),
        (Opener::Protected, Outbound::Enforce) => access.outbound.contains(class),
        (Opener::Protected, Outbound::Track) => !is_unlisted(local),
        (Opener::Protected, Outbound::Off) => true,
    }
}

/// Which answers pass between two ends, in a sentence.
fn answers(outbound: Outbound, way: Way, local: &Local<'_>, peer: &Peer<'_>) -> &'static str {
    match (way, local, outbound) {
        (_, Local::Group { .. }, _) => "nobody answers in the name of a group",
        (Way::Outbound, ..) if peer.group => {
            "a group answers nothing: its members answer from their own addresses, as if they opened it"
        }
        (Way::Inbound, Local::Own, _) => "what the gateway opens itself is answered",
        (Way::Inbound, _, Outbound::Off) => {
            "what the protected system opens is answered only by a link or rule (outbound is off)"
        }
        (Way::Inbound, _, Outbound::Track) => "what the protected system opens is answered",
        (Way::Inbound, _, Outbound::Enforce) => "what the protected system may open is answered",
        (Way::Outbound, _, Outbound::Off) => {
            "the answers come in only by a link or rule (outbound is off)"
        }
        (Way::Outbound, _, Outbound::Track) => "if it passes, the answers come in",
        (Way::Outbound, _, Outbound::Enforce) => {
            "if it passes, the answers come in; what is not TCP answers the peer only if that has asked"
        }
    }
}

/// Whether an address is no protected system, nor named by any rule.
fn is_unlisted(local: &Local<'_>) -> bool {
    match local {
        Local::Own | Local::EndsHere | Local::Group { .. } => false,
        Local::Systems {
            entries,
            destinations,
        } => entries.is_empty() && destinations.is_empty(),
    }
}

fn describe(local: &Local<'_>, request: &Request<'_>) -> String {
    match local {
        Local::Own => "this gateway".to_owned(),
        Local::EndsHere => "this gateway (a group address that goes no further)".to_owned(),
        Local::Group { .. } => "everybody (a group address)".to_owned(),
        Local::Systems { entries, .. } if entries.is_empty() => "not listed".to_owned(),
        Local::Systems { entries, .. } => {
            let names = entries
                .iter()
                .map(|entry| request.policy.protect[*entry].name.as_str());
            names.collect::<Vec<_>>().join(", ")
        }
    }
}

fn held(peer: &Peer<'_>, roles: &BTreeSet<&str>) -> Vec<String> {
    let mut held: Vec<String> = roles.iter().map(|role| (*role).to_owned()).collect();
    if peer.unconfigured {
        held.push("no address yet".to_owned());
    }
    held
}

fn applies(rule: &Rule, question: &Question) -> bool {
    let covers = |list: &[ipnet::IpNet], address: IpAddr| {
        list.is_empty() || list.iter().any(|prefix| prefix.contains(&address))
    };
    rule.targets
        .iter()
        .any(|target| target.covers(&question.target))
        && covers(&rule.from, question.peer)
        && covers(&rule.to, question.protected)
}

fn rule_ground(rule: &Rule) -> Ground {
    Ground::Rule {
        name: rule.name.clone(),
        reason: rule.reason.clone(),
    }
}

fn ground(row: &Row<'_>) -> Ground {
    ground_for(row, row.other)
}

/// The row, for a peer that holds `role`.
fn ground_for(row: &Row<'_>, role: &RoleId) -> Ground {
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

/// Every link of the site's edition that carries the target, as [`Ground::Link`].
#[must_use]
pub fn in_catalog(site: &Site, target: &Target, boots: BootOpeners) -> Vec<Ground> {
    let mut grounds = Vec::new();
    for role in &site.catalog.roles {
        for (link, opener, service) in site.links_into(role) {
            let carries = vocabulary::rows(service, site)
                .iter()
                .any(|(_, carried)| carried.covers(target));
            if carries && opener.as_str() != ANY {
                let openers = boots.instead_of(link, opener, service).into_iter();
                grounds.extend(openers.map(|opener| link_ground(link, service, &opener, &role.id)));
            }
        }
    }
    grounds.sort();
    grounds.dedup();
    grounds
}

#[cfg(test)]
mod tests;
