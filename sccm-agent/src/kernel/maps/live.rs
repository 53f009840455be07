//! Reads the active policy back from the kernel.

use super::Maps;
use crate::policy::Tables;
use anyhow::{Context as _, Result, anyhow};
use std::thread;

/// aya copies values on the stack several times, and a trie has 4 MiB.
const STACK: usize = 256 << 20;

impl Maps {
    /// The tables of the active policy.
    pub fn tables(&self) -> Result<Tables> {
        thread::scope(|scope| {
            let reader = thread::Builder::new()
                .stack_size(STACK)
                .spawn_scoped(scope, || self.read_tables())
                .context("starting a thread")?;
            reader
                .join()
                .map_err(|_| anyhow!("reading the running policy failed"))?
        })
    }

    fn read_tables(&self) -> Result<Tables> {
        let active = self.active_bank()?;
        let policy = self.policies.get(&active, 0);
        let trie = self.tries.get(&active, 0);
        Ok(Tables::new(
            Box::new(policy.context("reading the policy")?),
            &trie.context("reading the prefixes")?,
        ))
    }
}
