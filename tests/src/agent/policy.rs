//! A policy file for `enforce --config`, which a test rewrites while the agent runs.

use std::fs;
use std::path::PathBuf;

use anyhow::Result;
use tempfile::TempDir;

/// The file; dropping it removes it.
#[derive(Debug)]
pub struct PolicyFile {
    directory: TempDir,
}

impl PolicyFile {
    /// A file that makes the point a distribution point and lets in these ports besides, each
    /// written `tcp/21`.
    pub fn allowing(ports: &[&str]) -> Result<Self> {
        let file = Self {
            directory: tempfile::tempdir()?,
        };
        file.allow(ports)?;
        Ok(file)
    }

    /// Rewrites the file as [`PolicyFile::allowing`] would have.
    pub fn allow(&self, ports: &[&str]) -> Result<()> {
        self.write(&with_rules("allow", ports))
    }

    /// Rewrites the file for a gateway: these ports of the gateway itself are let in.
    pub fn manage(&self, ports: &[&str]) -> Result<()> {
        self.write(&with_rules("management.allow", ports))
    }

    /// Replaces the whole file at once, as editors do.
    pub fn write(&self, text: &str) -> Result<()> {
        let new = self.directory.path().join("new");
        fs::write(&new, text)?;
        Ok(fs::rename(new, self.path())?)
    }

    /// Writes the file of a candidate, where an agent looks for it, as [`PolicyFile::allow`].
    pub fn propose(&self, ports: &[&str]) -> Result<()> {
        let path = self.directory.path().join("policy.candidate.toml");
        Ok(fs::write(path, with_rules("allow", ports))?)
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> PathBuf {
        self.directory.path().join("policy.toml")
    }

    /// `enforce` with this file on `eth0`.
    #[must_use]
    pub fn arguments(&self) -> String {
        format!("--config {} --interface eth0", self.path().display())
    }
}

fn with_rules(table: &str, ports: &[&str]) -> String {
    let mut text =
        String::from("[[protect]]\nname = \"point\"\nroles = [\"distribution-point\"]\n");
    for port in ports {
        let (protocol, number) = port.split_once('/').unwrap_or(("tcp", port));
        text += &format!(
            "\n[[{table}]]\nname = \"{protocol}-{number}\"\nprotocol = \"{protocol}\"\nports = [{number}]\n\
             from = \"any\"\nreason = \"a test\"\n"
        );
    }
    text
}
