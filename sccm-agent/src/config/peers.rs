//! `[peers]`: which addresses hold which role.

use super::context::Context;
use super::node::Table;
use super::prefixes::{self, Addresses};
use crate::catalog::{ANY, Catalog, RoleId, Sets, UnknownRole, nearest};
use crate::policy::{DHCP_RELAY, INTERNET, PXE_CLIENT, SitePolicy};
use ipnet::IpNet;
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

/// Reads `[peers]`.
pub(super) fn read(
    table: Option<Table<'_>>,
    catalog: &Catalog,
    cx: &mut Context<'_>,
) -> Option<BTreeMap<RoleId, Vec<IpNet>>> {
    let table = table?;
    if table.entries.is_empty() {
        cx.refuse(
            table.span,
            "[peers] names nobody, so nobody could open anything: name the holders of the roles, \
             or leave [peers] out to let every address be the other end of any link",
        );
    }
    let mut peers = BTreeMap::new();
    for (key, (span, node)) in table.entries {
        let role = match known(catalog, &key) {
            Ok(role) => role,
            Err(message) => {
                cx.refuse(span, message);
                continue;
            }
        };
        // An empty list says that nobody holds it, and that the site knows.
        let addresses = match node.is_empty_list() {
            true => Vec::new(),
            false => match prefixes::read(node, cx) {
                Some(Addresses::Any) => prefixes::everywhere().to_vec(),
                Some(Addresses::Listed(listed)) => listed,
                None => continue,
            },
        };
        match peers.entry(role) {
            Entry::Vacant(place) => {
                place.insert(addresses);
            }
            Entry::Occupied(place) => {
                cx.refuse(span, format!("{} is named twice", place.key()));
            }
        }
    }
    Some(peers)
}

/// The addresses that hold a role, by `[peers]` and by what is protected.
///
/// # Errors
/// It is no role of peers, or nobody holds it.
pub(super) fn holders(policy: &SitePolicy, id: &str) -> Result<Vec<IpNet>, String> {
    let catalog = policy.site.catalog;
    let role = known(catalog, id)?;
    let is_role = |held: &RoleId| {
        let known = catalog.role(held.as_str());
        *held == role || known.is_ok_and(|known| catalog.lineage(known).contains(&&role))
    };
    let peers = policy.peers.iter().flatten();
    let peers = peers.filter(|(held, _)| is_role(held));
    let peers = peers.flat_map(|(_, listed)| listed);
    let systems = policy.protect.iter();
    let systems = systems.filter(|entry| entry.roles.iter().any(is_role));
    let systems = systems.flat_map(|entry| &entry.addresses);
    let holders: Vec<IpNet> = peers.chain(systems).copied().collect();
    match holders.is_empty() {
        true => Err(format!(
            "no address holds the role `{id}`: list some in [peers], or write addresses here"
        )),
        false => Ok(holders),
    }
}

/// The role, if a peer may hold it.
fn known(catalog: &Catalog, id: &str) -> Result<RoleId, String> {
    match id {
        PXE_CLIENT | DHCP_RELAY => Ok(RoleId::from(id)),
        id if Sets::known().has_peer(id) => Ok(RoleId::from(id)),
        INTERNET => Err(format!(
            "`{INTERNET}` is every address that is not internal: set [site] internal instead"
        )),
        ANY => Err(format!(
            "`{ANY}` is not a role: name the role that every address holds"
        )),
        _ => {
            let unknown = match catalog.role(id) {
                Ok(role) => return Ok(role.id.clone()),
                Err(unknown) => unknown,
            };
            let roles = catalog.all_roles().map(|role| role.id.as_str());
            let others = Sets::known().peers().map(|peer| peer.id.as_str());
            let unknown = UnknownRole {
                nearest: nearest(id, roles.chain([PXE_CLIENT, DHCP_RELAY]).chain(others)),
                ..unknown
            };
            Err(unknown.to_string())
        }
    }
}
