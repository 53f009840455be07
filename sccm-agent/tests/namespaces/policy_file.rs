//! The site's policy file as operators meet it: files on a disk, the real program, exit codes.
//!
//! Nothing here touches the kernel: what is refused is refused before that.

mod command;
mod files;
mod live;
mod mutations;
mod mutator;

use anyhow::Result;
use sccm_agent::config;
use sccm_agent::policy::SitePolicy;
use std::path::PathBuf;

/// The example of the documentation.
const EXAMPLE: &str = include_str!("../../../docs/policy.example.toml");

/// The least that is a policy.
const SMALL: &str = "[[protect]]\nname = \"dp\"\nroles = [\"distribution-point\"]\n";

/// A directory for a policy file and those beside it; it goes with the value.
struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Result<Self> {
        Ok(Self(tempfile::tempdir()?))
    }

    /// The policy file, which may not be there.
    fn policy(&self) -> PathBuf {
        self.0.path().join("policy.toml")
    }

    fn write(&self, name: &str, content: impl AsRef<[u8]>) -> Result<PathBuf> {
        let path = self.0.path().join(name);
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder)?;
        }
        std::fs::write(&path, content)?;
        Ok(path)
    }

    fn load(&self) -> Result<SitePolicy> {
        config::load(&self.policy())
    }

    /// Asserts that the policy is refused with exactly this, `FOLDER` standing for the directory.
    #[track_caller]
    fn assert_refused(&self, expected: &str) {
        let error = self.load().expect_err("refused").to_string();
        let folder = self.0.path().display().to_string();
        assert_eq!(error.replace(&folder, "FOLDER"), expected);
    }
}
