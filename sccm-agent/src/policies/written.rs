//! A policy as the operator wrote it: flags, or a file.

use crate::config;
use crate::expect;
use crate::files;
use crate::policy::{SitePolicy, stale_roles};
use anyhow::Result;
use std::path::{Path, PathBuf};
use tokio::task::spawn_blocking;

/// Where the operator wrote the policy.
#[derive(Debug, Clone)]
pub enum Written {
    /// In the flags of the command, which never change.
    Flags(Box<SitePolicy>),
    /// In a file, which a reload reads again.
    File(PathBuf),
}

impl Written {
    /// Reads the policy, and logs what its author may not know.
    ///
    /// # Errors
    /// The file cannot be read, or is no policy.
    pub fn load(&self) -> Result<SitePolicy> {
        let policy = match self {
            Self::Flags(policy) => SitePolicy::clone(policy),
            Self::File(path) => {
                let read = config::read(path)?;
                if let Some(notice) = read.notice {
                    tracing::warn!("{notice}");
                }
                read.policy
            }
        };
        for stale in stale_roles(&policy) {
            tracing::warn!("{stale}");
        }
        Ok(policy)
    }

    /// [`Written::load`], with a limit, of a policy that shall be put in force: it does what it is
    /// expected to.
    ///
    /// # Errors
    /// As there, that it does not, and that the file system hangs.
    pub async fn load_in_time(&self) -> Result<SitePolicy> {
        let written = self.clone();
        let policy = files::in_time(move || written.load()).await?;
        let tested = policy.clone();
        spawn_blocking(move || expect::ensure(&tested)).await??;
        Ok(policy)
    }

    /// The file.
    #[must_use]
    pub fn path(&self) -> Option<&Path> {
        match self {
            Self::Flags(_) => None,
            Self::File(path) => Some(path),
        }
    }

    /// The candidate's file, unless the operator gives another: `policy.candidate.toml` beside
    /// `policy.toml`.
    #[must_use]
    pub fn candidate_file(&self) -> Option<PathBuf> {
        match self {
            Self::Flags(_) => None,
            Self::File(path) => Some(path.with_extension("candidate.toml")),
        }
    }

    /// What to add to advice that names a flag, for an operator who has a file.
    pub(super) fn or_in_the_file(&self) -> String {
        match self {
            Self::Flags(_) => String::new(),
            Self::File(path) => format!(" (as a rule in {})", path.display()),
        }
    }
}
