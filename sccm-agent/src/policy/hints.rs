//! What would let something pass that does not: links of the document, and lines for the policy
//! file.
//!
//! Each is a change of the policy. It is made, and the same question asked again; what would not
//! help is not named. Rights are judged as the compiler judges them, for the two ends alone.

mod rule;

pub(crate) use rule::{OUTBOUND, unused};
pub(super) use rule::{rule_for, rule_hint};

use super::explain::{Ground, Opener, Question, is_unlisted, opens};
use super::rights::Rights;
use super::scopes::{self, Local};
use super::vocabulary::Vocabulary;
use super::{
    DHCP_RELAY, INTERNET, Outbound, PXE_CLIENT, Protected, Rpc, Rule, SitePolicy, Surroundings,
    Target, address_of,
};
use crate::catalog::{ANY, RoleId};
use ipnet::IpNet;
use sccm_common::ServiceClass;
use sccm_common::service::ServiceSet;
use serde::Serialize;
use std::collections::BTreeMap;

/// The most that is named of one thing; the rest is a count.
const MOST: usize = 5;

/// What would let something pass.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Advice {
    /// Links, if the two ends held their roles; at most five.
    pub would_allow: Vec<Ground>,
    /// How many more links would.
    pub would_allow_more: usize,
    /// What to write into the policy file; at most five.
    pub hints: Vec<Hint>,
    /// How many more roles the peer could hold.
    pub hints_more: usize,
}

/// What to write where.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Hint {
    /// The table of the policy file: `[peers]`, `[[management.allow]]`, `[[protect]] boot`.
    pub table: String,
    /// What to write there: lines of TOML. A list is to be added to one that is there.
    pub lines: String,
    /// Both in a line: `[peers] dhcp-relay = ["172.16.0.5"]`, `[[allow]] tcp/22 from 192.0.2.1`.
    pub brief: String,
    /// The flag that says the same, where the policy is made of flags.
    pub flag: Option<String>,
    /// The rule, if it is one.
    #[serde(skip)]
    pub rule: Option<Rule>,
}

impl Hint {
    /// A key of a table, which no flag stands for.
    fn of_key(table: impl Into<String>, lines: String) -> Self {
        let table = table.into();
        Self {
            brief: format!("{table} {lines}"),
            table,
            lines,
            flag: None,
            rule: None,
        }
    }
}

impl Advice {
    /// Of links that would help, and what to write; keeps as many as are named.
    pub(crate) fn new(mut would_allow: Vec<Ground>, mut hints: Vec<Hint>) -> Self {
        let more = |length: usize| length.saturating_sub(MOST);
        let (would_allow_more, hints_more) = (more(would_allow.len()), more(hints.len()));
        would_allow.truncate(MOST);
        // The last one always helps, and opens the least.
        let last = hints.len().saturating_sub(1);
        hints.drain(last - hints_more..last);
        Self {
            would_allow,
            would_allow_more,
            hints,
            hints_more,
        }
    }

    /// Lines for people: what to write where a role is lacking, else the links, else the rule.
    #[must_use]
    pub fn lines(&self) -> Vec<String> {
        let brief = |is_wanted: fn(&Hint) -> bool| {
            let hints = self.hints.iter().filter(|hint| is_wanted(hint));
            hints.map(|hint| hint.brief.clone()).collect::<Vec<_>>()
        };
        let roles = brief(|hint| hint.rule.is_none());
        let (mut lines, more) = match self.would_allow.as_slice() {
            _ if !roles.is_empty() => (roles, self.hints_more),
            [] => (brief(|_| true), 0),
            links => {
                let links = links.iter().map(Ground::brief).collect();
                (links, self.would_allow_more)
            }
        };
        if more > 0 {
            lines.push(format!("and {more} more"));
        }
        lines
    }
}

/// What would let pass what does not. `near`: links of roles that the protected end has; `far`:
/// links of others.
pub(super) fn of(
    policy: &SitePolicy,
    machine: &Surroundings,
    question: &Question,
    near: Vec<Ground>,
    far: impl FnOnce() -> Vec<Ground>,
) -> Advice {
    let narrowed = narrowed(policy, machine, question);
    let mut judge = Judge {
        whole: policy,
        policy: &narrowed,
        machine,
        question,
        if_handed_out: false,
        helps: BTreeMap::new(),
    };
    // What may be handed out already, a role helps no further.
    judge.if_handed_out = policy.tracks()
        && Vocabulary::of(policy).is_dynamic(&policy.site, &question.target)
        && !judge.has(&narrowed, ServiceClass::HANDED_OUT);
    judge.advice(near, far)
}

