//! Why something may be opened, or what would have to be different.
//!
//! The answer is the compiled policy's own; the grounds are looked for among
//! the same rows and rules that it was compiled from.

mod ground;
mod running;
mod source;

pub use ground::Ground;
pub use running::{Document, Running};

use super::handed_out::{dynamic_range, handed_out};
use super::hints::{self, Advice};
use super::rights::{BootOpeners, Rights, Row, Way, is_datagram, is_to_many, may_reach_many};
use super::scopes::{self, Local, Peer};
use super::{
    Compiled, Labels, Outbound, Request, Rpc, Rule, ServiceNames, SitePolicy, Surroundings, Target,
    compile, publish,
};
use crate::catalog::Edition;
use anyhow::Result;
use ground::{applies, ground_for, in_catalog, rule_ground};
use sccm_common::Reason;
use sccm_common::policy::Access;
use sccm_common::service::{ServiceClass, ServiceSet};
use serde::Serialize;
use std::collections::BTreeSet;
use std::net::IpAddr;

/// Which end opens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
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

impl Question {
    /// Which way it goes, seen from the protected end.
    #[must_use]
    pub const fn direction(&self) -> &'static str {
        match self.opener {
            Opener::Peer => "inbound",
            Opener::Protected => "outbound",
        }
    }
}

/// The answer.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Explanation {
    /// The edition of the port table; absent if this program does not know it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub edition: Option<Edition>,
    /// Which way it goes, seen from the protected end.
    pub direction: &'static str,
    /// Whether it may be opened.
    pub allowed: bool,
    /// Whether it passes all the same, because what is enforced now drops nothing.
    pub observed: bool,
    /// The reason of the drop, as counters have it.
    pub reason: Option<&'static str>,
    /// What the policy calls who opens, if it has a name for it; null with `--live`: the kernel has no names.
    pub from_name: Option<String>,
    /// What it calls who listens.
    pub to_name: Option<String>,
    /// What the protected end is: names of entries, or what it is instead.
    pub protected: String,
    /// The roles that the peer holds; null where anybody may hold any.
    pub peer_roles: Option<Vec<String>>,
    /// Why, or when, it is dropped for its source alone.
    pub source: Option<String>,
    /// Whether it is dropped only until the endpoint mapper of who listens hands the port out to who
    /// opens (`rpc = "tracked"`).
    pub if_handed_out: bool,
    /// What allows it, or lets it be opened when it is handed out.
    pub because: Vec<Ground>,
    /// Where rights are lacking: what would let it pass.
    #[serde(flatten)]
    pub advice: Advice,
    /// Which answers pass between the two, although they open nothing.
    pub answers: &'static str,
}

/// Explains one question under a policy.
pub fn explain(request: &Request<'_>, question: &Question) -> Result<Explanation> {
    answer(
        request,
        &compile(request, ServiceNames::default())?,
        question,
    )
}

/// Explains one question under a policy that is compiled already.
pub fn answer(
    request: &Request<'_>,
    compiled: &Compiled,
    question: &Question,
) -> Result<Explanation> {
    let policy = request.policy;
    let scopes = scopes::of(policy, request.machine);
    let (local, peer) = (
        scopes.local_at(question.protected),
        scopes.peer_at(question.peer),
    );
    // Classes decide nothing here: rows are compared by their targets.
    let rights = Rights::new(policy, &|_| ServiceSet::default())?;
    let roles = rights.roles(&peer);

    let way = way(question);
    let access = compiled.access(question.protected, question.peer);
    let class = compiled.class_of(&question.target);
    let allowed = opens(
        policy.outbound,
        access,
        class,
        question.opener,
        is_unlisted(&local),
    );
    let asked = &question.target;
    let handed_out = handed_out(&compiled.policy, policy.outbound, access, question.opener);
    let if_handed_out = handed_out.contains(class);
    let in_range = dynamic_range(&policy.site).covers(asked);
    // Of what is tracked, the range opens nothing, and the rest of a row or rule does.
    let counts = |is_tracked: bool| (is_tracked && in_range) == if_handed_out;
    let to_many = is_to_many(way, &local, &peer);
    let speaks = |row: &&Row<'_>| {
        row.targets.iter().any(|target| target.covers(asked))
            && (!to_many || is_datagram(asked))
            && counts(row.tracked)
    };
    let rows = rights.concerning(&local).filter(speaks);
    let open = rows.filter(|row| rights.grants(row, way, &local, &peer, &roles));
    let mut because: Vec<Ground> = open.map(|row| ground_for(row, row.other)).collect();
    let of_internet = peer.is_of_the_internet();
    let is_tracked = is_tracked(policy, &local);
    if question.opener == Opener::Peer {
        let rules: Vec<&Rule> = match local {
            Local::Own | Local::EndsHere => policy.management.iter().collect(),
            Local::Group { .. } => policy.allow.iter().chain(&policy.management).collect(),
            Local::Systems { .. } => policy.allow.iter().collect(),
        };
        let reaches = |rule: &&Rule| {
            applies(rule, question, of_internet)
                && (!to_many || may_reach_many(asked))
                && counts(rule.tracked && is_tracked)
        };
        because.extend(rules.into_iter().filter(reaches).map(rule_ground));
        if matches!(local, Local::Own) {
            because.extend(publish::grounds(compiled, policy, question));
        }
    } else {
        if matches!(local, Local::Own) {
            because.push(Ground::Gateway);
        }
        if matches!(local, Local::Systems { .. }) {
            let rules = policy.outbound_allow.iter().filter(|rule| {
                applies(rule, question, of_internet)
                    && (!to_many || may_reach_many(asked))
                    && counts(rule.tracked && is_tracked)
            });
            because.extend(rules.map(rule_ground));
        }
        if policy.outbound != Outbound::Enforce {
            because.push(Ground::OutboundNotEnforced);
        }
    }
    let source = match question.opener {
        Opener::Peer => source::of(request, compiled, question.peer, &local),
        Opener::Protected => None,
    };
    let refused = source.as_ref().is_some_and(|source| source.is_refused);
    let passes = allowed && !refused;
    because.sort();
    because.dedup();
    let if_handed_out = if_handed_out && !refused;
    if !passes && !if_handed_out {
        because.clear();
    }
    // No right helps against a source that is refused.
    let advice = match allowed || refused {
        true => Advice::default(),
        false => advise(policy, request.machine, question)?,
    };
    let labels = Labels::of(policy);
    let name = |address: IpAddr| labels.get(address).map(str::to_owned);
    let (protected, peer_name) = (name(question.protected), name(question.peer));
    let (from_name, to_name) = match question.opener {
        Opener::Peer => (peer_name, protected),
        Opener::Protected => (protected, peer_name),
    };
    Ok(Explanation {
        from_name,
        to_name,
        edition: Some(policy.site.catalog.edition),
        direction: question.direction(),
        allowed: passes,
        observed: false,
        reason: (!passes).then(|| match if_handed_out {
            true => Reason::RpcNotNamed.label(),
            false => reason(refused, way, &local).label(),
        }),
        protected: describe(&local, request),
        peer_roles: policy.peers.is_some().then(|| held(&peer, &roles)),
        source: source.map(|source| source.why),
        if_handed_out,
        because,
        advice,
        answers: answers(policy.outbound, way, &local, &peer),
    })
}

