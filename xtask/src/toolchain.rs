//! Which Rust toolchain is in use, and which LLVM it carries.
//!
//! Two kinds are served: a toolchain of rustup, and Debian's own packages
//! (`rustc-web`, `cargo-web`). They differ in who installs their parts and in
//! where libLLVM lies; everything else is the same for both.

use std::env;
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

use crate::process::{command, output};

/// Who installed the toolchain, and can add parts to it.
pub enum Origin {
    /// rustup; the name of the toolchain.
    Rustup(String),
    /// The system's packages.
    System,
}

/// The toolchain that cargo uses in this checkout.
pub struct Toolchain {
    /// Who installed it.
    pub origin: Origin,
    /// Where it is installed.
    pub sysroot: PathBuf,
    /// The major version of its LLVM.
    pub llvm_major: String,
}

impl Toolchain {
    /// Asks rustc.
    pub fn detect() -> Result<Self> {
        // rustup's cargo sets this, and rustup's rustc obeys it.
        let origin = match env::var("RUSTUP_TOOLCHAIN") {
            Ok(name) => Origin::Rustup(name),
            Err(_) => Origin::System,
        };
        let version = output(command("rustc").arg("-vV"))?;
        let llvm_major = version
            .lines()
            .find_map(|line| line.strip_prefix("LLVM version: "))
            .and_then(|version| version.split('.').next())
            .context("`rustc -vV` names no LLVM version")?;
        let sysroot = output(command("rustc").args(["--print", "sysroot"]))?;
        Ok(Self {
            origin,
            sysroot: PathBuf::from(sysroot.trim_end()),
            llvm_major: llvm_major.to_owned(),
        })
    }

    /// The toolchain's own libLLVM.
    pub fn libllvm(&self) -> Result<PathBuf> {
        let rustup = self.sysroot.join("lib");
        let debian = rustup.join(format!("{}-linux-gnu", env::consts::ARCH));
        let prefix = format!("libLLVM.so.{}.", self.llvm_major);
        [rustup, debian]
            .iter()
            .find_map(|folder| find_by_prefix(folder, &prefix))
            .with_context(|| {
                format!(
                    "the Rust toolchain in {} has no {prefix}* of its own, which bpf-linker \
                     needs: use a toolchain of rustup, or Debian's rustc-web",
                    self.sysroot.display()
                )
            })
    }
}

impl fmt::Display for Toolchain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.origin {
            Origin::Rustup(name) => write!(f, "rustup's {name}")?,
            Origin::System => write!(f, "the system's, in {}", self.sysroot.display())?,
        }
        write!(f, ", LLVM {}", self.llvm_major)
    }
}

/// The file in `folder` whose name starts with `prefix`, if the folder can be read.
fn find_by_prefix(folder: &Path, prefix: &str) -> Option<PathBuf> {
    let entries = fs::read_dir(folder).ok()?.flatten();
    entries
        .filter(|entry| {
            entry
                .file_name()
                .as_encoded_bytes()
                .starts_with(prefix.as_bytes())
        })
        .map(|entry| entry.path())
        .min()
}
