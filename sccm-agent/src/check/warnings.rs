//! What a policy allows and may be a mistake.
//!
//! Each kind of warning is a file of its own. A warning names the systems, the
//! links of the document that are behind it, and what would close the hole; it
//! never stops anything (`check --strict` makes it count).

mod anybody;
mod borrowed_ports;
mod co_located;
mod idle_rules;
mod needs;
mod nested;
mod nobody;
mod outbound;
mod rpc_overlap;
mod rpc_untracked;
mod smb_to_clients;
mod stale;
#[cfg(test)]
mod tests;
mod unheld;

use super::rows::{Row, View};
use crate::catalog::Link;
use crate::policy::{self, Compiled, Publish, SitePolicy};
use serde::Serialize;
use std::collections::BTreeSet;

/// Services by which one computer takes over another: file and named-pipe access,
/// remote procedure calls, databases.
const SENSITIVE: [&str; 5] = [
    "smb",
    "netbios-session",
    "rpc-endpoint-mapper",
    "rpc-dynamic",
    "sql",
];

const PROVIDER: &str = "provider";

/// One warning.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Warning {
    /// What kind it is; `docs/policy.md` lists all.
    pub kind: &'static str,
    /// The links of the document that it is about, in their order.
    pub links: Vec<String>,
    /// What is so, and what to do about it.
    pub message: String,
}

/// All warnings about a policy.
pub(super) fn of(view: &View<'_>) -> Vec<Warning> {
    [
        anybody::find,
        co_located::find,
        smb_to_clients::find,
        outbound::find,
        needs::find,
        unheld::find,
        nested::find,
        idle_rules::find,
        rpc_overlap::find,
        rpc_untracked::find,
        nobody::find,
        borrowed_ports::find,
        stale::find,
    ]
    .iter()
    .flat_map(|find| find(view))
    .collect()
}

/// Roles of those whom the protected systems would talk to, and whom nobody has been named for.
pub(super) fn unheld<'v>(view: &'v View<'_>) -> BTreeSet<&'v str> {
    unheld::roles(view)
}

/// Published ports that nobody may open at the system behind them.
pub(super) fn idle_ports(compiled: &Compiled, policy: &SitePolicy) -> Vec<Warning> {
    let idle = policy::idle(compiled, policy).into_iter();
    let warning = |published: &Publish| Warning {
        kind: "rule-without-effect",
        links: Vec::new(),
        message: format!(
            "[[publish]] `{}` lets nobody in: no link or rule lets anybody open its ports at {}",
            published.name, published.to
        ),
    };
    idle.map(warning).collect()
}

/// Rules that leave nothing of the dynamic range to be tracked.
pub(super) fn range_of_a_rule(compiled: &Compiled, view: &View<'_>) -> Vec<Warning> {
    rpc_untracked::by_rules(compiled, view)
}

/// Whether a row opens what an attacker wants. For what the endpoint mapper hands out, the row of the
/// mapper stands.
fn is_sensitive(row: &Row<'_>) -> bool {
    row.handed_out.is_none() && SENSITIVE.contains(&row.service.service.as_str())
        || row.link.to.as_str() == PROVIDER
}

/// Collects links, each once.
pub(super) fn add(links: &mut Vec<String>, link: &Link) {
    if !links.contains(&link.id) {
        links.push(link.id.clone());
    }
}

/// `link 14`, or `links 14, 15`.
pub(super) fn named(links: &[String]) -> String {
    match links {
        [one] => format!("link {one}"),
        several => format!("links {}", several.join(", ")),
    }
}

/// Adds an item to a list, unless it is there.
pub(super) fn once<T: PartialEq>(list: &mut Vec<T>, item: T) {
    if !list.contains(&item) {
        list.push(item);
    }
}
