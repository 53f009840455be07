//! Errors of those parts of the agent that go on after one.

use std::sync::atomic::{AtomicU64, Ordering};

/// A part that tries again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    BlockedLog,
    Metrics,
    Page,
    Rpc,
    Trial,
    Watcher,
}

impl Part {
    pub const ALL: [Self; 6] = [
        Self::BlockedLog,
        Self::Metrics,
        Self::Page,
        Self::Rpc,
        Self::Trial,
        Self::Watcher,
    ];

    /// The name in metrics.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::BlockedLog => "blocked-log",
            Self::Metrics => "metrics",
            Self::Page => "page",
            Self::Rpc => "rpc",
            Self::Trial => "trial",
            Self::Watcher => "watcher",
        }
    }
}

/// How many there were, since the agent began.
#[derive(Debug, Default)]
pub struct Errors([AtomicU64; Part::ALL.len()]);

impl Errors {
    pub fn count(&self, part: Part) {
        self.0[part as usize].fetch_add(1, Ordering::Relaxed);
    }

    #[must_use]
    pub fn of(&self, part: Part) -> u64 {
        self.0[part as usize].load(Ordering::Relaxed)
    }
}
