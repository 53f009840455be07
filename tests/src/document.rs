//! Files that are written from the code: pages of `docs/`, and what commands print.

use std::path::Path;
use std::{env, fs};

/// Asserts that the page is what the code says; with `UPDATE_DOCS`, writes it.
///
/// # Panics
/// The page is another, or cannot be written.
pub fn assert_current(page: &str, expected: &str) {
    assert_file("docs", page, expected);
}

/// The same of a file of `tests/golden`: what a command prints.
///
/// # Panics
/// As [`assert_current`].
pub fn assert_golden(name: &str, expected: &str) {
    assert_file("tests/golden", name, expected);
}

fn assert_file(folder: &str, name: &str, expected: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("..")
        .join(folder)
        .join(name);
    if env::var_os("UPDATE_DOCS").is_some()
        && let Err(error) = fs::write(&path, expected)
    {
        panic!("writing {folder}/{name}: {error}");
    }
    let found = fs::read_to_string(&path).unwrap_or_default();
    assert!(
        found == expected,
        "{folder}/{name} is stale: run `UPDATE_DOCS=1 cargo test --lib the_document`"
    );
}
