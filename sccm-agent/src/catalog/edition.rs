//! The product editions whose port tables are part of the program.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// A product edition. Its number is kept beside the policy in the kernel, so it never changes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[repr(u32)]
pub enum Edition {
    /// Configuration Manager 2007.
    #[default]
    #[serde(rename = "2007")]
    V2007 = 0,
    /// Configuration Manager, current branch.
    #[serde(rename = "current-branch")]
    CurrentBranch = 1,
}

impl Edition {
    /// All editions, in the order of their numbers.
    pub const ALL: [Self; 2] = [Self::V2007, Self::CurrentBranch];

    /// The name that policy files, metrics and JSON use.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::V2007 => "2007",
            Self::CurrentBranch => "current-branch",
        }
    }

    /// The edition with the number that [`sccm_common::abi::PolicyInfo`] holds; `None` if
    /// another version of the agent wrote it.
    #[must_use]
    pub fn numbered(number: u32) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|edition| *edition as u32 == number)
    }

    /// The port table, as TOML.
    pub(super) const fn text(self) -> &'static str {
        match self {
            Self::V2007 => include_str!("../../catalog/2007.toml"),
            Self::CurrentBranch => include_str!("../../catalog/current-branch.toml"),
        }
    }
}

impl fmt::Display for Edition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Edition {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|edition| edition.name() == text);
        found.ok_or_else(|| {
            let known = Self::ALL.map(|edition| format!("\"{edition}\""));
            format!(
                "there is no edition `{text}`; write one of {}",
                known.join(", ")
            )
        })
    }
}
