//! Tells errors after which something is no longer as it was from those before.
//!
//! A command that fails before it changes anything ends with exit code 2. One that fails
//! afterwards says so in its error, by [`Changed`] as a context, and ends with exit code 1.

use std::fmt;

/// The context of an error that comes after something was changed.
#[derive(Debug, Clone, Copy)]
pub struct Changed;

impl fmt::Display for Changed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("something may have changed")
    }
}
