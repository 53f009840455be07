//! What an inventory and a policy say differently.

use super::text::short;
use crate::policy::SitePolicy;
use ipnet::IpNet;
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// Who holds a role in one of both only.
#[derive(Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Drift {
    /// Those whom the inventory has and the policy lacks, sorted by role.
    pub missing: Vec<Holder>,
    /// Those whom the policy has and the inventory lacks, sorted by role.
    pub surplus: Vec<Holder>,
}

/// An address and its role.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Holder {
    /// Whether it is behind the gateway.
    pub protected: bool,
    /// Its role.
    pub role: String,
    /// An address or a prefix.
    pub address: String,
}

/// Rights of addresses: whether they are protected, and their role.
type Rights = BTreeMap<(bool, String), Vec<IpNet>>;

impl Drift {
    /// Compares; addresses that an aggregate covers are there, and so are aggregates of which every part
    /// is there.
    #[must_use]
    pub fn new(imported: &SitePolicy, policy: &SitePolicy) -> Self {
        let (inventory, policy) = (rights(imported), rights(policy));
        Self {
            missing: lacking(&policy, &inventory),
            surplus: lacking(&inventory, &policy),
        }
    }

    /// Whether both say the same.
    #[must_use]
    pub fn is_none(&self) -> bool {
        self.missing.is_empty() && self.surplus.is_empty()
    }
}

fn rights(policy: &SitePolicy) -> Rights {
    let mut rights = Rights::new();
    for (role, list) in policy.peers.iter().flatten() {
        let key = (false, role.to_string());
        rights.entry(key).or_default().extend(list);
    }
    for entry in policy.protect.iter().filter(|entry| !entry.elsewhere) {
        for role in &entry.roles {
            let key = (true, role.to_string());
            rights.entry(key).or_default().extend(&entry.addresses);
        }
    }
    rights
}

/// What `wanted` has, and `there` lacks.
fn lacking(there: &Rights, wanted: &Rights) -> Vec<Holder> {
    let mut lacking = BTreeSet::new();
    for (key @ (protected, role), list) in wanted {
        let covers = IpNet::aggregate(there.get(key).unwrap_or(&Vec::new()));
        let is_there = |net: &IpNet| {
            // Sorted, and none within another: the last that begins at or before it.
            let after = covers.partition_point(|one| {
                (one.network(), one.prefix_len()) <= (net.network(), net.prefix_len())
            });
            after
                .checked_sub(1)
                .is_some_and(|at| covers[at].contains(net))
        };
        let holders = list.iter().filter(|net| !is_there(net)).map(|net| Holder {
            protected: *protected,
            role: role.clone(),
            address: short(net),
        });
        lacking.extend(holders);
    }
    lacking.into_iter().collect()
}

impl fmt::Display for Drift {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_none() {
            return f.write_str("the policy has what the inventory has");
        }
        let line = |sign: &str, holder: &Holder| {
            let table = match holder.protected {
                true => "[[protect]]",
                false => "[peers]",
            };
            format!("{sign} {table} {} {}", holder.role, holder.address)
        };
        let missing = self.missing.iter().map(|holder| line("+", holder));
        let surplus = self.surplus.iter().map(|holder| line("-", holder));
        let lines: Vec<String> = missing.chain(surplus).collect();
        f.write_str(&lines.join("\n"))
    }
}
