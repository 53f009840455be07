//! Programs that come from Debian's packages. `NEEDED` is the one list: add a
//! line when a test or the demo starts a program that is not built here.

use anyhow::{Result, bail};

use crate::process::{command, is_installed, is_root, run, step};

/// A program, and the package that brings it.
struct Program {
    name: &'static str,
    package: &'static str,
}

/// What the demo and the tests start.
const NEEDED: &[Program] = &[Program {
    name: "ip",
    package: "iproute2",
}];

/// Installs those of [`NEEDED`] that are missing.
pub fn ensure_programs() -> Result<()> {
    let missing = NEEDED.iter().filter(|program| !is_installed(program.name));
    install(&missing.map(|program| program.package).collect::<Vec<_>>())
}

/// Installs `packages`; an error says what to do where that is not possible.
pub fn install(packages: &[&str]) -> Result<()> {
    if packages.is_empty() {
        return Ok(());
    }
    let list = packages.join(" ");
    if !is_installed("apt-get") {
        bail!(
            "something is missing that Debian has as: {list}. There is no apt-get here: \
             install it by this system's own means, then run this again"
        );
    }
    if !is_root() {
        bail!("Debian packages are missing. Run: sudo apt-get install {list}");
    }
    step(&format!("installing Debian packages: {list}"));
    run(command("apt-get").args(["--quiet", "update"]))?;
    run(command("apt-get")
        .args(["--quiet", "install", "--yes", "--no-install-recommends"])
        .args(packages)
        .env("DEBIAN_FRONTEND", "noninteractive"))
}
