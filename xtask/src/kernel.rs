//! The tests on other kernels: `cargo xtask test --kernel 6.1`.
//!
//! What the verifier takes, and which hooks there are, differs from kernel to
//! kernel. Debian's kernels are downloaded, not installed, and booted in an
//! emulated machine that has nothing but memory and network cards: its whole system is
//! an initramfs with the test programs. No hardware acceleration is asked for, so that it runs
//! in other virtual machines too; it takes minutes where this kernel takes seconds,
//! which is why only a [`selection`] of the tests runs.

mod cards;
mod cpio;
mod initramfs;
mod machine;
pub mod modules;
pub mod package;
mod selection;

use std::env;
use std::path::PathBuf;

use anyhow::{Result, bail};

use crate::debian::{self, Missing};
use crate::network;
use crate::process::step;
use crate::setup;
use package::Kernel;
use selection::Program;

/// Tells the test of the verifier budget to record what it measures.
const UPDATE: &str = "UPDATE_BUDGET";

/// Kernels that wait to be booted, and the tests.
pub struct Trials<'v> {
    kernels: Vec<(&'v str, Kernel)>,
    busybox: PathBuf,
    programs: Vec<Program>,
}

/// Gets Debian's newest kernel of each version, such as `6.1`, and builds the selection.
///
/// # Errors
/// No such kernel, or a failed build.
pub fn prepare<'v>(versions: &'v [String], missing: Missing) -> Result<Option<Trials<'v>>> {
    if versions.is_empty() {
        return Ok(None);
    }
    // First, because everything else takes a while.
    let mut kernels = Vec::new();
    for version in versions {
        kernels.push((version.as_str(), package::kernel(version)?));
    }
    let busybox = package::busybox()?;
    setup::all(debian::EMULATOR, missing)?;
    Ok(Some(Trials {
        kernels,
        busybox,
        programs: selection::build()?,
    }))
}

/// Runs the selection on one kernel after the other: two machines of two processors on a small one
/// would make each other late. This thread leaves its network for one with their cables.
///
/// # Errors
/// The kernels on which a test failed, all of them after all have run.
pub fn run(trials: &Trials) -> Result<()> {
    network::leave()?;
    cards::lay_cables()?;
    let update = env::var_os(UPDATE).is_some();
    let mut failed = Vec::new();
    for (version, kernel) in &trials.kernels {
        let release = kernel.release();
        match test(kernel, trials, update) {
            Ok(()) => step(&format!("Linux {release}: all passed")),
            Err(error) => {
                step(&format!("Linux {release}: {error:#}"));
                failed.push(*version);
            }
        }
    }
    if !failed.is_empty() {
        bail!("the tests failed on Linux {}", failed.join(" and "));
    }
    Ok(())
}

/// Boots one kernel, and shows what it said when it has ended: a whole machine speaks at the same time.
fn test(kernel: &Kernel, trials: &Trials, update: bool) -> Result<()> {
    let release = kernel.release();
    step(&format!("testing on Linux {release}, emulated (minutes)"));
    // Not earlier: it holds the budget, into which the kernel before may have written.
    let initramfs = initramfs::build(kernel, &trials.busybox, &trials.programs)?;
    let result = machine::run(kernel, &initramfs, update);
    step(&format!("what Linux {release} said:"));
    machine::show(kernel)?;
    result
}
