//! Everything that a build, a test or the demo needs, in one go. What is there
//! already costs a few milliseconds.

use anyhow::Result;

use crate::component::RUST_SRC;
use crate::process::step;
use crate::toolchain::Toolchain;
use crate::{debian, linker};

/// Installs what is missing.
pub fn all() -> Result<()> {
    debian::ensure_programs()?;
    let toolchain = Toolchain::detect()?;
    step(&format!("toolchain: {toolchain}"));
    RUST_SRC.ensure(&toolchain)?;
    linker::ensure(&toolchain)
}
