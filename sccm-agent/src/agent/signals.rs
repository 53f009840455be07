//! The signals that an agent obeys.

use anyhow::Result;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// A signal that comes while the agent starts waits here until the agent has started.
pub(crate) struct Signals {
    pub terminate: Signal,
    pub interrupt: Signal,
    pub hangup: Signal,
}

impl Signals {
    /// # Errors
    /// The kernel refuses a handler.
    pub(crate) fn catch() -> Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hangup: signal(SignalKind::hangup())?,
        })
    }
}
