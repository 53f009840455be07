//! Compiles the eBPF crate for its own target, into `OUT_DIR/sccm-ebpf`.
//!
//! Where rust-src or bpf-linker are missing, this script succeeds without doing
//! so and sets the cfg `sccm_no_ebpf`: `cargo check` and editors then work, and
//! `kernel::object` refuses to be built into anything, with the remedy.

use std::env;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use anyhow::{Context as _, Result};
use aya_build::{Package, Toolchain};

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Not by returning it: the stack trace would bury the compiler's own message.
            println!("cargo:warning=building the eBPF program failed: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<()> {
    let this = PathBuf::from(variable("CARGO_MANIFEST_DIR")?);
    let workspace = this
        .parent()
        .context("sccm-agent is not in its workspace")?;
    let linker = workspace.join("target/tools/bin/bpf-linker");

    commit(workspace);
    println!("cargo:rustc-check-cfg=cfg(sccm_no_ebpf)");
    // The sources themselves are build dependencies; these decide how they are compiled.
    // A path that does not exist makes cargo come back every time, until it does.
    let core = sysroot()?.join("lib/rustlib/src/rust/library/core/Cargo.toml");
    for path in [
        &linker,
        &core,
        &workspace.join("Cargo.toml"),
        &this.join("build.rs"),
    ] {
        println!("cargo:rerun-if-changed={}", path.display());
    }

    // After an update of the toolchain the linker exists, but lacks its libLLVM.
    let linker_runs = Command::new(&linker).arg("--version").output();
    if !core.exists() || !linker_runs.is_ok_and(|output| output.status.success()) {
        println!("cargo:rustc-cfg=sccm_no_ebpf");
        println!(
            "cargo:warning=rust-src or bpf-linker is missing, so the eBPF program is not built: \
             run `cargo xtask setup`, or `cargo xtask test`, which sets up and tests"
        );
        return Ok(());
    }
    build(workspace, &linker)
}

fn build(workspace: &Path, linker: &Path) -> Result<()> {
    let mut path = vec![
        linker
            .parent()
            .context("bpf-linker has no folder")?
            .to_owned(),
    ];
    path.extend(env::split_paths(&env::var_os("PATH").unwrap_or_default()));
    let path = env::join_paths(path)?;
    let settings = [
        ("PATH", path.as_os_str()),
        // The target has no ready-made `core`; building it is an unstable feature.
        ("RUSTC_BOOTSTRAP", "1".as_ref()),
        // No path of this machine in the debug information, from which the same commit would be
        // another program elsewhere. Unstable, too.
        ("CARGO_UNSTABLE_TRIM_PATHS", "true".as_ref()),
        ("CARGO_PROFILE_RELEASE_TRIM_PATHS", "all".as_ref()),
        // aya-build turns every line of the inner cargo into a warning of the outer one:
        // leave it only those that are.
        ("CARGO_TERM_QUIET", "true".as_ref()),
    ];
    for (name, value) in settings {
        // SAFETY: this process has no other thread yet.
        unsafe { env::set_var(name, value) };
    }

    let root = workspace.join("sccm-ebpf");
    let root_dir = root
        .to_str()
        .context("the path of the checkout is not UTF-8")?;
    let toolchain = env::var("RUSTUP_TOOLCHAIN").unwrap_or_else(|_| "stable".to_owned());
    aya_build::build_ebpf(
        [Package {
            name: "sccm-ebpf",
            root_dir,
            ..Package::default()
        }],
        Toolchain::Custom(&toolchain),
    )
}

/// Has the program know its commit, if it is built for release from a checkout. Otherwise every commit
/// would build it anew.
fn commit(workspace: &Path) {
    let is_release = env::var("PROFILE").is_ok_and(|profile| profile == "release");
    if !is_release || !workspace.join(".git").exists() {
        return;
    }
    let git = |words: &[&str]| {
        let mut git = Command::new("git");
        // Root may build what belongs to somebody else.
        git.arg("-c")
            .arg(format!("safe.directory={}", workspace.display()));
        let output = git.arg("-C").arg(workspace).args(words).output().ok()?;
        let text = String::from_utf8(output.stdout).ok()?;
        output.status.success().then(|| text.trim().to_owned())
    };
    // HEAD itself moves to another branch, its log with every commit.
    for file in ["HEAD", "logs/HEAD"] {
        if let Some(path) = git(&["rev-parse", "--git-path", file]) {
            println!("cargo:rerun-if-changed={}", workspace.join(path).display());
        }
    }
    let describe = [
        "describe",
        "--always",
        "--dirty",
        "--abbrev=40",
        "--exclude=*",
    ];
    if let Some(commit) = git(&describe) {
        println!("cargo:rustc-env=SCCM_COMMIT={commit}");
    }
}

/// Where the toolchain that runs this build is installed.
fn sysroot() -> Result<PathBuf> {
    let output = Command::new(variable("RUSTC")?)
        .args(["--print", "sysroot"])
        .output();
    let output = output.context("asking rustc for its sysroot")?;
    let sysroot = String::from_utf8(output.stdout).context("the sysroot is not UTF-8")?;
    Ok(PathBuf::from(sysroot.trim_end()))
}

/// A variable that cargo sets for build scripts.
fn variable(name: &str) -> Result<OsString> {
    env::var_os(name).with_context(|| format!("{name} is not set: run this through cargo"))
}
