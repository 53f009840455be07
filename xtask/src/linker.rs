//! bpf-linker, built against the very libLLVM that rustc uses.
//!
//! It reads the bitcode that rustc writes, so both need the same LLVM. No other LLVM is
//! installed: the build gets a folder that looks like an LLVM installation, with a link to the
//! toolchain's libLLVM. The link also records which libLLVM the linker was built for. After an
//! update of the toolchain it points to the wrong one, and the linker is built again.

use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result};

use crate::process::{cargo, run, step, tools};
use crate::toolchain::Toolchain;

/// The version that is known to work with the pinned aya crates.
const VERSION: &str = "0.13.0";

/// Builds bpf-linker into [`tools`] unless the right one is there.
pub fn ensure(toolchain: &Toolchain) -> Result<()> {
    let tools = tools();
    let llvm = tools.join("llvm");
    let binary = tools.join("bin/bpf-linker");
    let link = llvm.join("lib/libLLVM.so");
    let libllvm = toolchain.libllvm()?;
    let fits = fs::read_link(&link).is_ok_and(|target| target == libllvm);
    if fits && runs(&binary) {
        return Ok(());
    }

    // First, so that an interrupted build leaves no linker that looks right.
    remove(&binary)?;
    fs::create_dir_all(llvm.join("lib")).with_context(|| format!("making {}", llvm.display()))?;
    replace_link("lib".as_ref(), &llvm.join("lib64"))?;
    replace_link(&libllvm, &link)?;
    step(&format!(
        "building bpf-linker {VERSION} for LLVM {} (one to two minutes)",
        toolchain.llvm_major
    ));
    let build = tools.join("build");
    run(&mut install(toolchain, &libllvm, &llvm, &build)).with_context(|| {
        format!(
            "bpf-linker {VERSION} could not be built for LLVM {}; a C linker (Debian: gcc and \
             libc6-dev) and the crate registry are needed",
            toolchain.llvm_major
        )
    })?;
    fs::remove_dir_all(&build).with_context(|| format!("removing {}", build.display()))
}

/// `cargo install`, without the settings of this and other builds.
fn install(toolchain: &Toolchain, libllvm: &Path, llvm: &Path, build: &Path) -> Command {
    let libraries = libllvm.parent().unwrap_or(libllvm);
    let mut install = cargo();
    install
        .args([
            "install",
            "bpf-linker",
            "--version",
            VERSION,
            "--locked",
            "--force",
        ])
        .args(["--no-default-features", "--features"])
        .arg(format!("llvm-{}", toolchain.llvm_major))
        .arg("--root")
        .arg(tools())
        .arg("--target-dir")
        .arg(build)
        // Not in the checkout: its cargo configuration is not meant for this.
        .current_dir("/")
        .env_remove("CARGO_BUILD_TARGET")
        .env("LLVM_PREFIX", llvm)
        // For the build; the run path below is for every later start. It may have blanks in it.
        .env("LD_LIBRARY_PATH", libraries)
        .env(
            "CARGO_ENCODED_RUSTFLAGS",
            format!("-Clink-arg=-Wl,-rpath,{}", libraries.display()),
        );
    install
}

/// Whether `binary` starts, which it does not without its libLLVM, and is [`VERSION`].
fn runs(binary: &Path) -> bool {
    let output = Command::new(binary).arg("--version").output();
    output.is_ok_and(|output| {
        output.status.success()
            && output.stdout.trim_ascii() == format!("bpf-linker {VERSION}").as_bytes()
    })
}

fn replace_link(target: &Path, link: &Path) -> Result<()> {
    remove(link)?;
    symlink(target, link).with_context(|| format!("making {}", link.display()))
}

fn remove(file: &Path) -> Result<()> {
    match fs::remove_file(file) {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            Err(error).with_context(|| format!("removing {}", file.display()))
        }
        _ => Ok(()),
    }
}
