//! Rules that open the same, together: many prefixes then make few classes.

use super::{Rule, Target};
use ipnet::IpNet;
use std::collections::HashMap;

/// Rules that differ only in their peers, and why.
#[derive(Debug)]
pub(super) struct RuleGroup<'a> {
    /// What may be opened.
    pub targets: &'a [Target],
    /// At which protected systems, or by which; none: by all.
    pub systems: &'a [IpNet],
    /// Whether anybody is the other end.
    pub everybody: bool,
    /// Whether the Internet is.
    pub internet: bool,
    /// Who is, otherwise.
    pub peers: Vec<IpNet>,
    /// Whether their dynamic range is RPC's.
    pub tracked: bool,
}

/// The groups of rules that let peers in, in the order of their first rules.
pub(super) fn of(rules: &[Rule]) -> Vec<RuleGroup<'_>> {
    group(rules, |rule| (&rule.to, &rule.from))
}

/// The groups of rules that let protected systems out.
pub(super) fn outbound(rules: &[Rule]) -> Vec<RuleGroup<'_>> {
    group(rules, |rule| (&rule.from, &rule.to))
}

/// `ends` gives the protected systems of a rule, and the peers.
fn group(rules: &[Rule], ends: impl Fn(&Rule) -> (&[IpNet], &[IpNet])) -> Vec<RuleGroup<'_>> {
    let mut groups: Vec<RuleGroup<'_>> = Vec::new();
    let mut known = HashMap::new();
    for rule in rules {
        let (systems, peers) = ends(rule);
        let key = (&rule.targets, systems, rule.tracked);
        let index = *known.entry(key).or_insert_with(|| {
            groups.push(RuleGroup {
                targets: &rule.targets,
                systems,
                everybody: false,
                internet: false,
                peers: Vec::new(),
                tracked: rule.tracked,
            });
            groups.len() - 1
        });
        let group = &mut groups[index];
        group.everybody |= peers.is_empty() && !rule.internet;
        group.internet |= rule.internet;
        group.peers.extend(peers);
    }
    groups
}
