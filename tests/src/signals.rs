//! Ctrl-C as an ordinary event, so that everything is dropped and nothing stays behind.
//!
//! The signals are blocked in every thread and received by one that waits for nothing else. The
//! main flow asks between its steps and returns an error like any other; no code runs in a signal
//! handler. Commands of a [`Namespace`](crate::netns::Namespace) start with no signal blocked;
//! others inherit the block, so that `ip` finishes its work while the program is ending.

use std::fmt;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result};
use nix::sys::signal::{SigSet, Signal};

/// Notices SIGINT, SIGTERM and SIGHUP for the rest of the program's life.
#[derive(Clone, Debug)]
pub struct Interrupt {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    received: Mutex<Option<Signal>>,
    changed: Condvar,
}

/// The error by which an interrupted program ends: the signal that arrived.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Interrupted(pub Signal);

impl Interrupted {
    /// The exit code that shells use for this signal: 128 and its number.
    pub fn exit_code(self) -> u8 {
        128 + self.0 as u8
    }
}

impl fmt::Display for Interrupted {
    fn fmt(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        write!(formatter, "interrupted by {}", self.0)
    }
}

impl std::error::Error for Interrupted {}

impl Interrupt {
    /// Starts to notice. Call it first in `main`: threads that run already would still be killed
    /// by the signals.
    pub fn watch() -> Result<Self> {
        let signals: SigSet = [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP]
            .into_iter()
            .collect();
        signals.thread_block().context("cannot block signals")?;
        let interrupt = Self {
            shared: Arc::default(),
        };
        let shared = Arc::clone(&interrupt.shared);
        let receive = move || {
            // Further signals change nothing: the program is already on its way out.
            while let Ok(signal) = signals.wait() {
                lock(&shared.received).get_or_insert(signal);
                shared.changed.notify_all();
            }
        };
        thread::Builder::new()
            .name("signals".into())
            .spawn(receive)
            .context("cannot start the thread that waits for signals")?;
        Ok(interrupt)
    }

    /// Fails once a signal has arrived. Call it between steps.
    ///
    /// # Errors
    /// The signal that arrived first.
    pub fn check(&self) -> Result<(), Interrupted> {
        self.sleep(Duration::ZERO)
    }

    /// Waits, but no longer than until a signal arrives.
    ///
    /// # Errors
    /// The signal that arrived first.
    pub fn sleep(&self, duration: Duration) -> Result<(), Interrupted> {
        let (received, _) = self
            .shared
            .changed
            .wait_timeout_while(lock(&self.shared.received), duration, |signal| {
                signal.is_none()
            })
            .unwrap_or_else(PoisonError::into_inner);
        match *received {
            Some(signal) => Err(Interrupted(signal)),
            None => Ok(()),
        }
    }
}

fn lock(received: &Mutex<Option<Signal>>) -> MutexGuard<'_, Option<Signal>> {
    received.lock().unwrap_or_else(PoisonError::into_inner)
}
