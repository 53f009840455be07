//! How long interfaces have been without their programs.

use super::lock;
use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::Duration;

/// The times of all gaps, added up for each interface.
#[derive(Debug, Default)]
pub struct Gaps(Mutex<BTreeMap<String, Duration>>);

impl Gaps {
    pub fn add(&self, interface: &str, gap: Duration) {
        *lock(&self.0).entry(interface.to_owned()).or_default() += gap;
    }

    /// By the interface's name; only interfaces that had a gap.
    #[must_use]
    pub fn all(&self) -> BTreeMap<String, Duration> {
        lock(&self.0).clone()
    }
}
