//! A port of its own inside the dynamic RPC range: who may use RPC may open it.

use super::{Warning, add, named};
use crate::check::rows::{Row, View};
use crate::policy::{Rpc, Target};
use std::collections::BTreeMap;
use std::ops::RangeInclusive;

const RPC_DYNAMIC: &str = "rpc-dynamic";

pub(super) fn find(view: &View<'_>) -> Vec<Warning> {
    let range: RangeInclusive<u16> = view.policy.site.rpc_range.into();
    let (low, high) = (*range.start(), *range.end());
    let mut rows = view.inbound.iter();
    // Of what is tracked, nothing is open that has a service of its own.
    let is_static = |row: &Row<'_>| row.entry.rpc == Rpc::Static;
    if !rows.any(|row| row.service.service == RPC_DYNAMIC && is_static(row)) {
        return Vec::new();
    }
    let mut inside: BTreeMap<(&str, u16), Vec<String>> = BTreeMap::new();
    for row in view
        .inbound
        .iter()
        .filter(|row| row.service.service != RPC_DYNAMIC && is_static(row))
    {
        for target in &row.targets {
            if let Target::Tcp(ports) = target
                && *ports.start() <= high
                && low <= *ports.end()
            {
                let key = (row.service.service.as_str(), *ports.start());
                add(inside.entry(key).or_default(), row.link);
            }
        }
    }
    let warning = |((service, port), links): ((&str, u16), Vec<String>)| Warning {
        kind: "port-in-rpc-range",
        message: format!(
            "{service} on tcp {port} ({}) lies in the dynamic RPC range {low}-{high}: whoever may \
             use RPC may open it, too; move the port or the range",
            named(&links)
        ),
        links,
    };
    inside.into_iter().map(warning).collect()
}
