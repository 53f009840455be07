//! What the kernel program itself has to say, passed on to the agent's log.

use super::Programs;
use anyhow::{Context as _, Result};
use aya_log::EbpfLogger;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

impl Programs {
    /// Forwards the programs' records until the process ends. Must be called
    /// within a tokio runtime.
    ///
    /// # Errors
    /// The object has no log buffer.
    pub fn forward_log(&mut self) -> Result<()> {
        let logger = EbpfLogger::init(self.ebpf()).context("opening the kernel program's log")?;
        // SAFETY: the logger owns the buffer's descriptor, which stays the same
        // and open for as long as the logger lives.
        let watched = unsafe { AsyncFd::register_with_interest(logger, Interest::READABLE) };
        let mut logger = watched.context("watching the kernel program's log")?;
        tokio::spawn(async move {
            while let Ok(mut guard) = logger.readable_mut().await {
                guard.get_inner_mut().flush();
                guard.clear_ready();
            }
        });
        Ok(())
    }
}
