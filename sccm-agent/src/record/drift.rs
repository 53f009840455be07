//! What the policy's file says, seen now and then: it may differ from what is enforced.

use super::lock;
use std::sync::Mutex;

/// What somebody saw who looked at the file. Nothing where there is no file, or nobody has looked yet.
#[derive(Debug, Default)]
pub struct Drift(Mutex<Option<Option<String>>>);

impl Drift {
    /// The file holds the policy with this hash, in hexadecimal; `None`: it cannot be read.
    pub fn note(&self, policy: Option<String>) {
        *lock(&self.0) = Some(policy);
    }

    /// Whether the file holds anything else than the policy with this hash.
    #[must_use]
    pub fn differs_from(&self, active: &str) -> bool {
        let seen = lock(&self.0);
        seen.as_ref()
            .is_some_and(|seen| seen.as_deref() != Some(active))
    }
}
