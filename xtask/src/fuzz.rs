//! Longer fuzzing than the tests': verdict, kernel and oracle against each other, or one of the
//! coverage-guided targets in `fuzz/`.

use std::path::PathBuf;

use anyhow::Result;

use crate::debian::Missing;
use crate::process::{cargo, command, is_installed, replace, run, step, tools};
use crate::setup;

/// The version of cargo-fuzz that `fuzz/Cargo.toml` is written for.
const CARGO_FUZZ_VERSION: &str = "0.13.2";

/// Runs the differential fuzzer from a seed, which is the time if none is given.
pub fn differential(minutes: u64, seed: Option<u64>, missing: Missing) -> Result<()> {
    setup::all(&[], missing)?;
    let seed = seed.unwrap_or_else(now);
    step(&format!("fuzzing for {minutes} minutes from seed {seed}"));
    let mut test = cargo();
    test.args(["test", "--package", "sccm-tests", "--test", "fuzz", "--"])
        .args(["--nocapture", "all_three_agree"])
        .env("FUZZ_MINUTES", minutes.to_string())
        .env("FUZZ_SEED", seed.to_string());
    replace(&mut test)
}

/// Runs one of the targets; what it finds new stays in `fuzz/corpus`, what fails in
/// `fuzz/artifacts`.
pub fn target(name: &str, minutes: u64, missing: Missing) -> Result<()> {
    setup::all(&[], missing)?;
    let program = cargo_fuzz()?;
    step(&format!("fuzzing {name} for {minutes} minutes"));
    let mut fuzz = command(program);
    fuzz.args(["fuzz", "run", "--fuzz-dir", "fuzz", "--target-dir"])
        .arg(tools().join("fuzz"))
        .args([name, "--", "-timeout=20"])
        .arg(format!("-max_total_time={}", minutes * 60))
        // The sanitizer is not stable; for these programs it is fine.
        .env("RUSTC_BOOTSTRAP", "1");
    replace(&mut fuzz)
}

/// The path of cargo-fuzz, which is built if it is not installed.
fn cargo_fuzz() -> Result<PathBuf> {
    if is_installed("cargo-fuzz") {
        return Ok("cargo-fuzz".into());
    }
    let binary = tools().join("bin/cargo-fuzz");
    if !binary.exists() {
        step("building cargo-fuzz (about a minute on two cores, once)");
        run(cargo()
            .args(["install", "cargo-fuzz", "--locked", "--version"])
            .args([CARGO_FUZZ_VERSION, "--root"])
            .arg(tools()))?;
    }
    Ok(binary)
}

fn now() -> u64 {
    let since = std::time::SystemTime::UNIX_EPOCH.elapsed();
    since.unwrap_or_default().as_secs()
}
