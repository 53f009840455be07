//! The documents: their links lead somewhere, and their examples are what they say.

mod examples;
mod links;

use std::path::PathBuf;

/// The folder of the checkout.
fn root() -> PathBuf {
    std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}
