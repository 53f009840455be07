//! Packs a list of files as a Debian package and as an RPM.
//!
//! cargo-deb and cargo-generate-rpm read a manifest of cargo's. It is written here, with the same files
//! for both.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

use super::build::{Built, MAINTAINER};
use super::files::File;
use crate::process::{command, run, workspace};
use crate::tool::{DEB, RPM};

/// The tree of what is installed, below the stage.
const ROOT: &str = "root";

const SUMMARY: &str = "Port filter for Configuration Manager at the network card";

const DESCRIPTION: &str = "\
sccm-agent turns the port table of Configuration Manager (SCCM) into an XDP program. What no link of \
the table allows is dropped at the network card, and counted by reason and service for Prometheus. \
It works on a host, and on a gateway in front of others.
Nothing is enforced by installing it: /etc/default/sccm-agent says what to do next.";

/// A tree of what is installed, and the manifest that describes it.
pub struct Staged<'a> {
    built: &'a Built,
    stage: &'a Path,
    manifest: PathBuf,
}

impl<'a> Staged<'a> {
    /// Writes both into `stage`.
    pub fn new(built: &'a Built, files: &[File], stage: &'a Path) -> Result<Self> {
        for file in files {
            let copy = stage.join(ROOT).join(&file.target);
            fs::create_dir_all(copy.parent().context("a file without a folder")?)?;
            fs::copy(&file.source, &copy)
                .with_context(|| format!("copying {}", file.source.display()))?;
        }
        fs::create_dir_all(stage.join("src"))?;
        fs::write(stage.join("src/lib.rs"), "")?;
        let manifest = stage.join("Cargo.toml");
        fs::write(&manifest, text(built, files))
            .with_context(|| format!("writing {}", manifest.display()))?;
        Ok(Self {
            built,
            stage,
            manifest,
        })
    }

    /// Writes the Debian package into a folder.
    pub fn deb(&self, into: &Path) -> Result<PathBuf> {
        let deb = into.join(format!("sccm-agent_{}_amd64.deb", self.built.version));
        run(command(DEB.ensure()?)
            .args([
                "--quiet",
                "--no-build",
                "--no-strip",
                "--no-dbgsym",
                "--deb-revision=",
            ])
            .arg("--manifest-path")
            .arg(&self.manifest)
            .arg("--output")
            .arg(&deb)
            .env("SOURCE_DATE_EPOCH", &self.built.epoch))?;
        Ok(deb)
    }

    /// Writes the RPM into a folder.
    pub fn rpm(&self, into: &Path) -> Result<PathBuf> {
        let rpm = into.join(format!("sccm-agent-{}-1.x86_64.rpm", self.built.version));
        run(command(RPM.ensure()?)
            // The program is static.
            .args(["generate-rpm", "--auto-req", "no", "--arch", "x86_64"])
            .args(["--source-date", &self.built.epoch])
            .arg("--output")
            .arg(&rpm)
            .current_dir(self.stage)
            .env("SOURCE_DATE_EPOCH", &self.built.epoch))?;
        Ok(rpm)
    }
}

/// The manifest. Strings are quoted as in Rust, which is what TOML takes of those that are here.
fn text(built: &Built, files: &[File]) -> String {
    let scripts = workspace().join("deploy/package");
    let mut text = format!(
        "[workspace]\n\n\
         [package]\nname = \"sccm-agent\"\nversion = {:?}\nedition = \"2024\"\n\
         license = \"MIT OR Apache-2.0\"\ndescription = {SUMMARY:?}\n\n\
         [package.metadata.deb]\nmaintainer = {MAINTAINER:?}\n\
         extended-description = {DESCRIPTION:?}\nsection = \"net\"\npriority = \"optional\"\n\
         depends = \"systemd | systemd-standalone-sysusers\"\n\
         maintainer-scripts = {:?}\n\
         systemd-units = {{ unit-name = \"sccm-agent\", enable = false, start = false, \
         restart-after-upgrade = true }}\n",
        built.version,
        scripts.join("debian"),
    );
    text += "assets = [\n";
    for file in files {
        let mode = format!("{:o}", file.mode);
        let source = format!("{ROOT}/{}", file.target);
        let _ = writeln!(text, "  [{source:?}, {:?}, {mode:?}],", file.target);
    }
    text += "]\n\n[package.metadata.generate-rpm]\nassets = [\n";
    for file in files {
        let mode = format!("{:o}", file.mode);
        let config = match file.is_config {
            true => ", config = \"noreplace\"",
            false => "",
        };
        let source = format!("{ROOT}/{}", file.target);
        let target = rpm_path(&file.target);
        let _ = writeln!(
            text,
            "  {{ source = {source:?}, dest = {target:?}, mode = {mode:?}{config} }},"
        );
    }
    text += "]\n";
    for (when, name) in [
        ("post_install", "post"),
        ("pre_uninstall", "preun"),
        ("post_uninstall", "postun"),
    ] {
        let script = scripts.join("rpm").join(name);
        let _ = writeln!(text, "{when}_script = {script:?}");
    }
    text += "\n[package.metadata.generate-rpm.requires]\nsystemd = \"*\"\n";
    text
}

/// Where distributions with RPM have it.
fn rpm_path(target: &str) -> String {
    let path = target.replace("zsh/vendor-completions", "zsh/site-functions");
    format!("/{path}")
}