/// What would let pass what does not, as far as it is a matter of rights.
pub fn advise(policy: &SitePolicy, machine: &Surroundings, question: &Question) -> Result<Advice> {
    let scopes = scopes::of(policy, machine);
    let (local, peer) = (
        scopes.local_at(question.protected),
        scopes.peer_at(question.peer),
    );
    let way = way(question);
    let asked = &question.target;
    // Nothing but a datagram reaches many.
    if is_to_many(way, &local, &peer) && !may_reach_many(asked) {
        return Ok(Advice::default());
    }
    let rights = Rights::new(policy, &|_| ServiceSet::default())?;
    let carrying = rights
        .concerning(&local)
        .filter(|row| row.way == way && row.targets.iter().any(|target| target.covers(asked)));
    let mut near: Vec<Ground> = carrying
        .flat_map(|row| {
            let roles = row.wanted(policy).into_iter();
            roles.map(move |role| ground_for(row, &role))
        })
        .collect();
    near.sort();
    near.dedup();
    let far = || {
        let carries = |_: &str, target: &Target| target.covers(asked);
        in_catalog(&policy.site, carries, BootOpeners::of(policy))
    };
    Ok(hints::of(policy, machine, question, near, far))
}

/// Whether the rights between two ends, and what is done about outbound, let a service be opened.
pub(super) fn opens(
    outbound: Outbound,
    access: &Access,
    class: ServiceClass,
    opener: Opener,
    is_unlisted: bool,
) -> bool {
    match (opener, outbound) {
        (Opener::Peer, _) => access.inbound.contains(class),
        (Opener::Protected, Outbound::Enforce) => access.outbound.contains(class),
        (Opener::Protected, Outbound::Track) => !is_unlisted,
        (Opener::Protected, Outbound::Off) => true,
    }
}

/// Whether all entries of a protected system are tracked.
fn is_tracked(policy: &SitePolicy, local: &Local<'_>) -> bool {
    match local {
        Local::Own | Local::EndsHere | Local::Group { .. } => false,
        Local::Systems { entries, .. } => {
            let mut modes = entries.iter().map(|entry| policy.protect[*entry].rpc);
            !entries.is_empty() && modes.all(|rpc| rpc == Rpc::Tracked)
        }
    }
}

fn reason(refused: bool, way: Way, local: &Local<'_>) -> Reason {
    match way {
        _ if refused => Reason::SpoofedSource,
        _ if is_unlisted(local) => Reason::UnlistedHost,
        Way::Inbound => Reason::NotAllowed,
        Way::Outbound => Reason::OutboundNotAllowed,
    }
}

fn way(question: &Question) -> Way {
    match question.opener {
        Opener::Peer => Way::Inbound,
        Opener::Protected => Way::Outbound,
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
pub(super) fn is_unlisted(local: &Local<'_>) -> bool {
    match local {
        Local::Own | Local::EndsHere | Local::Group { .. } => false,
        Local::Systems { entries, listed } => entries.is_empty() && listed.is_empty(),
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

#[cfg(test)]
mod tests;