/// Only what says anything about the two ends, so that asking again is cheap.
fn narrowed(policy: &SitePolicy, machine: &Surroundings, question: &Question) -> SitePolicy {
    let scopes = scopes::of(policy, machine);
    let is_group = matches!(
        scopes.local_at(question.protected),
        Local::Group { .. } | Local::EndsHere
    );
    let is_group = is_group || scopes.peer_at(question.peer).group;
    let is_always_one = |address| {
        let (family, bits) = address_of(address);
        bits.is_group(family)
    };
    let mut narrowed = policy.clone();
    // Which broadcasts of networks are groups, other addresses of the policy may say.
    if is_group && !is_always_one(question.protected) && !is_always_one(question.peer) {
        return narrowed;
    }
    let is_near =
        |prefix: &IpNet| prefix.contains(&question.protected) || prefix.contains(&question.peer);
    for list in narrowed.peers.iter_mut().flat_map(BTreeMap::values_mut) {
        list.retain(is_near);
    }
    narrowed.protect.retain_mut(|entry| {
        let first = entry.addresses.first().copied();
        entry.addresses.retain(is_near);
        match first {
            // A group gets what any entry offers.
            Some(first) if is_group && entry.addresses.is_empty() => entry.addresses.push(first),
            Some(_) => return !entry.addresses.is_empty(),
            None => {}
        }
        true
    });
    let rules = [
        &mut narrowed.allow,
        &mut narrowed.management,
        &mut narrowed.outbound_allow,
    ];
    for rules in rules {
        rules.retain(|rule| {
            let is_for_all = rule.from.is_empty() || rule.to.is_empty() || rule.internet;
            is_for_all || rule.from.iter().chain(&rule.to).any(is_near)
        });
    }
    narrowed
}

struct Judge<'a> {
    whole: &'a SitePolicy,
    /// As much of it as is needed.
    policy: &'a SitePolicy,
    machine: &'a Surroundings,
    question: &'a Question,
    /// Whether it helps that the endpoint mapper may hand it out.
    if_handed_out: bool,
    /// Whether these roles help: one that the protected end has besides its own, and the peer's.
    helps: BTreeMap<(Option<RoleId>, RoleId), bool>,
}

