//! What would stop more of a technique.

use super::{Decision, Leg, Variant};
use crate::catalog::Seen;
use crate::policy::{Ground, SitePolicy};

/// Sentences, each once: any of them cuts a variant that is not cut.
pub(super) fn of(policy: &SitePolicy, variants: &[Variant], legs: &[Leg]) -> Vec<String> {
    let mut changes = Vec::new();
    let open = variants.iter().filter(|variant| !variant.cut);
    for variant in open {
        let needed = legs
            .iter()
            .filter(|leg| !leg.optional && leg.variants.iter().any(|name| name == variant.name));
        for change in needed.filter_map(|leg| of_leg(policy, leg)) {
            if !changes.contains(&change) {
                changes.push(change);
            }
        }
    }
    changes
}

fn of_leg(policy: &SitePolicy, leg: &Leg) -> Option<String> {
    let if_handed_out = leg.if_handed_out.iter();
    let if_handed_out = if_handed_out.map(|range| format!("{range} if handed out"));
    let ports: Vec<String> = leg.passes_on.iter().cloned().chain(if_handed_out).collect();
    let (protocol, ports) = (&leg.protocol, ports.join(", "));
    match leg.decision {
        Decision::Dropped | Decision::NoSystem => None,
        Decision::Observed => Some("enforce the policy: nothing is dropped now".to_owned()),
        Decision::NotSeen if leg.seen == Seen::No => None,
        Decision::NotSeen => {
            let system = if leg.seen == Seen::Inbound {
                leg.to
            } else {
                leg.from
            };
            Some(format!("protect the {system}, too: this policy does not"))
        }
        Decision::Passes if leg.only_outbound => Some(format!(
            "write outbound = \"enforce\": no link lets the {} open {protocol} to clients",
            leg.from
        )),
        Decision::Passes => {
            let grounds = leg.because.iter().filter_map(|ground| match ground {
                Ground::Rule { name, .. } => Some(format!("rule {name}")),
                Ground::Link { link, from, to, .. } => {
                    Some(format!("link {link} ({from} to {to})"))
                }
                Ground::OutboundNotEnforced | Ground::Gateway => None,
            });
            let grounds: Vec<String> = grounds.collect();
            if grounds.is_empty() {
                return None;
            }
            let peers = match policy.peers {
                None => "; name [peers], so that only holders of a role may",
                Some(_) => "",
            };
            Some(format!(
                "{protocol}/{ports} from the {} to the {} passes by {}: narrow what lets it{peers}",
                leg.from,
                leg.to,
                grounds.join(" and ")
            ))
        }
    }
}
