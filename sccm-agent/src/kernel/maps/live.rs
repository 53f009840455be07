//! The active policy, read back whole.

use super::Maps;
use crate::policy::Tables;
use anyhow::{Context as _, Result};
use sccm_common::address::{Entry, Family};
use std::collections::BTreeMap;

impl Maps {
    /// The tables of the active policy.
    ///
    /// # Errors
    /// The kernel refuses a read.
    pub fn tables(&self) -> Result<Tables> {
        let active = self.active.get(&0, 0)?;
        let policy = Box::new(
            self.policies
                .get(&active, 0)
                .context("reading the policy")?,
        );
        let mut roots = [Vec::new(), Vec::new()];
        let mut chunks = BTreeMap::new();
        for family in [Family::V4, Family::V6] {
            let root = self.roots.get(&(active * 2 + family as u32), 0);
            let root = root.context("reading the prefixes")?;
            let mut wanted = behind(&root);
            while let Some(number) = wanted.pop() {
                let chunk = self.chunks.get(&number, 0);
                let chunk = chunk.context("reading the prefixes")?;
                if chunks.insert(number, chunk).is_none() {
                    wanted.extend(behind(&chunk));
                }
            }
            roots[family as usize] = root.to_vec();
        }
        Ok(Tables::new(policy, roots, chunks))
    }
}

/// The chunks that these entries lead to.
fn behind(entries: &[Entry]) -> Vec<u32> {
    let chunks = entries.iter().filter_map(|entry| entry.decode().err());
    chunks.collect()
}
