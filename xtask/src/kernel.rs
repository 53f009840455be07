//! The tests on other kernels: `cargo xtask test --kernel 6.1`.
//!
//! What the verifier takes, and which hooks there are, differs from kernel to
//! kernel. Debian's kernels are downloaded, not installed, and booted in an
//! emulated machine that has nothing but memory: its whole system is an initramfs
//! with the test programs. No hardware acceleration is asked for, so that it runs
//! in other virtual machines too; it takes minutes where this kernel takes seconds,
//! which is why only a [`selection`] of the tests runs.

mod cpio;
mod initramfs;
mod machine;
pub mod package;
mod selection;

use std::env;

use anyhow::{Result, bail};

use crate::debian::{self, Missing};
use crate::process::step;
use crate::setup;

/// Tells the test of the verifier budget to record what it measures.
const UPDATE: &str = "UPDATE_BUDGET";

/// Runs the selection on Debian's newest kernel of each version, such as `6.1`.
///
/// # Errors
/// No such kernel, a failed build, or the kernels on which a test failed, all of
/// them after all have run.
pub fn test(versions: &[String], missing: Missing) -> Result<()> {
    // First, because everything else takes a while.
    let mut kernels = Vec::new();
    for version in versions {
        kernels.push((version, package::kernel(version)?));
    }
    let busybox = package::busybox()?;
    setup::all(debian::EMULATOR, missing)?;
    let programs = selection::build()?;

    let update = env::var_os(UPDATE).is_some();
    let mut failed = Vec::new();
    for (version, kernel) in kernels {
        let release = kernel.release();
        step(&format!("testing on Linux {release}, emulated (minutes)"));
        let initramfs = initramfs::build(&kernel, &busybox, &programs)?;
        match machine::run(&kernel, &initramfs, update) {
            Ok(()) => step(&format!("Linux {release}: all passed")),
            Err(error) => {
                step(&format!("Linux {release}: {error:#}"));
                failed.push(version.as_str());
            }
        }
    }
    if !failed.is_empty() {
        bail!("the tests failed on Linux {}", failed.join(" and "));
    }
    Ok(())
}
