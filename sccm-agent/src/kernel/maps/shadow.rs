//! The shadow: a candidate in a bank of its own, which judges and changes nothing.
//!
//! Where it decides otherwise than the active policy is counted in pages of its own. They
//! begin anew with every candidate, so that what they say is about this one.

use super::{Maps, counters, grace_period, unix_time};
use crate::policy::Compiled;
use anyhow::{Context as _, Result};
use sccm_common::abi::PolicyInfo;
use sccm_common::policy::{SHADOW_BANK, SHADOWED};

impl Maps {
    /// Has `compiled` judge beside the active policy, in place of the candidate before. If it
    /// is the same as it was written, its counters go on; otherwise they start at zero. Takes
    /// as long as [`Maps::publish`].
    ///
    /// # Errors
    /// The kernel refuses a write; there is no shadow then.
    pub fn cast_shadow(&mut self, compiled: &Compiled) -> Result<()> {
        let before = self.shadow()?;
        let same = before.filter(|before| before.source == compiled.info.source);
        self.end_shadow()?;
        self.write_names(&compiled.services)?;
        // A packet that began under the candidate before may still be reading it.
        grace_period()?;
        if same.is_none() {
            counters::reset_shadow(&mut self.shadow_counters)
                .context("resetting the shadow's counters")?;
        }
        let info = PolicyInfo {
            // It has no place in the order of what was published.
            generation: 0,
            published: same.map_or_else(unix_time, |same| same.published),
            ..compiled.info
        };
        self.fill(SHADOW_BANK, compiled, info)?;
        let word = self.active.get(&0, 0)?;
        self.active
            .set(0, word | SHADOWED, 0)
            .context("starting the shadow")
    }

    /// Ends the shadow, if there is one. Its counters stay until the next begins.
    ///
    /// # Errors
    /// The kernel refuses the write.
    pub fn end_shadow(&mut self) -> Result<()> {
        let word = self.active.get(&0, 0)?;
        self.active
            .set(0, word & !SHADOWED, 0)
            .context("ending the shadow")
    }

    /// What is said about the shadow, if there is one; it was `published` when it began.
    ///
    /// # Errors
    /// The kernel refuses the read.
    pub fn shadow(&self) -> Result<Option<PolicyInfo>> {
        if self.active.get(&0, 0)? & SHADOWED == 0 {
            return Ok(None);
        }
        Ok(Some(self.infos.get(&SHADOW_BANK, 0)?))
    }

    /// Every counter that is not zero of frames that the shadow passes and the active policy
    /// drops, or the other way about, summed over the CPUs. Reasons are the shadow's.
    ///
    /// # Errors
    /// The kernel refuses the read.
    pub fn shadow_counters(&self) -> Result<Vec<counters::Reading>> {
        let names = self.service_names()?;
        counters::read_shadow(&self.shadow_counters, &self.interfaces()?, &names)
    }
}
