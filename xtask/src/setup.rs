//! Installs everything that a build, a test or the demo needs. If nothing is missing, that takes
//! a few milliseconds.

use anyhow::Result;

use crate::component::RUST_SRC;
use crate::debian::{self, Missing, Program};
use crate::linker;
use crate::process::step;
use crate::toolchain::Toolchain;

/// Installs what is missing of this and of `programs`.
pub fn all(programs: &[Program], missing: Missing) -> Result<()> {
    debian::ensure(&[debian::BASE, programs], missing)?;
    let toolchain = Toolchain::detect()?;
    step(&format!("toolchain: {toolchain}"));
    RUST_SRC.ensure(&toolchain, missing)?;
    linker::ensure(&toolchain)
}
