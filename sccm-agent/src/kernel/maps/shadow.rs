//! The shadow: a candidate in a bank of its own judges every packet beside the active policy,
//! and changes nothing.
//!
//! Packets that the two judge differently are counted in pages of their own, and their flows noted in
//! a table of their own, which both start empty with every candidate.

use super::{Maps, counters, grace_period, unix_time};
use crate::policy::Compiled;
use anyhow::{Context as _, Result};
use sccm_common::abi::PolicyInfo;
use sccm_common::blocked::{BUCKETS, BlockedFlow, Bucket, SETS, WAYS};
use sccm_common::counter::{Counter, PAGE_COUNTERS, SHADOW_PAGES};
use sccm_common::policy::{SHADOW_BANK, SHADOWED};

impl Maps {
    /// Starts a shadow that judges by `compiled`, in place of the candidate before. What was
    /// counted and noted is cleared, unless both were compiled from the same written policy. Takes as long as
    /// [`Maps::publish`].
    ///
    /// # Errors
    /// The kernel refuses a write; there is no shadow then.
    pub fn cast_shadow(&mut self, compiled: &Compiled) -> Result<()> {
        let before = self.shadow()?;
        let same = before.filter(|before| before.hash == compiled.info.hash);
        self.end_shadow()?;
        self.write_names(&compiled.services)?;
        // A program may still be reading the candidate before.
        grace_period()?;
        if same.is_none() {
            self.forget_shadow()
                .context("clearing the counters and flows of the previous candidate")?;
        }
        let info = PolicyInfo {
            // Only published policies have a generation.
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

    fn forget_shadow(&mut self) -> Result<()> {
        let page = [Counter::default(); PAGE_COUNTERS];
        counters::clear(&mut self.shadow_counters, page, 0..SHADOW_PAGES)?;
        let set = [BlockedFlow::NONE; WAYS];
        counters::clear(&mut self.shadow_flows, set, 0..SETS)?;
        counters::clear(&mut self.shadow_buckets, Bucket::default(), 0..BUCKETS)
    }

    /// Ends the shadow, if there is one. What it has counted and noted stays until the next begins.
    pub fn end_shadow(&mut self) -> Result<()> {
        let word = self.active.get(&0, 0)?;
        self.active
            .set(0, word & !SHADOWED, 0)
            .context("ending the shadow")
    }

    /// What agents say about the shadow, if there is one; `published` is when it began.
    pub fn shadow(&self) -> Result<Option<PolicyInfo>> {
        if self.active.get(&0, 0)? & SHADOWED == 0 {
            return Ok(None);
        }
        Ok(Some(self.infos.get(&SHADOW_BANK, 0)?))
    }

    /// Every counter above zero, summed over the CPUs, of frames that the shadow passes and the
    /// active policy drops, or the other way round. Reasons are the shadow's.
    pub fn shadow_counters(&self) -> Result<Vec<counters::Reading>> {
        let names = self.service_names()?;
        counters::read_shadow(&self.shadow_counters, &self.interfaces()?, &names)
    }
}
