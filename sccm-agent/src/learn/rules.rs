//! Rules that let pass what was seen, and nothing else.
//!
//! A rule lets all of its peers open all of its ports at all of its systems. So conversations are put
//! together only where that says no more than they did.

use super::date;
use super::input::Seen;
use crate::policy::{Labels, OUTBOUND, Rule, SitePolicy, Surroundings, Target, advise, unused};
use ipnet::IpNet;
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};

/// Lines of evidence of one rule; further conversations are a number.
const EVIDENCE: usize = 20;

/// A rule, and what it is for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Proposal {
    /// The table of the policy file: `[[allow]]`, `[[outbound.allow]]`, `[[management.allow]]`.
    pub table: String,
    /// Its lines, as TOML.
    pub lines: String,
    /// Conversations that it lets pass.
    pub conversations: usize,
    /// What was seen of them: who, how often, when first and last, both ways.
    pub evidence: Vec<String>,
    /// What to write instead, where a role would do.
    pub instead: Vec<String>,
    /// The rule itself.
    #[serde(skip)]
    pub rule: Rule,
}

/// What rules have in common that may be one.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Shape {
    table: String,
    protocol: &'static str,
    /// As text, which is in order.
    targets: BTreeSet<String>,
    from: BTreeSet<IpNet>,
    to: BTreeSet<IpNet>,
}

/// What a shape was made from.
type Made = BTreeMap<Shape, (BTreeMap<String, Target>, BTreeSet<usize>)>;

/// The rules, and what no rule would let pass.
pub(super) fn of(
    policy: &SitePolicy,
    machine: &Surroundings,
    seen: &[&Seen],
    labels: &Labels,
) -> (Vec<Proposal>, Vec<String>) {
    let (mut made, mut unhelped) = (Made::new(), Vec::new());
    let mut instead: Vec<Vec<String>> = Vec::new();
    for (number, one) in seen.iter().enumerate() {
        let advice = advise(policy, machine, &one.question).unwrap_or_default();
        // What would open everything is no answer to single conversations.
        let roles = advice.hints.iter();
        let roles = roles.filter(|hint| hint.rule.is_none() && hint.table != "[site]");
        instead.push(roles.map(|hint| hint.brief.clone()).collect());
        let hinted = advice
            .hints
            .iter()
            .find_map(|hint| Some((hint, hint.rule.as_ref()?)));
        let Some((hint, rule)) = hinted else {
            unhelped.push(evidence(one, labels));
            continue;
        };
        let target = one.question.target.clone();
        let shape = Shape {
            table: hint.table.clone(),
            protocol: target.protocol(),
            targets: BTreeSet::from([target.to_string()]),
            from: rule.from.iter().copied().collect(),
            to: rule.to.iter().copied().collect(),
        };
        let (targets, numbers) = made.entry(shape).or_default();
        targets.insert(target.to_string(), target);
        numbers.insert(number);
    }
    // Ports of the same two ends; then peers; then systems: each time all else is the same.
    let made = joined(made, |shape| &mut shape.targets);
    let made = joined(made, |shape| &mut shape.from);
    let made = joined(made, |shape| &mut shape.to);
    let mut known = policy.clone();
    let proposals = made.into_iter().map(|(shape, (targets, numbers))| {
        let name = format!("learned-{}", first_name(&shape));
        let rule = Rule {
            name: unused(&known, &name),
            targets: targets.into_values().collect(),
            from: shape.from.into_iter().collect(),
            to: shape.to.into_iter().collect(),
            tracked: false,
            internet: false,
            reason: "why this site needs it".to_owned(),
        };
        known.allow.push(rule.clone());
        let of = |number: &usize| seen.get(*number).map(|one| evidence(one, labels));
        let mut lines: Vec<String> = numbers.iter().filter_map(of).collect();
        let more = lines.len().saturating_sub(EVIDENCE);
        lines.truncate(EVIDENCE);
        if more > 0 {
            lines.push(format!("and {more} more conversations"));
        }
        let hints = numbers
            .iter()
            .filter_map(|number| instead.get(*number))
            .flatten();
        let hints: BTreeSet<&String> = hints.collect();
        Proposal {
            lines: rule.toml(shape.table == OUTBOUND),
            table: shape.table,
            conversations: numbers.len(),
            evidence: lines,
            instead: hints.into_iter().take(EVIDENCE).cloned().collect(),
            rule,
        }
    });
    (proposals.collect(), unhelped)
}

/// `tcp-25`, of the first port.
fn first_name(shape: &Shape) -> String {
    let first = shape.targets.first().map_or("", String::as_str);
    first.replace('/', "-")
}

/// Puts those together that differ in this part alone. Who is anybody (an empty list) stays apart.
fn joined<T: Ord + Clone>(made: Made, part: fn(&mut Shape) -> &mut BTreeSet<T>) -> Made {
    let mut alike: BTreeMap<(Shape, bool), Vec<(Shape, Made)>> = BTreeMap::new();
    for (shape, parts) in made {
        let mut rest = shape.clone();
        let is_anybody = std::mem::take(part(&mut rest)).is_empty();
        let one = Made::from([(shape.clone(), parts)]);
        alike
            .entry((rest, is_anybody))
            .or_default()
            .push((shape, one));
    }
    let mut joined = Made::new();
    for group in alike.into_values() {
        let mut members = group.into_iter();
        let Some((mut whole, first)) = members.next() else {
            continue;
        };
        let (mut targets, mut numbers) = first.into_values().next().unwrap_or_default();
        for (mut shape, one) in members {
            let more = std::mem::take(part(&mut shape));
            part(&mut whole).extend(more);
            for (of_one, its) in one.into_values() {
                targets.extend(of_one);
                numbers.extend(its);
            }
        }
        joined.insert(whole, (targets, numbers));
    }
    joined
}

/// Who opened what at whom, how often, and when.
fn evidence(seen: &Seen, labels: &Labels) -> String {
    let end = |address| match labels.get(address) {
        Some(name) => format!("{address} ({name})"),
        None => address.to_string(),
    };
    let [there, back] = seen.packets;
    let back = match back {
        0 => "no answer seen".to_owned(),
        back => format!("{back} back"),
    };
    format!(
        "{} opens {} at {}: {there} packets, {back}; first {}, last {} UTC",
        end(seen.opener()),
        seen.question.target,
        end(seen.server()),
        date(seen.first),
        date(seen.last),
    )
}
