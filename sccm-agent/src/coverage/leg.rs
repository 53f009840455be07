//! One flow of a technique, asked of the compiled policy.

use super::ends::{self, ATTACKER, Systems};
use crate::catalog::{
    AttackFlow, AttackPort, NamedPort, Position, Protocol, Purpose, Seen, Technique, Techniques,
};
use crate::policy::{
    self, Ground, Kind, Kinds, Opener, Question, Request, SitePolicy, Target, ports_of, table_of,
};
use crate::site::Site;
use anyhow::Result;
use sccm_common::service::ServiceSet;
use serde::Serialize;
use std::collections::{BTreeSet, HashMap};
use std::net::IpAddr;
use std::ops::RangeInclusive;

/// What becomes of a flow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Decision {
    /// It passes on one of its ports.
    Passes,
    /// It is dropped on all of its ports.
    Dropped,
    /// It would be dropped, and passes, because nothing is dropped.
    Observed,
    /// It goes past all systems that the policy protects.
    NotSeen,
    /// The policy says that the site has no such system.
    NoSystem,
}

impl Decision {
    /// Whether it ends what needs the flow.
    #[must_use]
    pub const fn cuts(self) -> bool {
        matches!(self, Self::Dropped | Self::NoSystem)
    }
}

/// A flow of a technique, and what becomes of it.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Leg {
    /// Who opens it.
    pub from: &'static str,
    /// Who listens.
    pub to: &'static str,
    /// What is spoken.
    pub service: &'static str,
    /// `tcp` or `udp`.
    pub protocol: String,
    /// Its ports at this site, of which it needs one.
    pub ports: Vec<String>,
    /// What it is for.
    pub leg: Purpose,
    /// How it comes by the systems that a policy may protect.
    pub seen: Seen,
    /// The variants of the technique that need it.
    pub variants: &'static [String],
    /// Whether they can do without it.
    pub optional: bool,
    /// What becomes of it.
    pub decision: Decision,
    /// The names of the protected systems that it was asked of.
    pub systems: Vec<String>,
    /// The ports on which it passes.
    pub passes_on: Vec<String>,
    /// The ports on which it passes only when the endpoint mapper hands them out: whoever may ask the
    /// mapper is told one, so that stops nothing.
    pub if_handed_out: Vec<String>,
    /// Two addresses and a port with which it passes, or would.
    pub example: Option<Example>,
    /// What lets it pass.
    pub because: Vec<Ground>,
    /// Whether it passes only because what goes out is not enforced.
    pub only_outbound: bool,
}

/// Something that may be opened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Example {
    /// Who opens it.
    pub from: IpAddr,
    /// Who listens.
    pub to: IpAddr,
    /// Such as `tcp/445`.
    pub what: String,
}

/// Asks a policy.
pub(super) struct Judge<'a> {
    request: &'a Request<'a>,
    kinds: &'a Kinds<'a>,
    grounds: HashMap<Question, Vec<Ground>>,
}

/// What the ends of a flow come to.
enum Asked<'a> {
    /// The policy is asked: protected ends, other ends, and who opens.
    Of(Vec<&'a Kind>, Vec<&'a Kind>, Opener, BTreeSet<usize>),
    /// It need not be asked.
    Settled(Decision),
}

impl<'a> Judge<'a> {
    pub(super) fn new(request: &'a Request<'a>, kinds: &'a Kinds<'a>) -> Self {
        Self {
            request,
            kinds,
            grounds: HashMap::new(),
        }
    }

