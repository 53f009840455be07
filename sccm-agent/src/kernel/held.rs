//! Attached programs: this process keeps them open, and forwards what they log.

use super::Programs;
use anyhow::{Context as _, Result};
use aya_log::EbpfLogger;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::task::JoinSet;

/// The attached programs of one interface. As long as this lives, their log records are
/// forwarded, and `describe_program` of other agents names this process.
pub struct Held {
    _programs: Programs,
    _log: JoinSet<()>,
}

impl Programs {
    /// Keeps them open, and forwards their log records. Must be called within a tokio runtime.
    ///
    /// # Errors
    /// The object has no log buffer.
    pub fn hold(mut self) -> Result<Held> {
        let logger = EbpfLogger::init(self.ebpf()).context("opening the kernel program's log")?;
        // SAFETY: the logger owns the buffer's descriptor, which stays the same
        // and open for as long as the logger lives.
        let watched = unsafe { AsyncFd::register_with_interest(logger, Interest::READABLE) };
        let mut logger = watched.context("watching the kernel program's log")?;
        // A set, because it ends its task when it is dropped.
        let mut log = JoinSet::new();
        log.spawn(async move {
            while let Ok(mut guard) = logger.readable_mut().await {
                guard.get_inner_mut().flush();
                guard.clear_ready();
            }
        });
        Ok(Held {
            _programs: self,
            _log: log,
        })
    }
}
