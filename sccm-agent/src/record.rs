//! What only the agent knows, and the kernel does not: gaps, reloads, the reasons of rules, what
//! the policy's file says, errors that it went on after, and when its certificate expires.
//!
//! Those who do or see such a thing write it down here; the metrics read it.

mod certificate;
mod drift;
mod errors;
mod gaps;
mod reloads;
mod rules;

pub use certificate::Certificate;
pub use drift::Drift;
pub use errors::{Errors, Part};
pub use gaps::Gaps;
pub use reloads::Reloads;
pub use rules::Rules;

use std::sync::{Mutex, MutexGuard, PoisonError};

/// All of it, since the agent began.
#[derive(Debug, Default)]
pub struct Record {
    pub gaps: Gaps,
    pub reloads: Reloads,
    pub rules: Rules,
    pub drift: Drift,
    pub errors: Errors,
    pub certificate: Certificate,
}

/// Nothing here is ever half written, so what a thread left that panicked can be used.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
