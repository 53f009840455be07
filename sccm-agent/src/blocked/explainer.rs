//! From what the kernel noted to what people are told.

use super::{Flow, Names, links, target, why};
use crate::catalog::{Catalog, Edition};
use crate::kernel::Clock;
use crate::policy::{Ground, Target, roles_text};
use crate::site::Site;
use sccm_common::abi::PolicyInfo;
use sccm_common::blocked::BlockedFlow;
use std::collections::HashMap;

/// Targets whose links are remembered. Somebody who scans ports makes up thousands.
const REMEMBERED: usize = 1024;

/// Names flows, and remembers which links carry what they wanted.
#[derive(Default)]
pub struct Explainer {
    /// As the document describes it, because the kernel does not have the site's own ports.
    /// `None`: the edition is not known, and no link is named.
    site: Option<Site>,
    roles: Vec<String>,
    links: HashMap<Target, Vec<Ground>>,
}

impl Explainer {
    /// From now on links are those of this policy's edition, and those of its roles come first.
    pub fn set_policy(&mut self, policy: &PolicyInfo) {
        let edition = Edition::numbered(policy.edition);
        let site = edition.map(|edition| Site::new(Catalog::of(edition)));
        let roles: Vec<String> = roles_text(policy).split(',').map(str::to_owned).collect();
        if (&self.site, &self.roles) != (&site, &roles) {
            (self.site, self.roles) = (site, roles);
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
        let Some(site) = &self.site else {
            return Vec::new();
        };
        if self.links.len() >= REMEMBERED {
            self.links.clear();
        }
        let known = self.links.entry(target);
        known
            .or_insert_with_key(|target| links(site, &self.roles, target))
            .clone()
    }
}
