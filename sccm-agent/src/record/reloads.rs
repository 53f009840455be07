//! How the last reload went; the agent's start counts as one.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

#[derive(Debug, Default)]
pub struct Reloads {
    failed: AtomicBool,
    succeeded: AtomicU64,
}

impl Reloads {
    /// Notes how a reload went that has just ended.
    pub fn note(&self, succeeded: bool) {
        self.failed.store(!succeeded, Ordering::Relaxed);
        if succeeded {
            let now = SystemTime::now().duration_since(UNIX_EPOCH);
            let seconds = now.unwrap_or_default().as_secs();
            self.succeeded.store(seconds, Ordering::Relaxed);
        }
    }

    #[must_use]
    pub fn last_succeeded(&self) -> bool {
        !self.failed.load(Ordering::Relaxed)
    }

    /// When a reload succeeded last, in seconds since 1970; 0 before the first.
    #[must_use]
    pub fn last_success(&self) -> u64 {
        self.succeeded.load(Ordering::Relaxed)
    }
}