impl Judge<'_> {
    fn advice(mut self, near: Vec<Ground>, far: impl FnOnce() -> Vec<Ground>) -> Advice {
        let question = self.question;
        let scopes = scopes::of(self.policy, self.machine);
        let local = scopes.local_at(question.protected);
        if matches!(local, Local::Own | Local::EndsHere) {
            let (changed, hint) = self.ruled(true);
            let hints = self.passes(&changed).then_some(hint);
            return Advice::new(Vec::new(), hints.into_iter().collect());
        }
        let would_allow: Vec<Ground> = near
            .into_iter()
            .filter(|ground| self.helps(ground, false))
            .collect();
        let mut hints = self.of_unlisted(&local);
        let mut roles: Vec<&RoleId> = self
            .helps
            .iter()
            .filter(|(_, helps)| **helps)
            .map(|((_, role), _)| role)
            .collect();
        roles.dedup();
        if self.policy.peers.is_some() {
            hints.extend(
                roles.into_iter().map(|role| {
                    Hint::of_key("[peers]", format!("{role} = [\"{}\"]", question.peer))
                }),
            );
        }
        let mut changes = vec![self.ruled(false)];
        if question.opener == Opener::Protected {
            changes.insert(0, self.tracked());
        }
        let helping = changes.iter().filter(|(changed, _)| self.passes(changed));
        hints.extend(helping.map(|(_, hint)| hint.clone()));
        let would_allow = match would_allow.is_empty() {
            true => far()
                .into_iter()
                .filter(|ground| self.helps(ground, true))
                .collect(),
            false => would_allow,
        };
        Advice::new(would_allow, hints)
    }

    fn passes(&self, policy: &SitePolicy) -> bool {
        self.has(policy, ServiceClass::OTHER)
            || self.if_handed_out && self.has(policy, ServiceClass::HANDED_OUT)
    }

    /// Whether one of the ends may open a service to the other, where [`ServiceClass::OTHER`] stands
    /// for what is asked about.
    fn has(&self, policy: &SitePolicy, service: ServiceClass) -> bool {
        let asked = &self.question.target;
        let mut class = ServiceSet::default();
        class.insert(ServiceClass::OTHER);
        let set_of = |target: &Target| match target.covers(asked) {
            true => class,
            false => ServiceSet::default(),
        };
        let scopes = scopes::of(policy, self.machine);
        let local = scopes.local_at(self.question.protected);
        let peer = scopes.peer_at(self.question.peer);
        Rights::new(policy, &set_of).is_ok_and(|rights| {
            let access = rights.between(&local, &peer);
            opens(
                policy.outbound,
                &access,
                service,
                self.question.opener,
                is_unlisted(&local),
            )
        })
    }

    /// Whether a link would let it pass, if the peer had its role there; `besides`: and the
    /// protected end the other one.
    fn helps(&mut self, ground: &Ground, besides: bool) -> bool {
        let Ground::Link { from, to, .. } = ground else {
            return false;
        };
        let (near, far) = match self.question.opener {
            Opener::Peer => (to, from),
            Opener::Protected => (from, to),
        };
        let near = besides.then(|| RoleId::from(near.as_str()));
        let key = (near, RoleId::from(far.as_str()));
        if let Some(known) = self.helps.get(&key) {
            return *known;
        }
        let changed = self.with_roles(key.0.as_ref(), &key.1);
        let helps = changed.is_some_and(|changed| self.passes(&changed));
        self.helps.insert(key, helps);
        helps
    }

    /// The policy in which the two ends hold these roles; `None` if the peer cannot.
    fn with_roles(&self, near: Option<&RoleId>, far: &RoleId) -> Option<SitePolicy> {
        let Question {
            protected, peer, ..
        } = *self.question;
        let mut changed = self.policy.clone();
        if let Some(near) = near {
            changed.protect.push(Protected {
                name: String::new(),
                roles: vec![near.clone()],
                addresses: vec![IpNet::from(protected)],
                rpc: match self.policy.tracks() {
                    true => Rpc::Tracked,
                    false => Rpc::Static,
                },
                elsewhere: false,
            });
        }
        let (Some(peers), false) = (&mut changed.peers, [ANY, INTERNET].contains(&far.as_str()))
        else {
            return Some(changed);
        };
        // Who has no address cannot be listed.
        let can_be = !peer.is_unspecified()
            && ([PXE_CLIENT, DHCP_RELAY].contains(&far.as_str())
                || self.policy.site.catalog.role(far.as_str()).is_ok());
        let holders = peers.entry(far.clone()).or_default();
        holders.push(IpNet::from(peer));
        can_be.then_some(changed)
    }

    /// An address that no entry lists: each entry could.
    fn of_unlisted(&self, local: &Local<'_>) -> Vec<Hint> {
        let protected = self.question.protected;
        let is_unlisted = matches!(local, Local::Systems { entries, .. } if entries.is_empty());
        let entries = self.whole.protect.iter();
        let entries = entries.filter(|entry| is_unlisted && !entry.elsewhere);
        let helping = entries.filter(|entry| {
            let mut changed = self.policy.clone();
            changed.protect.push(Protected {
                addresses: vec![IpNet::from(protected)],
                ..(*entry).clone()
            });
            self.passes(&changed)
        });
        helping
            .map(|entry| {
                let table = format!("[[protect]] {}", entry.name);
                Hint::of_key(table, format!("addresses = [\"{protected}\"]"))
            })
            .collect()
    }

    fn tracked(&self) -> (SitePolicy, Hint) {
        let mut changed = self.policy.clone();
        changed.outbound = Outbound::Track;
        let hint = Hint {
            flag: Some("--outbound track".to_owned()),
            ..Hint::of_key("[site]", "outbound = \"track\"".to_owned())
        };
        (changed, hint)
    }

    /// The policy with a rule, of the gateway itself or of the protected systems.
    fn ruled(&self, of_gateway: bool) -> (SitePolicy, Hint) {
        let mut changed = self.policy.clone();
        let hint = rule_for(self.whole, self.question, of_gateway);
        let rules = match (of_gateway, self.question.opener) {
            (true, _) => &mut changed.management,
            (false, Opener::Peer) => &mut changed.allow,
            (false, Opener::Protected) => &mut changed.outbound_allow,
        };
        rules.extend(hint.rule.clone());
        (changed, hint)
    }
}
