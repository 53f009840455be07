//! Reads the active policy back from the kernel.

use super::Maps;
use crate::policy::Tables;
use anyhow::{Context as _, Result, anyhow};
use sccm_common::Policy;
use std::thread;

/// aya copies values on the stack several times, and a trie has 4 MiB.
const STACK: usize = 256 << 20;

impl Maps {
    /// The tables of the active policy.
    pub fn tables(&self) -> Result<Tables> {
        apart(|| {
            let active = self.active_bank()?;
            let trie = self.tries.get(&active, 0);
            Ok(Tables::new(
                self.read_policy(active)?,
                &trie.context("reading the prefixes")?,
            ))
        })
    }

    /// The active policy without the classes of addresses.
    pub(in crate::kernel) fn policy(&self) -> Result<Box<Policy>> {
        apart(|| self.read_policy(self.active_bank()?))
    }

    fn read_policy(&self, bank: u32) -> Result<Box<Policy>> {
        let policy = self.policies.get(&bank, 0);
        Ok(Box::new(policy.context("reading the policy")?))
    }
}

/// On a stack that is large enough.
fn apart<T: Send>(read: impl FnOnce() -> Result<T> + Send) -> Result<T> {
    thread::scope(|scope| {
        let reader = thread::Builder::new()
            .stack_size(STACK)
            .spawn_scoped(scope, read)
            .context("starting a thread")?;
        reader
            .join()
            .map_err(|_| anyhow!("reading the running policy failed"))?
    })
}
