//! Parts of what a tracked system is asked for by RPC that stay open: ranges that a row lists beside the
//! site's, and rules of the operator's own.

use super::{Warning, add, named, once};
use crate::check::rows::{Holders, Row, View};
use crate::policy::{Compiled, Outbound, Rule, dynamic_range};
use sccm_common::service::ServiceSet;

pub(super) fn find(view: &View<'_>) -> Vec<Warning> {
    let (mut ranges, mut systems, mut links) = (Vec::new(), Vec::new(), Vec::new());
    let is_judged = view.policy.outbound == Outbound::Enforce;
    let outbound = view.outbound.iter().filter(|_| is_judged);
    let stays = |row: &&Row<'_>| {
        let is_nobodys = *view.holders(row.peer) == Holders::Nobody;
        row.handed_out.is_some() && !row.targets.is_empty() && !is_nobodys
    };
    for row in view.inbound.iter().chain(outbound).filter(stays) {
        once(&mut systems, format!("`{}`", row.entry.name));
        add(&mut links, row.link);
        let texts = row.targets.iter().map(ToString::to_string);
        texts.for_each(|text| once(&mut ranges, text));
    }
    let warning = (!ranges.is_empty()).then(|| Warning {
        kind: "rpc-not-tracked",
        message: format!(
            "{}: {} also lists {}, which stays open: only the ports of rpc-range are tracked",
            systems.join(", "),
            named(&links),
            ranges.join(", ")
        ),
        links,
    });
    warning.into_iter().collect()
}

/// Rules whose ports are the range.
pub(super) fn by_rules(compiled: &Compiled, view: &View<'_>) -> Vec<Warning> {
    let policy = view.policy;
    let range = dynamic_range(&policy.site);
    let mut rows = view.inbound.iter().chain(&view.outbound);
    let is_tracked = rows.any(|row| row.handed_out.is_some());
    if !is_tracked || compiled.policy.dynamic != ServiceSet::default() {
        return Vec::new();
    }
    let covers = |rule: &&Rule| {
        let mut targets = rule.targets.iter();
        !rule.tracked && targets.any(|target| target.meets(&range))
    };
    let rules: Vec<String> = policy
        .rules()
        .filter(covers)
        .map(|rule| format!("`{}`", rule.name))
        .collect();
    let warning = (!rules.is_empty()).then(|| Warning {
        kind: "rpc-not-tracked",
        links: Vec::new(),
        message: format!(
            "rule {} names all of {range}: what a rule names is a service of its own, so nothing is \
             left that the endpoint mapper could hand out; name the ports that are needed, or leave \
             the rule out",
            rules.join(", ")
        ),
    });
    warning.into_iter().collect()
}
