//! What the kernel program itself has to say, passed on to the agent's log.

use super::Programs;
use anyhow::{Context as _, Result};
use aya_log::EbpfLogger;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::task::JoinSet;

/// Forwards the records of one interface's programs, until it is dropped.
pub struct LogForwarding {
    _task: JoinSet<()>,
}

impl Programs {
    /// Forwards the programs' records; their hooks keep the programs. Must be called
    /// within a tokio runtime.
    ///
    /// # Errors
    /// The object has no log buffer.
    pub fn forward_log(mut self) -> Result<LogForwarding> {
        let logger = EbpfLogger::init(self.ebpf()).context("opening the kernel program's log")?;
        // SAFETY: the logger owns the buffer's descriptor, which stays the same
        // and open for as long as the logger lives.
        let watched = unsafe { AsyncFd::register_with_interest(logger, Interest::READABLE) };
        let mut logger = watched.context("watching the kernel program's log")?;
        // A set of one, because a set ends its tasks when it is dropped.
        let mut task = JoinSet::new();
        task.spawn(async move {
            while let Ok(mut guard) = logger.readable_mut().await {
                guard.get_inner_mut().flush();
                guard.clear_ready();
            }
        });
        Ok(LogForwarding { _task: task })
    }
}
