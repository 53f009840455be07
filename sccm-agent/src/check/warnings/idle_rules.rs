//! Rules that change nothing: no packet can match them, or what they let in is
//! let in already.

use super::{Warning, named};
use crate::check::rows::{Holders, Row, View};
use crate::policy::{
    Cover, Outbound, Protected, Rule, SitePolicy, Target, dynamic_range, may_reach_many,
};
use ipnet::IpNet;
use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr};
use std::ops::RangeInclusive;

pub(super) fn find(view: &View<'_>) -> Vec<Warning> {
    let mut warnings = of_allow(view);
    warnings.extend(of_management(view));
    warnings.extend(of_outbound(view));
    warnings
}

/// Those for what goes out.
fn of_outbound(view: &View<'_>) -> Vec<Warning> {
    let rules = &view.policy.outbound_allow;
    let scopes: Vec<Scope> = rules.iter().map(Scope::of_outbound).collect();
    let is_judged = view.policy.outbound == Outbound::Enforce;
    let idle = rules.iter().enumerate().filter_map(|(index, rule)| {
        let unjudged = "[site] outbound is not \"enforce\", so nothing that goes out is judged";
        let why = (!is_judged)
            .then(|| unjudged.to_owned())
            .or_else(|| of_essentials(rule))
            .or_else(|| of_the_other_family(rule))
            .or_else(|| to_groups(rule))
            .or_else(|| by_another(view.policy, rules, &scopes, index))?;
        Some(warning(rule, Vec::new(), &why))
    });
    idle.collect()
}

/// Those of the gateway's own rules.
fn of_management(view: &View<'_>) -> Vec<Warning> {
    let rules = &view.policy.management;
    let scopes: Vec<Scope> = rules.iter().map(Scope::new).collect();
    let idle = rules.iter().enumerate().filter_map(|(index, rule)| {
        let why = from_groups(rule)
            .or_else(|| of_essentials(rule))
            .or_else(|| of_the_other_family(rule))
            .or_else(|| by_another(view.policy, rules, &scopes, index))?;
        Some(warning(rule, Vec::new(), &why))
    });
    idle.collect()
}

fn of_allow(view: &View<'_>) -> Vec<Warning> {
    let rules = &view.policy.allow;
    let scopes: Vec<Scope> = rules.iter().map(Scope::new).collect();
    let protected: Vec<IpNet> = view
        .policy
        .protect
        .iter()
        .flat_map(|entry| entry.addresses.iter().copied())
        .collect();
    let protected = Cover::of(&protected);
    let mut warnings = Vec::new();
    for (index, rule) in rules.iter().enumerate() {
        let why = from_groups(rule)
            .or_else(|| from_protected(rule, &protected))
            .or_else(|| of_essentials(rule))
            .or_else(|| of_the_other_family(rule))
            .or_else(|| to_groups(rule))
            .map(|why| (Vec::new(), why))
            .or_else(|| by_links(view, rule))
            .or_else(|| {
                let why = by_another(view.policy, rules, &scopes, index)?;
                Some((Vec::new(), why))
            });
        if let Some((links, why)) = why {
            warnings.push(warning(rule, links, &why));
        }
    }
    warnings
}

fn warning(rule: &Rule, links: Vec<String>, why: &str) -> Warning {
    Warning {
        kind: "rule-without-effect",
        links,
        message: format!("rule `{}` changes nothing: {why}", rule.name),
    }
}

fn from_groups(rule: &Rule) -> Option<String> {
    let mut from = rule.from.iter();
    let only_groups = !rule.internet
        && !rule.from.is_empty()
        && from.all(|prefix| prefix.network().is_multicast());
    only_groups.then(|| "no packet comes from a multicast address".to_owned())
}

fn from_protected(rule: &Rule, protected: &Cover) -> Option<String> {
    (!rule.internet && !rule.from.is_empty() && protected.has_all(&rule.from)).then(|| {
        "all its sources are protected systems, and what these open is outbound".to_owned()
    })
}

/// ICMP is of IPv4, ICMPv6 of IPv6.
fn of_the_other_family(rule: &Rule) -> Option<String> {
    let speaks = |target: &Target, list: &[IpNet]| {
        let mut list_of = list.iter().map(|prefix| prefix.addr().is_ipv4());
        match target {
            Target::Icmp(_) => list.is_empty() || list_of.any(|is_v4| is_v4),
            Target::Icmpv6(_) => list.is_empty() || list_of.any(|is_v4| !is_v4),
            _ => true,
        }
    };
    let mut targets = rule.targets.iter();
    let is_idle = !targets.any(|target| speaks(target, &rule.from) && speaks(target, &rule.to));
    is_idle.then(|| {
        "icmp is of IPv4 and icmpv6 of IPv6, and it has no address of that family".to_owned()
    })
}

fn to_groups(rule: &Rule) -> Option<String> {
    let broadcast = IpAddr::V4(Ipv4Addr::BROADCAST);
    let is_group =
        |prefix: &IpNet| prefix.network().is_multicast() || prefix.network() == broadcast;
    let only_groups = !rule.internet && !rule.to.is_empty() && rule.to.iter().all(is_group);
    (only_groups && !rule.targets.iter().any(may_reach_many))
        .then(|| "TCP and echo requests never reach a group".to_owned())
}

