//! Parts of the Rust toolchain that an installation may lack.

use anyhow::{Result, bail};

use crate::debian::{self, Missing};
use crate::process::{command, run, step};
use crate::toolchain::{Origin, Toolchain};

/// A part of the toolchain, with its names in rustup and in Debian.
pub struct Component {
    rustup: &'static str,
    package: &'static str,
    /// A file of the part, relative to the sysroot.
    file: &'static str,
}

/// The source of `core`, which the eBPF build compiles for its target.
pub const RUST_SRC: Component = Component {
    rustup: "rust-src",
    package: "rust-web-src",
    file: "lib/rustlib/src/rust/library/core/Cargo.toml",
};

/// `cargo fmt`.
pub const RUSTFMT: Component = Component {
    rustup: "rustfmt",
    package: "rustfmt-web",
    file: "bin/cargo-fmt",
};

/// `cargo clippy`.
pub const CLIPPY: Component = Component {
    rustup: "clippy",
    package: "rust-web-clippy",
    file: "bin/cargo-clippy",
};

impl Component {
    /// Installs the part if it is missing.
    pub fn ensure(&self, toolchain: &Toolchain, missing: Missing) -> Result<()> {
        if toolchain.sysroot.join(self.file).exists() {
            return Ok(());
        }
        match &toolchain.origin {
            Origin::Rustup(name) if missing == Missing::Refuse => bail!(
                "the toolchain lacks {}. Run: rustup component add {} --toolchain {name}",
                self.rustup,
                self.rustup
            ),
            Origin::Rustup(name) => {
                step(&format!(
                    "adding {} to the toolchain (a few seconds)",
                    self.rustup
                ));
                run(command("rustup").args(["component", "add", self.rustup, "--toolchain", name]))
            }
            Origin::System => debian::install(&[self.package], &[], missing),
        }
    }
}
