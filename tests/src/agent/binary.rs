//! Where the program to test is: beside this one, where cargo puts it.
//!
//! Cargo builds it with the tests of its own package, and xtask with the demonstration, the
//! benchmark and the soak. An emulated machine has both in one folder.

use std::path::PathBuf;

use anyhow::{Context, Result, ensure};

const NAME: &str = "sccm-agent";

/// The program's path.
pub(super) fn find() -> Result<PathBuf> {
    let this = std::env::current_exe()?;
    // Tests are in target/PROFILE/deps, programs in target/PROFILE.
    let directory = this
        .ancestors()
        .skip(1)
        .find(|directory| !directory.ends_with("deps"))
        .context("this program is in no directory")?;
    let binary = directory.join(NAME);
    ensure!(
        binary.exists(),
        "{} is missing: run `cargo build --package {NAME}` first",
        binary.display()
    );
    Ok(binary)
}
