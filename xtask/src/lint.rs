//! Format, lints and dependencies: what a machine can check without running anything.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};

use crate::component::{CLIPPY, RUST_SRC, RUSTFMT};
use crate::debian::Missing;
use crate::process::{cargo, command, is_installed, run, step, tools, workspace};
use crate::toolchain::Toolchain;

/// The version of cargo-deny that `deny.toml` is written for.
const DENY_VERSION: &str = "0.20.2";

/// Runs every check; stops at the first that fails.
pub fn all(missing: Missing) -> Result<()> {
    let toolchain = Toolchain::detect()?;
    for component in [RUSTFMT, CLIPPY, RUST_SRC] {
        component.ensure(&toolchain, missing)?;
    }

    step("format");
    run(cargo().args(["fmt", "--all", "--check"]))?;

    step("clippy: this machine's target");
    run(cargo()
        .args([
            "clippy",
            "--workspace",
            "--exclude",
            "sccm-ebpf",
            "--all-targets",
        ])
        .args(["--", "-D", "warnings"]))?;

    step("clippy: the eBPF target");
    run(cargo()
        .args(["clippy", "--package", "sccm-ebpf", "--bins", "--release"])
        .args(["--target", "bpfel-unknown-none", "-Z", "build-std=core"])
        // Building `core` is not stable; on this one command line it is fine.
        .env("RUSTC_BOOTSTRAP", "1")
        // A different environment: sharing a folder would rebuild both every time.
        .arg("--target-dir")
        .arg(tools().join("clippy-ebpf"))
        .args(["--", "-D", "warnings"]))?;

    dependencies()
}

/// Licences, sources and duplicates always; known faults where their database
/// can be had, since a machine without access to it must still be able to check.
fn dependencies() -> Result<()> {
    let deny = cargo_deny()?;
    step("dependencies: licences, bans, sources");
    run(command(&deny)
        .args(["check", "--hide-inclusion-graph"])
        .args(["licenses", "bans", "sources"]))?;

    step("dependencies: known faults");
    let fetched = command(&deny).args(["fetch", "db"]).status();
    if fetched.is_ok_and(|status| status.success()) {
        run(command(&deny).args(["--offline", "check", "advisories"]))
    } else {
        step(
            "NOT CHECKED for known faults: the advisory database cannot be fetched here. With a clone \
             of it: cargo xtask advisories --database DIR",
        );
        Ok(())
    }
}

/// Looks up known faults in a clone of the advisory database.
pub fn advisories(database: &Path) -> Result<()> {
    let deny = cargo_deny()?;
    let database = database.canonicalize();
    let database = database.context("--database: clone the advisory database there")?;
    let copies = tools().join("advisories");
    if copies.exists() {
        fs::remove_dir_all(&copies).with_context(|| format!("removing {}", copies.display()))?;
    }
    // Where cargo-deny keeps what it has fetched from https://github.com/RustSec/advisory-db.
    let copy = copies.join("advisory-db-3157b0e258782691");
    run(command("git")
        .args(["clone", "--quiet"])
        .arg(database)
        .arg(&copy))?;
    // It asks when that was.
    run(command("git")
        .arg("-C")
        .arg(&copy)
        .args(["fetch", "--quiet"]))?;

    // The settings are those of `cargo xtask lint`, but for where the database is.
    const SETTINGS: &str = "[advisories]\n";
    let settings =
        fs::read_to_string(workspace().join("deny.toml")).context("reading deny.toml")?;
    ensure!(settings.contains(SETTINGS), "deny.toml has no [advisories]");
    let here = format!("{SETTINGS}db-path = {copies:?}\n");
    let local = tools().join("deny.toml");
    fs::write(&local, settings.replacen(SETTINGS, &here, 1))
        .with_context(|| format!("writing {}", local.display()))?;
    step("dependencies: known faults");
    let mut check = command(&deny);
    check.args(["--offline", "--config"]).arg(local);
    run(check.args(["check", "--hide-inclusion-graph", "advisories"]))
}

/// The path of cargo-deny, which is built if it is not installed.
fn cargo_deny() -> Result<PathBuf> {
    if is_installed("cargo-deny") {
        return Ok("cargo-deny".into());
    }
    let binary = tools().join("bin/cargo-deny");
    if !binary.exists() {
        step("building cargo-deny (about two minutes on two cores, once)");
        run(cargo()
            .args([
                "install",
                "cargo-deny",
                "--version",
                DENY_VERSION,
                "--locked",
                // Its release profile links for minutes.
                "--debug",
                "--root",
            ])
            .arg(tools())
            .current_dir("/"))?;
    }
    Ok(binary)
}