/// Essentials are judged before any rule (`docs/policy.md`).
fn of_essentials(rule: &Rule) -> Option<String> {
    let is_essential = |target: &Target| match target {
        Target::Icmp(kind) => matches!(kind, 3 | 11 | 12),
        Target::Icmpv6(kind) => matches!(kind, 1..=4 | 130..=136 | 143 | 151..=153),
        Target::Protocol(number) => *number == 2,
        Target::Tcp(_) | Target::Udp(_) => false,
    };
    (!rule.targets.is_empty() && rule.targets.iter().all(is_essential))
        .then(|| "it is about essentials, which no rule lets in or keeps out".to_owned())
}

/// The links that let in everything that the rule lets in.
fn by_links(view: &View<'_>, rule: &Rule) -> Option<(Vec<String>, String)> {
    let to = Cover::of(&rule.to);
    let concerned = |entry: &&Protected| {
        rule.to.is_empty()
            || entry.addresses.is_empty()
            || entry.addresses.iter().any(|prefix| to.touches(prefix))
    };
    let mut links = BTreeSet::new();
    for entry in view.policy.protect.iter().filter(concerned) {
        let rows: Vec<&Row<'_>> = view
            .inbound
            .iter()
            .filter(|row| std::ptr::eq(row.entry, entry) && lets_in(view, row.peer, rule))
            .collect();
        let targets: Vec<&Target> = rows.iter().flat_map(|row| &row.targets).collect();
        if !rule.targets.iter().all(|target| is_among(target, &targets)) {
            return None;
        }
        let open = rows.iter().filter(|row| {
            let mut own = row.targets.iter();
            own.any(|own| rule.targets.iter().any(|target| overlap(own, target)))
        });
        links.extend(open.map(|row| row.link.id.clone()));
    }
    let links: Vec<String> = links.into_iter().collect();
    let why = format!("{} lets in what it lets in", named(&links));
    (!links.is_empty()).then_some((links, why))
}

fn lets_in(view: &View<'_>, peer: &str, rule: &Rule) -> bool {
    let from = &rule.from;
    match view.holders(peer) {
        Holders::Anybody => true,
        Holders::Internet => rule.internet && from.is_empty(),
        Holders::Nobody => false,
        Holders::Listed(_, holders) => !rule.internet && !from.is_empty() && holders.has_all(from),
    }
}

/// The addresses of a rule beside the Internet; none: all.
struct Scope {
    from: Option<Cover>,
    to: Option<Cover>,
}

impl Scope {
    fn new(rule: &Rule) -> Self {
        Self {
            from: cover(&rule.from, rule.internet),
            to: cover(&rule.to, false),
        }
    }

    fn of_outbound(rule: &Rule) -> Self {
        Self {
            from: cover(&rule.from, false),
            to: cover(&rule.to, rule.internet),
        }
    }
}

fn cover(list: &[IpNet], internet: bool) -> Option<Cover> {
    (internet || !list.is_empty()).then(|| Cover::of(list))
}

/// Another rule that lets in all that this one does; of two alike, the first.
fn by_another(
    policy: &SitePolicy,
    rules: &[Rule],
    scopes: &[Scope],
    index: usize,
) -> Option<String> {
    let range = dynamic_range(&policy.site);
    let within = |(inner, own): (&Rule, &Scope), (outer, scope): (&Rule, &Scope)| {
        // What is tracked may be closed.
        let is_open = |target: &&Target| !outer.tracked || inner.tracked || **target != range;
        let targets: Vec<&Target> = outer.targets.iter().filter(is_open).collect();
        let internet = !inner.internet || outer.internet;
        let among = |list: &[IpNet], own: &Option<Cover>, cover: &Option<Cover>| match (own, cover)
        {
            (_, None) => true,
            (None, Some(_)) => false,
            (Some(_), Some(cover)) => internet && cover.has_all(list),
        };
        inner
            .targets
            .iter()
            .all(|target| is_among(target, &targets))
            && among(&inner.from, &own.from, &scope.from)
            && among(&inner.to, &own.to, &scope.to)
    };
    let (rule, own) = (&rules[index], &scopes[index]);
    let mut others = rules.iter().zip(scopes).enumerate();
    let (_, (other, _)) = others.find(|(at, (other, scope))| {
        *at != index
            && within((rule, own), (other, scope))
            && (*at < index || !within((other, scope), (rule, own)))
    })?;
    Some(format!("rule `{}` lets in what it lets in", other.name))
}

/// Whether every packet that a target speaks of is one of the others'.
fn is_among(target: &Target, others: &[&Target]) -> bool {
    let (protocol, range) = numbers(target);
    let mut ranges: Vec<RangeInclusive<u16>> = others
        .iter()
        .map(|other| numbers(other))
        .filter(|(other, _)| *other == protocol)
        .map(|(_, range)| range)
        .collect();
    ranges.sort_by_key(|range| *range.start());
    let mut next = u32::from(*range.start());
    for known in ranges {
        if u32::from(*known.start()) <= next {
            next = next.max(u32::from(*known.end()) + 1);
        }
    }
    next > u32::from(*range.end())
}

fn overlap(a: &Target, b: &Target) -> bool {
    let ((one, a), (other, b)) = (numbers(a), numbers(b));
    one == other && a.start() <= b.end() && b.start() <= a.end()
}

fn numbers(target: &Target) -> (&'static str, RangeInclusive<u16>) {
    match target {
        Target::Tcp(range) | Target::Udp(range) => (target.protocol(), range.clone()),
        Target::Icmp(number) | Target::Icmpv6(number) | Target::Protocol(number) => {
            (target.protocol(), u16::from(*number)..=u16::from(*number))
        }
    }
}
