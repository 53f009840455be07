//! Programs of other projects that make packages and the book, at the versions that are known to work.

use std::path::PathBuf;

use anyhow::Result;

use crate::process::{cargo, run, step, tools};

/// One that `cargo install` builds.
pub struct Tool {
    name: &'static str,
    version: &'static str,
    /// What else `cargo install` is told.
    options: &'static [&'static str],
}

pub const DEB: Tool = Tool::plain("cargo-deb", "3.8.0");
pub const RPM: Tool = Tool::plain("cargo-generate-rpm", "0.21.1");
pub const CYCLONEDX: Tool = Tool::plain("cargo-cyclonedx", "0.5.9");
pub const ABOUT: Tool = Tool {
    options: &["--features", "cli"],
    ..Tool::plain("cargo-about", "0.9.3")
};
// Without its server, which is most of it.
pub const MDBOOK: Tool = Tool {
    options: &["--no-default-features", "--features", "search"],
    ..Tool::plain("mdbook", "0.5.4")
};

impl Tool {
    const fn plain(name: &'static str, version: &'static str) -> Self {
        Self {
            name,
            version,
            options: &[],
        }
    }

    /// Its path. Builds it, unless this version is there.
    pub fn ensure(&self) -> Result<PathBuf> {
        let binary = tools().join("bin").join(self.name);
        let list = cargo()
            .args(["install", "--list", "--root"])
            .arg(tools())
            .output()?;
        let list = String::from_utf8_lossy(&list.stdout).into_owned();
        if list.contains(&format!("{} v{}:", self.name, self.version)) && binary.exists() {
            return Ok(binary);
        }
        step(&format!("building {} (minutes, once)", self.name));
        let mut install = cargo();
        install
            .args([
                "install",
                self.name,
                "--version",
                self.version,
                "--locked",
                "--force",
            ])
            .arg("--root")
            .arg(tools())
            // Not in the checkout: its cargo configuration is not meant for this.
            .current_dir("/");
        run(install.args(self.options))?;
        Ok(binary)
    }
}
