//! What would let something pass that does not: links of the document, and lines for the policy
//! file.
//!
//! Each is a change of the policy. It is made, and the same question asked again; what would not
//! help is not named. Rights are judged as the compiler judges them, for the two ends alone.

use super::explain::{Ground, Opener, Question, opens};
use super::rights::Rights;
use super::scopes::{self, Local};
use super::{
    DHCP_RELAY, INTERNET, Outbound, PXE_CLIENT, Protected, Rule, SitePolicy, Surroundings, Target,
    address_of,
};
use crate::catalog::{ANY, RoleId};
use ipnet::IpNet;
use sccm_common::ServiceClass;
use sccm_common::service::ServiceSet;
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};

/// The most that is named of one thing; the rest is a count.
const MOST: usize = 5;

/// What would let something pass.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
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
    let judge = Judge {
        whole: policy,
        policy: &narrowed,
        machine,
        question,
        helps: BTreeMap::new(),
    };
    judge.advice(near, far)
}

/// Only what says anything about the two ends, so that asking again is cheap.
fn narrowed(policy: &SitePolicy, machine: &Surroundings, question: &Question) -> SitePolicy {
    let scopes = scopes::of(policy, machine);
    let is_group = matches!(
        scopes.local_at(question.protected),
        Local::Group { .. } | Local::EndsHere
    );
    let mut narrowed = policy.clone();
    // What is a group, other addresses of the policy may say.
    if is_group || scopes.peer_at(question.peer).group {
        return narrowed;
    }
    let is_near =
        |prefix: &IpNet| prefix.contains(&question.protected) || prefix.contains(&question.peer);
    for list in narrowed.peers.iter_mut().flat_map(BTreeMap::values_mut) {
        list.retain(is_near);
    }
    narrowed.protect.retain_mut(|entry| {
        let is_everything_else = entry.addresses.is_empty();
        entry.addresses.retain(is_near);
        is_everything_else || !entry.addresses.is_empty()
    });
    for rules in [&mut narrowed.allow, &mut narrowed.management] {
        rules.retain(|rule| rule.from.is_empty() || rule.from.iter().chain(&rule.to).any(is_near));
    }
    narrowed
}

struct Judge<'a> {
    whole: &'a SitePolicy,
    /// As much of it as is needed.
    policy: &'a SitePolicy,
    machine: &'a Surroundings,
    question: &'a Question,
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
        let (changed, hint) = match question.opener {
            Opener::Peer => self.ruled(false),
            Opener::Protected => self.tracked(),
        };
        if self.passes(&changed) {
            hints.push(hint);
        }
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
                ServiceClass::OTHER,
                self.question.opener,
                &local,
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
        match of_gateway {
            true => changed.management.extend(hint.rule.clone()),
            false => changed.allow.extend(hint.rule.clone()),
        }
        (changed, hint)
    }
}

/// A rule that lets in what is asked about, and nothing else.
fn rule_for(policy: &SitePolicy, question: &Question, of_gateway: bool) -> Hint {
    let Question {
        protected,
        peer,
        target,
        ..
    } = question;
    // A rule for whoever has no address yet is for everybody.
    let from = (!peer.is_unspecified()).then(|| IpNet::from(*peer));
    // Where no addresses are listed, naming one would cost a look-up for each packet.
    let mut listed = policy.protect.iter().flat_map(|entry| &entry.addresses);
    let (family, address) = address_of(*protected);
    let is_listed = listed.any(|prefix| prefix.contains(protected)) || address.is_group(family);
    let to = (is_listed && !of_gateway).then(|| IpNet::from(*protected));
    let rule = Rule {
        name: unused(policy, &target.to_string().replace('/', "-")),
        targets: vec![target.clone()],
        from: from.into_iter().collect(),
        to: to.into_iter().collect(),
        reason: "why this site needs it".to_owned(),
    };
    let (table, flag) = match of_gateway {
        true => ("[[management.allow]]", "--manage"),
        false => ("[[allow]]", "--allow"),
    };
    let at = from.map_or_else(String::new, |_| format!("@{peer}"));
    let by = from.map_or_else(|| "anybody".to_owned(), |_| peer.to_string());
    Hint {
        table: table.to_owned(),
        lines: rule.toml(),
        brief: format!("{table} {target} from {by}"),
        flag: Some(format!("{flag} {target}{at}")),
        rule: Some(rule),
    }
}

/// A name that nothing in the policy has.
pub(crate) fn unused(policy: &SitePolicy, wanted: &str) -> String {
    let rules = policy.allow.iter().chain(&policy.management);
    let rules = rules.map(|rule| &rule.name);
    let published = policy.publish.iter().map(|one| &one.name);
    let taken: BTreeSet<&String> = rules.chain(published).collect();
    let numbered = (2..).map(|number| format!("{wanted}-{number}"));
    let mut names = std::iter::once(wanted.to_owned()).chain(numbered);
    names.find(|name| !taken.contains(name)).unwrap_or_default()
}

/// What lets something in where the policy is not known.
pub(super) fn rule_hint(question: &Question, of_gateway: bool) -> Hint {
    rule_for(&SitePolicy::default(), question, of_gateway)
}

impl Rule {
    /// As the policy file has it, without its table's header.
    #[must_use]
    pub fn toml(&self) -> String {
        let prefixes = |list: &[IpNet]| {
            let list =
                list.iter().map(
                    |prefix| match prefix.prefix_len() == prefix.max_prefix_len() {
                        true => format!("\"{}\"", prefix.addr()),
                        false => format!("\"{prefix}\""),
                    },
                );
            format!("[{}]", list.collect::<Vec<_>>().join(", "))
        };
        // All targets of a rule are of one protocol.
        let protocol = self.targets.first().map_or("ip", Target::protocol);
        let ports = self.targets.iter().map(|target| {
            let text = target.to_string();
            let numbers = text.rsplit('/').next().unwrap_or_default();
            match numbers.contains('-') {
                true => format!("\"{numbers}\""),
                false => numbers.to_owned(),
            }
        });
        let mut lines = vec![
            format!("name = \"{}\"", self.name),
            format!("protocol = \"{protocol}\""),
            format!("ports = [{}]", ports.collect::<Vec<_>>().join(", ")),
            match self.from.as_slice() {
                [] => "from = \"any\"".to_owned(),
                from => format!("from = {}", prefixes(from)),
            },
        ];
        if !self.to.is_empty() {
            lines.push(format!("to = {}", prefixes(&self.to)));
        }
        lines.push(format!("reason = \"{}\"", self.reason));
        lines.join("\n")
    }
}