    pub(super) const fn policy(&self) -> &'a SitePolicy {
        self.request.policy
    }

    /// What becomes of a flow.
    pub(super) fn leg(
        &mut self,
        technique: &'static Technique,
        flow: &'static AttackFlow,
    ) -> Result<Leg> {
        let techniques = Techniques::known();
        let ports = ports(flow, &self.policy().site);
        let mut leg = Leg {
            from: techniques.name(&flow.from),
            to: techniques.name(&flow.to),
            service: &flow.service,
            protocol: flow.protocol.to_string(),
            ports: texts(&ports),
            leg: flow.leg,
            seen: flow.seen,
            variants: &flow.variants,
            optional: flow.optional,
            decision: Decision::NotSeen,
            systems: Vec::new(),
            passes_on: Vec::new(),
            if_handed_out: Vec::new(),
            example: None,
            because: Vec::new(),
            only_outbound: false,
        };
        let (locals, peers, opener, entries) = match self.ends(technique.at, flow) {
            Asked::Settled(decision) => {
                leg.decision = decision;
                return Ok(leg);
            }
            Asked::Of(locals, peers, opener, entries) => (locals, peers, opener, entries),
        };
        let protect = &self.policy().protect;
        let names = entries.iter().map(|entry| protect[*entry].name.clone());
        leg.systems = names.collect();
        let table = table_of(&self.kinds.compiled.policy, &leg.protocol);
        let mut open = ServiceSet::default();
        let mut handed_out = ServiceSet::default();
        let mut first = None;
        let mut by_right = ServiceSet::default();
        for local in locals {
            for peer in peers.iter().filter(|peer| peer.is_of_family(local)) {
                let set = self.kinds.open(opener, local, peer);
                let on_demand = self.kinds.handed_out(opener, local, peer);
                let access = self.kinds.access(local, peer);
                by_right = by_right.union(match opener {
                    Opener::Peer => access.inbound,
                    Opener::Protected => access.outbound,
                });
                open = open.union(set);
                handed_out = handed_out.union(on_demand);
                by_right = by_right.union(on_demand);
                if first.is_none() {
                    let set = set.union(on_demand);
                    let mut passing = ports.iter().flat_map(|range| ports_of(table, set, range));
                    first = passing.next().map(|range| (local, *peer, *range.start()));
                }
            }
        }
        let passing = |set| {
            ports
                .iter()
                .flat_map(move |range| ports_of(table, set, range))
        };
        leg.passes_on = texts(&passing(open).collect::<Vec<_>>());
        leg.if_handed_out = texts(&passing(handed_out).collect::<Vec<_>>());
        leg.only_outbound = first.is_some() && passing(by_right).next().is_none();
        leg.decision = match (first.is_some(), self.request.observe) {
            (true, _) => Decision::Passes,
            (false, true) => Decision::Observed,
            (false, false) => Decision::Dropped,
        };
        if let Some((local, peer, port)) = first {
            let question = Question {
                opener,
                protected: local.example(),
                peer: peer.example(),
                target: target(flow.protocol, port),
            };
            leg.example = Some(example(&question));
            leg.because = self.because(question)?;
        }
        Ok(leg)
    }

    fn ends(&self, at: Position, flow: &AttackFlow) -> Asked<'a> {
        let kinds = self.kinds;
        let (system, other, opener) = match flow.seen {
            Seen::No => return Asked::Settled(Decision::NotSeen),
            Seen::Inbound => (&flow.to, &flow.from, Opener::Peer),
            Seen::Outbound => (&flow.from, &flow.to, Opener::Protected),
        };
        let Some(role) = Techniques::known().role(system, kinds.policy.site.catalog) else {
            return Asked::Settled(Decision::NotSeen);
        };
        let inside = match other.as_str() {
            ATTACKER => ends::inside(kinds, at),
            _ => Vec::new(),
        };
        match ends::systems(kinds, role) {
            Systems::Nobody => Asked::Settled(Decision::NoSystem),
            // Both are behind this machine, which sees nothing of what they say to each other.
            Systems::Here(..) if !inside.is_empty() => Asked::Settled(Decision::NotSeen),
            Systems::Here(locals, entries) => {
                let peers = ends::beyond(kinds, other, at);
                match peers.is_empty() {
                    true => Asked::Settled(Decision::NotSeen),
                    false => Asked::Of(locals, peers, opener, entries),
                }
            }
            Systems::Elsewhere if inside.is_empty() => Asked::Settled(Decision::NotSeen),
            // The attacker's computer is the protected one.
            Systems::Elsewhere => {
                let peers = ends::beyond(kinds, system, at);
                let opener = match opener {
                    Opener::Peer => Opener::Protected,
                    Opener::Protected => Opener::Peer,
                };
                let entries = inside.iter().flat_map(|kind| &kind.systems);
                let entries = entries.copied().collect();
                Asked::Of(inside, peers, opener, entries)
            }
        }
    }

    fn because(&mut self, question: Question) -> Result<Vec<Ground>> {
        if let Some(known) = self.grounds.get(&question) {
            return Ok(known.clone());
        }
        let answer = policy::answer(self.request, &self.kinds.compiled, &question)?;
        self.grounds.insert(question, answer.because.clone());
        Ok(answer.because)
    }
}

fn example(question: &Question) -> Example {
    let (from, to) = match question.opener {
        Opener::Peer => (question.peer, question.protected),
        Opener::Protected => (question.protected, question.peer),
    };
    Example {
        from,
        to,
        what: question.target.to_string(),
    }
}

fn target(protocol: Protocol, port: u16) -> Target {
    match protocol {
        Protocol::Udp => Target::Udp(port..=port),
        _ => Target::Tcp(port..=port),
    }
}

/// The ports of a flow at a site, each range once.
pub(super) fn ports(flow: &AttackFlow, site: &Site) -> Vec<RangeInclusive<u16>> {
    let mut found: Vec<RangeInclusive<u16>> = Vec::new();
    for port in &flow.ports {
        let both = |document: u16, moved: u16| vec![document..=document, moved..=moved];
        let ranges = match port {
            AttackPort::Number(number) => vec![*number..=*number],
            AttackPort::Named(NamedPort::Http) => both(80, site.http.http().get()),
            AttackPort::Named(NamedPort::Https) => both(443, site.http.https().get()),
            AttackPort::Named(NamedPort::Sql) => both(1433, site.sql.get()),
            AttackPort::Named(NamedPort::Dynamic) => vec![site.rpc_range.into()],
            AttackPort::Named(NamedPort::Any) => vec![1..=u16::MAX],
        };
        for range in ranges {
            if !found.contains(&range) {
                found.push(range);
            }
        }
    }
    found
}

fn texts(ranges: &[RangeInclusive<u16>]) -> Vec<String> {
    let text = |range: &RangeInclusive<u16>| match range.start() == range.end() {
        true => range.start().to_string(),
        false => format!("{}-{}", range.start(), range.end()),
    };
    ranges.iter().map(text).collect()
}
