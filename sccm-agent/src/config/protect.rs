//! `[[protect]]`: the systems behind this machine, or this machine itself.

use super::context::Context;
use super::location::Span;
use super::names::Names;
use super::node::Table;
use super::prefixes;
use super::sets::Wanted;
use super::site::choice;
use crate::catalog::{Catalog, RoleId};
use crate::policy::{DHCP_RELAY, INTERNET, PXE_CLIENT, Protected, Rpc};

/// Reads every entry, in the order of the files. `rpc` is what [site] says.
pub(super) fn read(
    tables: Vec<Table<'_>>,
    catalog: &Catalog,
    rpc: Rpc,
    sets: &mut Wanted,
    cx: &mut Context<'_>,
) -> Vec<Protected> {
    let mut names = Names::default();
    let mut rest: Option<Span> = None;
    let mut entries = Vec::new();
    for mut table in tables {
        let span = table.span;
        let name = names.read(&mut table, cx);
        let roles = roles(&mut table, catalog, cx);
        let node = table.take("addresses");
        if node.is_none() {
            match rest {
                Some(first) => {
                    let message = format!(
                        "this [[protect]] has no addresses, nor has the one at {}: only one can \
                         stand for all others; give this one addresses, or put the roles together",
                        cx.location(first)
                    );
                    cx.refuse(span, message);
                }
                None => rest = Some(span),
            }
        }
        let addresses = node.map(|node| prefixes::listed(node, cx));
        let is_elsewhere = table.take("elsewhere");
        let elsewhere_span = is_elsewhere.as_ref().map(|node| node.span);
        let is_elsewhere = is_elsewhere.and_then(|node| node.boolean(cx));
        if let (Some(true), None, Some(span)) = (is_elsewhere, &addresses, elsewhere_span) {
            cx.refuse(
                span,
                "an entry without addresses stands for what is behind this machine: \
                 `elsewhere` needs addresses",
            );
        }
        if let Some(node) = table.take("sets") {
            sets.read_entry(entries.len(), node, cx);
        }
        let own = table.take("rpc").and_then(|node| node.text(cx));
        let own = own.and_then(|text| choice::<Rpc>(&text, cx));
        table.finish(cx);
        if let Some(name) = name {
            entries.push(Protected {
                name,
                roles,
                addresses: addresses.unwrap_or_default(),
                elsewhere: is_elsewhere.unwrap_or_default(),
                rpc: own.unwrap_or(rpc),
            });
        }
    }
    entries
}

fn roles(table: &mut Table<'_>, catalog: &Catalog, cx: &mut Context<'_>) -> Vec<RoleId> {
    let mut roles: Vec<RoleId> = Vec::new();
    let Some(node) = table.require("roles", "[\"distribution-point\"]", cx) else {
        return roles;
    };
    if node.is_empty_list() {
        cx.refuse(
            node.span,
            "the list is empty: name at least one role, such as \"distribution-point\"; \
             `sccm-agent roles` lists all",
        );
        return roles;
    }
    for text in node.texts(cx).unwrap_or_default() {
        let role = match catalog.role(&text.text) {
            Ok(role) => Ok(&role.id),
            Err(_) if [PXE_CLIENT, DHCP_RELAY].contains(&&*text.text) => Err(format!(
                "`{}` is no role of the document: it says who asks, so it belongs in [peers]",
                text.text
            )),
            Err(error) => Err(error.to_string()),
        };
        let wrong = match role {
            Err(message) => message,
            Ok(id) if id.as_str() == INTERNET => {
                "the Internet cannot be protected: name a role of your own systems".to_owned()
            }
            Ok(id) if roles.contains(id) => format!("{id} is listed twice"),
            Ok(id) => {
                roles.push(id.clone());
                continue;
            }
        };
        cx.refuse(text.span, wrong);
    }
    roles
}
