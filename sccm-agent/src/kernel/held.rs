//! Programs that are attached: who holds them, and what they have to say.

use super::Programs;
use anyhow::{Context as _, Result};
use aya_log::EbpfLogger;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::task::JoinSet;

/// The attached programs of one interface: until this is dropped, their records are forwarded,
/// and whoever asks is told that this process holds them.
pub struct Held {
    _programs: Programs,
    _log: JoinSet<()>,
}

impl Programs {
    /// Holds them, and forwards their records. Must be called within a tokio runtime.
    ///
    /// # Errors
    /// The object has no log buffer.
    pub fn hold(mut self) -> Result<Held> {
        let logger = EbpfLogger::init(self.ebpf()).context("opening the kernel program's log")?;
        // SAFETY: the logger owns the buffer's descriptor, which stays the same
        // and open for as long as the logger lives.
        let watched = unsafe { AsyncFd::register_with_interest(logger, Interest::READABLE) };
        let mut logger = watched.context("watching the kernel program's log")?;
        // A set of one, because a set ends its tasks when it is dropped.
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
