//! From what the kernel noted to what people are told.

use super::{Flow, Names, links, target, why};
use crate::catalog::Catalog;
use crate::kernel::Clock;
use crate::policy::{Ground, Target};
use anyhow::Result;
use sccm_common::blocked::BlockedFlow;
use std::collections::HashMap;

/// Targets whose links are remembered. Somebody who scans ports makes up thousands.
const REMEMBERED: usize = 1024;

/// Names flows, and remembers which links carry what they wanted.
pub struct Explainer {
    catalog: &'static Catalog,
    roles: Vec<String>,
    links: HashMap<Target, Vec<Ground>>,
}

impl Explainer {
    /// One that puts the links of no role first.
    ///
    /// # Errors
    /// The embedded catalog is broken.
    pub fn new() -> Result<Self> {
        Ok(Self {
            catalog: Catalog::edition_2007()?,
            roles: Vec::new(),
            links: HashMap::new(),
        })
    }

    /// From now on the links of these roles come first.
    pub fn set_roles(&mut self, roles: &[String]) {
        if self.roles != roles {
            self.roles = roles.to_vec();
            self.links.clear();
        }
    }

    /// A flow with its names, its reason, and what would let it pass.
    pub fn explain(&mut self, flow: &BlockedFlow, names: &Names, clock: Clock) -> Flow {
        Flow {
            refused: names.of(&flow.key),
            why: why(flow),
            packets: flow.packets,
            bytes: flow.bytes,
            first_seen: clock.unix(flow.first),
            last_seen: clock.unix(flow.last),
            would_allow: target(flow).map_or_else(Vec::new, |target| self.links(target)),
        }
    }

    fn links(&mut self, target: Target) -> Vec<Ground> {
        if self.links.len() >= REMEMBERED {
            self.links.clear();
        }
        let known = self.links.entry(target);
        known
            .or_insert_with_key(|target| links(self.catalog, &self.roles, target))
            .clone()
    }
}
