//! What would let blocked flows pass, as lines for the policy file.

use crate::blocked::Flow;
use crate::kernel::Clock;
use crate::policy::{OUTBOUND, Rule, SitePolicy, unused};
use crate::units;
use ipnet::IpNet;

const HEADER: &str = "\
# What would let blocked flows pass, for the end of the policy file, or for a file in policy.d.
# Keep what your site needs, and say why: much of it may be blocked for good reasons.";

/// A rule, and what it would let pass.
struct Suggestion {
    table: String,
    rule: Rule,
    evidence: Vec<String>,
}

/// Rules as TOML, each with the flows that it is for in comments. What no rule would let pass
/// follows as comments. No name is one that the policy has.
pub(super) fn text(flows: &[Flow], policy: &SitePolicy, clock: Clock) -> String {
    let (mut suggestions, mut others): (Vec<Suggestion>, Vec<String>) = Default::default();
    for flow in flows {
        let hints = &flow.advice.hints;
        let mut comments = vec![evidence(flow, clock)];
        for hint in hints.iter().filter(|hint| hint.rule.is_none()) {
            comments.push(format!("# or add to {}: {}", hint.table, hint.lines));
        }
        let Some((hint, rule)) = hints
            .iter()
            .find_map(|hint| Some((hint, hint.rule.as_ref()?)))
        else {
            others.extend(comments);
            continue;
        };
        let is_alike = |known: &&mut Suggestion| {
            let own = &known.rule;
            let (peers, systems) = ends(own, &hint.table);
            let (more, others) = ends(rule, &hint.table);
            known.table == hint.table
                && (&own.targets, systems) == (&rule.targets, others)
                && peers.is_empty() == more.is_empty()
        };
        match suggestions.iter_mut().find(is_alike) {
            Some(known) => {
                match known.table == OUTBOUND {
                    true => known.rule.to.extend(&rule.to),
                    false => known.rule.from.extend(&rule.from),
                }
                known.evidence.extend(comments);
            }
            None => suggestions.push(Suggestion {
                table: hint.table.clone(),
                rule: rule.clone(),
                evidence: comments,
            }),
        }
    }
    let mut known = policy.clone();
    let mut parts = vec![HEADER.to_owned()];
    for mut suggestion in suggestions {
        let rule = &mut suggestion.rule;
        for list in [&mut rule.from, &mut rule.to] {
            list.sort();
            list.dedup();
        }
        rule.name = unused(&known, &rule.name);
        known.allow.push(rule.clone());
        let (evidence, table) = (suggestion.evidence.join("\n"), &suggestion.table);
        parts.push(format!(
            "{evidence}\n{table}\n{}",
            rule.toml(table == OUTBOUND)
        ));
    }
    if !others.is_empty() {
        let title = "# No rule would let these pass:";
        parts.push(format!("{title}\n{}", others.join("\n")));
    }
    parts.join("\n\n")
}

/// The peers of a rule of this table, and its protected systems.
fn ends<'r>(rule: &'r Rule, table: &str) -> (&'r [IpNet], &'r [IpNet]) {
    match table == OUTBOUND {
        true => (&rule.to, &rule.from),
        false => (&rule.from, &rule.to),
    }
}

fn evidence(flow: &Flow, clock: Clock) -> String {
    let refused = &flow.refused;
    let [source, destination] = refused.ends(" ");
    format!(
        "# {} packets, the last {} ago: {} from {} to {}, {} on {}, {}",
        flow.packets,
        units::describe(clock.since(flow.last_seen)),
        refused.what(),
        source,
        destination,
        refused.direction,
        refused.interface,
        refused.reason,
    )
}

#[cfg(test)]
mod tests;
