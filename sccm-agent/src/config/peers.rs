//! `[peers]`: which addresses hold which role.

use super::context::Context;
use super::node::Table;
use super::prefixes::{self, Addresses};
use crate::catalog::{ANY, Catalog, RoleId, UnknownRole, nearest};
use crate::policy::{DHCP_RELAY, INTERNET, PXE_CLIENT};
use ipnet::IpNet;
use std::collections::BTreeMap;

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
        if let Err(message) = known(catalog, &key) {
            cx.refuse(span, message);
            continue;
        }
        let addresses = match prefixes::read(node, cx) {
            Some(Addresses::Any) => prefixes::everywhere().to_vec(),
            Some(Addresses::Listed(listed)) => listed,
            None => continue,
        };
        peers.insert(RoleId::from(&*key), addresses);
    }
    Some(peers)
}

/// Whether a peer may hold this role.
fn known(catalog: &Catalog, id: &str) -> Result<(), String> {
    match id {
        PXE_CLIENT | DHCP_RELAY => Ok(()),
        INTERNET => Err(format!(
            "`{INTERNET}` is every address that is not internal: set [site] internal instead"
        )),
        ANY => Err(format!(
            "`{ANY}` is not a role: name the role that every address holds"
        )),
        _ if catalog.role(id).is_ok() => Ok(()),
        _ => {
            let roles = catalog.roles.iter().map(|role| role.id.as_str());
            let unknown = UnknownRole {
                asked: id.to_owned(),
                nearest: nearest(id, roles.chain([PXE_CLIENT, DHCP_RELAY])),
            };
            Err(unknown.to_string())
        }
    }
}
