//! Rules that open the same, together: many prefixes then make few classes.

use super::{Rule, Target};
use ipnet::IpNet;
use std::collections::HashMap;

/// Rules that differ only in who may, and why.
#[derive(Debug)]
pub(super) struct RuleGroup<'a> {
    /// What may be opened.
    pub targets: &'a [Target],
    /// Where; none: everywhere.
    pub to: &'a [IpNet],
    /// Whether anybody may.
    pub everybody: bool,
    /// Who may, otherwise.
    pub from: Vec<IpNet>,
}

/// The groups of some rules, in the order of their first rules.
pub(super) fn of(rules: &[Rule]) -> Vec<RuleGroup<'_>> {
    let mut groups: Vec<RuleGroup<'_>> = Vec::new();
    let mut known = HashMap::new();
    for rule in rules {
        let index = *known.entry((&rule.targets, &rule.to)).or_insert_with(|| {
            groups.push(RuleGroup {
                targets: &rule.targets,
                to: &rule.to,
                everybody: false,
                from: Vec::new(),
            });
            groups.len() - 1
        });
        let group = &mut groups[index];
        group.everybody |= rule.from.is_empty();
        group.from.extend(&rule.from);
    }
    groups
}
