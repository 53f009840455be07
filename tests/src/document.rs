//! Pages of `docs/` that are written from tables in the code.

use std::path::Path;
use std::{env, fs};

/// Asserts that the page is what the code says; with `UPDATE_DOCS`, writes it.
///
/// # Panics
/// The page is another, or cannot be written.
pub fn assert_current(page: &str, expected: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../docs")
        .join(page);
    if env::var_os("UPDATE_DOCS").is_some()
        && let Err(error) = fs::write(&path, expected)
    {
        panic!("writing docs/{page}: {error}");
    }
    let found = fs::read_to_string(&path).unwrap_or_default();
    assert!(
        found == expected,
        "docs/{page} is stale: run `UPDATE_DOCS=1 cargo test --lib the_document`"
    );
}
