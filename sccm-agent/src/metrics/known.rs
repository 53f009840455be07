//! What only the agent knows, and the kernel does not: gaps, reloads, the words of rules.

use super::reference as table;
use super::series::{Scrape, Series};
use crate::policy::SitePolicy;
use anyhow::Result;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The rules of the running policy: name, reason.
#[derive(Debug, Default)]
pub struct Rules(Mutex<BTreeSet<(String, String)>>);

impl Rules {
    /// Takes note of the policy that runs now; of one that another agent published,
    /// nothing is known.
    pub fn tell(&self, policy: Option<&SitePolicy>) {
        let rules = policy.into_iter();
        let rules = rules.flat_map(|policy| policy.allow.iter().chain(&policy.management));
        let told = rules.map(|rule| (rule.name.clone(), rule.reason.clone()));
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = told.collect();
    }

    pub(super) fn tell_in(&self, scrape: &mut Scrape) -> Result<()> {
        let mut info = Series::new(&table::POLICY_RULE_INFO);
        for (name, reason) in self.0.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            info.add(&[name, reason], 1.0)?;
        }
        scrape.tell(info);
        Ok(())
    }
}

/// How the last reload went; the agent's start counts as one.
#[derive(Debug, Default)]
pub struct Reloads {
    failed: AtomicBool,
    succeeded: AtomicI64,
}

impl Reloads {
    /// Notes how a reload went that has just ended.
    pub fn note(&self, succeeded: bool) {
        self.failed.store(!succeeded, Ordering::Relaxed);
        if succeeded {
            let now = SystemTime::now().duration_since(UNIX_EPOCH);
            let seconds = now.unwrap_or_default().as_secs();
            let seconds = i64::try_from(seconds).unwrap_or(i64::MAX);
            self.succeeded.store(seconds, Ordering::Relaxed);
        }
    }

    pub(super) fn tell_in(&self, scrape: &mut Scrape) -> Result<()> {
        let successful = !self.failed.load(Ordering::Relaxed);
        scrape.single(&table::LAST_RELOAD_SUCCESSFUL, super::is(successful))?;
        let succeeded = self.succeeded.load(Ordering::Relaxed) as f64;
        scrape.single(&table::LAST_RELOAD_SUCCESS, succeeded)
    }
}

/// How long interfaces have been without their programs, since the agent began.
#[derive(Debug, Default)]
pub struct Gaps(Mutex<BTreeMap<String, Duration>>);

impl Gaps {
    /// Adds a time to an interface's.
    pub fn add(&self, interface: &str, gap: Duration) {
        let mut gaps = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *gaps.entry(interface.to_owned()).or_default() += gap;
    }

    pub(super) fn all(&self) -> BTreeMap<String, Duration> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}
