//! From an entry of the kernel's table to what a person is told of the flow.

use super::{Flow, Names, links, target, why};
use crate::catalog::Catalog;
use crate::kernel::Clock;
use crate::metrics::roles_text;
use crate::policy::{Ground, Target};
use anyhow::Result;
use sccm_common::abi::PolicyInfo;
use sccm_common::blocked::BlockedFlow;
use std::collections::HashMap;

/// Explains flows; looks for the links of each target once.
#[derive(Debug)]
pub struct Explainer {
    catalog: Catalog,
    roles: Vec<String>,
    links: HashMap<Target, Vec<Ground>>,
}

impl Explainer {
    /// For flows that this policy blocks: its roles come first among the links.
    ///
    /// # Errors
    /// The catalog cannot be read: a bug.
    pub fn of(policy: &PolicyInfo) -> Result<Self> {
        let roles = roles_text(policy);
        Ok(Self {
            catalog: Catalog::edition_2007()?,
            roles: roles.split(',').map(str::to_owned).collect(),
            links: HashMap::new(),
        })
    }

    /// Who was refused what, why, and which links would let it pass.
    pub fn explain(&mut self, flow: &BlockedFlow, names: &Names, clock: Clock) -> Flow {
        Flow {
            refused: names.of(&flow.key),
            why: why(flow),
            packets: flow.packets,
            bytes: flow.bytes,
            first_seen: clock.unix(flow.first),
            last_seen: clock.unix(flow.last),
            would_allow: target(flow).map_or_else(Vec::new, |target| self.links_of(target)),
        }
    }

    fn links_of(&mut self, target: Target) -> Vec<Ground> {
        let entry = self.links.entry(target);
        let found = entry.or_insert_with_key(|target| links(&self.catalog, &self.roles, target));
        found.clone()
    }
}
