//! Which sites the protected systems talk to.

use super::systems::System;
use std::collections::{BTreeMap, BTreeSet};

/// The sites of a hierarchy, each with its parent.
#[derive(Debug, Default)]
pub(super) struct Sites(BTreeMap<String, String>);

impl Sites {
    pub(super) fn of(systems: &[System]) -> Self {
        let with_parent = systems
            .iter()
            .filter(|system| !system.parent.is_empty() && system.parent != system.site);
        Self(
            with_parent
                .map(|system| (system.site.clone(), system.parent.clone()))
                .collect(),
        )
    }

    pub(super) fn parent(&self, site: &str) -> Option<&str> {
        self.0.get(site).map(String::as_str)
    }

    pub(super) fn children<'s>(&'s self, site: &'s str) -> impl Iterator<Item = &'s str> {
        self.0
            .iter()
            .filter(move |(_, parent)| *parent == site)
            .map(|(child, _)| child.as_str())
    }

    /// These, and all below them: their clients are assigned to a site above them.
    pub(super) fn with_descendants(&self, sites: &BTreeSet<String>) -> BTreeSet<String> {
        let mut all = sites.clone();
        loop {
            let more: Vec<String> = all
                .iter()
                .flat_map(|site| self.children(site))
                .filter(|child| !all.contains(*child))
                .map(str::to_owned)
                .collect();
            if more.is_empty() {
                return all;
            }
            all.extend(more);
        }
    }
}
