//! `[names]`: what people call addresses.

use super::context::Context;
use super::node::Table;
use super::prefixes;
use crate::visible::one_line;
use ipnet::IpNet;
use std::collections::BTreeMap;

/// Characters of a name: as many as a DNS name may have (RFC 1035).
const LONGEST: usize = 253;

pub(super) fn read(table: Option<Table<'_>>, cx: &mut Context<'_>) -> BTreeMap<String, Vec<IpNet>> {
    let mut names = BTreeMap::new();
    for (name, (span, node)) in table.into_iter().flat_map(|table| table.entries) {
        let is_shown = one_line(&name) == name;
        if name.trim().is_empty() || name.chars().count() > LONGEST || !is_shown {
            let message = format!(
                "`{}` is not a name for an address: write 1 to {LONGEST} characters that can be seen",
                name.escape_debug()
            );
            cx.refuse(span, message);
        }
        names.insert(name.into_owned(), prefixes::listed(node, cx));
    }
    names
}
