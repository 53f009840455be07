//! Published ports: what a gateway has the right of a protected system behind it.

use super::explain::{Ground, Question};
use super::rights::Rights;
use super::scopes::{Local, Peer, Scopes};
use super::services::Classes;
use super::{Compiled, Publish, SitePolicy, Target};
use sccm_common::ServiceClass;
use sccm_common::service::ServiceSet;
use std::collections::BTreeSet;

/// Published ports, by their classes.
pub(super) struct Ports<'a> {
    /// The system behind them.
    local: Local<'a>,
    /// Those at the gateway.
    outer: ServiceSet,
    /// The one behind it, where it is another one.
    behind: Option<ServiceClass>,
}

/// The published ports of a policy. `set_of` gives the classes of a target.
pub(super) fn of<'a>(
    policy: &SitePolicy,
    scopes: &Scopes<'a>,
    classes: &Classes,
    set_of: &impl Fn(&Target) -> ServiceSet,
) -> Vec<Ports<'a>> {
    let class_of = |target: Target| match target {
        Target::Tcp(port) => classes.tcp[usize::from(*port.start())],
        Target::Udp(port) => classes.udp[usize::from(*port.start())],
        _ => ServiceClass::NONE,
    };
    let ports = policy.publish.iter().map(|one| Ports {
        local: scopes.local_at(one.to),
        outer: one
            .targets
            .iter()
            .map(set_of)
            .fold(ServiceSet::default(), ServiceSet::union),
        behind: one
            .targets
            .first()
            .and_then(|target| behind(one, target))
            .map(class_of),
    });
    ports.collect()
}

impl Ports<'_> {
    /// What a peer may open at the gateway, because it may open it behind the gateway.
    pub(super) fn open_to(&self, rights: &Rights<'_>, peer: &Peer<'_>) -> ServiceSet {
        let there = rights.between(&self.local, peer).inbound;
        match self.behind {
            // All classes of these ports hold nothing but them.
            None => self.outer.intersection(there),
            Some(class) if there.contains(class) => self.outer,
            Some(_) => ServiceSet::default(),
        }
    }
}

/// The port behind the gateway, where it is another one than the published `target`.
fn behind(published: &Publish, target: &Target) -> Option<Target> {
    let port = published.to_port?;
    Some(match target {
        Target::Udp(_) => Target::Udp(port..=port),
        _ => Target::Tcp(port..=port),
    })
}

/// The published ports that let a question pass.
pub(super) fn grounds(
    compiled: &Compiled,
    policy: &SitePolicy,
    question: &Question,
) -> impl Iterator<Item = Ground> {
    let lets = |published: &&Publish| {
        let asked = &question.target;
        let behind = behind(published, asked).unwrap_or_else(|| asked.clone());
        let there = compiled.access(published.to, question.peer).inbound;
        let mut targets = published.targets.iter();
        targets.any(|target| target.covers(asked)) && there.contains(compiled.class_of(&behind))
    };
    policy
        .publish
        .iter()
        .filter(lets)
        .map(|published| Ground::Rule {
            name: published.name.clone(),
            reason: published.reason.clone(),
        })
}

/// The published ports that nobody may open behind the gateway.
#[must_use]
pub fn idle<'a>(compiled: &Compiled, policy: &'a SitePolicy) -> Vec<&'a Publish> {
    let rights = |published: &Publish| {
        let local = compiled.class_at(published.to).local;
        let peers = 0..compiled.policy.peers as u16;
        let pairs = peers.map(move |peer| compiled.policy.pair(local, peer));
        pairs
            .map(|pair| compiled.policy.access(pair).inbound)
            .fold(ServiceSet::default(), ServiceSet::union)
    };
    let is_idle = |published: &&Publish| {
        let rights = rights(published);
        let mut ports = published.targets.iter().flat_map(Target::numbers);
        !ports.any(|port| {
            let port = published.to_port.unwrap_or(port);
            let class = match published.targets.first() {
                Some(Target::Udp(_)) => compiled.policy.udp[usize::from(port)],
                _ => compiled.policy.tcp[usize::from(port)],
            };
            rights.contains(class)
        })
    };
    policy.publish.iter().filter(is_idle).collect()
}

/// What does not fit together in a policy and the rules by which the machine gives packets another
/// destination, for people.
#[must_use]
pub fn misfit(policy: &SitePolicy, destinations: &BTreeSet<String>) -> Option<String> {
    match (policy.publish.is_empty(), destinations.is_empty()) {
        (true, false) => {
            let places: Vec<&str> = destinations.iter().map(String::as_str).collect();
            Some(format!(
                "this machine gives packets another destination ({}), and the policy publishes no \
                 port: what peers send to the gateway is judged as for the gateway itself; write a \
                 [[publish]] for each port that it sends on to a protected system",
                places.join("; ")
            ))
        }
        (false, true) => Some(
            "the policy has [[publish]], and no rule of this machine sends a port on: a published \
             port reaches the gateway itself; set up the translation (nftables: dnat to), or leave \
             [[publish]] out"
                .to_owned(),
        ),
        _ => None,
    }
}
