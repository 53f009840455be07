//! When the certificate of the HTTP server expires.

use std::sync::atomic::{AtomicI64, Ordering};

/// In seconds since 1970; 0 without a certificate.
#[derive(Debug, Default)]
pub struct Certificate(AtomicI64);

impl Certificate {
    /// Notes which one is shown from now on, if any is.
    pub fn note(&self, end: Option<i64>) {
        self.0.store(end.unwrap_or(0), Ordering::Relaxed);
    }

    #[must_use]
    pub fn end(&self) -> i64 {
        self.0.load(Ordering::Relaxed)
    }
}
