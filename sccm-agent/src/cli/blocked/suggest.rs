//! What would let blocked flows pass, as lines for the policy file.

use crate::blocked::Flow;
use crate::kernel::Clock;
use crate::policy::{Rule, SitePolicy, unused};
use crate::units;

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
            known.table == hint.table
                && (&own.targets, &own.to) == (&rule.targets, &rule.to)
                && own.from.is_empty() == rule.from.is_empty()
        };
        match suggestions.iter_mut().find(is_alike) {
            Some(known) => {
                known.rule.from.extend(&rule.from);
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
        rule.from.sort();
        rule.from.dedup();
        rule.name = unused(&known, &rule.name);
        known.allow.push(rule.clone());
        let (evidence, table) = (suggestion.evidence.join("\n"), &suggestion.table);
        parts.push(format!("{evidence}\n{table}\n{}", rule.toml()));
    }
    if !others.is_empty() {
        let title = "# No rule would let these pass:";
        parts.push(format!("{title}\n{}", others.join("\n")));
    }
    parts.join("\n\n")
}

fn evidence(flow: &Flow, clock: Clock) -> String {
    let refused = &flow.refused;
    format!(
        "# {} packets, the last {} ago: {} from {} to {}, {} on {}, {}",
        flow.packets,
        units::describe(clock.since(flow.last_seen)),
        refused.what(),
        refused.source,
        refused.destination,
        refused.direction,
        refused.interface,
        refused.reason,
    )
}

#[cfg(test)]
mod tests;
