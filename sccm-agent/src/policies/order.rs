//! What the owner is asked to do, and what it says when that is done. As JSON, both are parts
//! of the control protocol.

use crate::units;
use serde::{Deserialize, Serialize};
use std::fmt;

/// How to change the active policy.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Reload {
    /// Seconds until the previous policy returns, unless somebody confirms the new one.
    #[serde(default)]
    pub confirm_within: Option<u64>,
    /// Change it even if that cuts an SSH session.
    #[serde(default)]
    pub accept_lockout: bool,
}

/// What is true after a change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Outcome {
    pub what: What,
    /// The active policy's generation.
    pub generation: u64,
    /// The active policy's hash, in hexadecimal.
    pub hash: String,
    /// Seconds in which somebody must confirm it; null if nobody needs to.
    pub confirm_within: Option<u64>,
    /// The policy's file said something else when it was read last: the next reload brings that.
    #[serde(default)]
    pub file_differs: bool,
    /// The candidate's hash, where one judges beside the active policy.
    #[serde(default)]
    pub shadow: Option<String>,
}

/// What was done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum What {
    /// A new policy is active.
    Published,
    /// The policy was the active one already.
    Unchanged,
    /// A candidate judges beside the active policy.
    Shadowed,
    /// No candidate does any more.
    ShadowEnded,
    /// The candidate is the active policy, and the shadow has ended.
    Promoted,
    /// The active policy stays.
    Confirmed,
    /// The previous policy is active again.
    RolledBack,
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = match self.what {
            What::Published => "published",
            What::Unchanged => "unchanged",
            What::Shadowed => "shadowed",
            What::ShadowEnded => "shadow ended",
            What::Promoted => "promoted",
            What::Confirmed => "confirmed",
            What::RolledBack => "rolled back",
        };
        let short = |hash: &str| hash.get(..12).unwrap_or(hash).to_owned();
        let hash = short(&self.hash);
        write!(f, "{what}: generation {}, {hash}", self.generation)?;
        if let Some(shadow) = &self.shadow {
            write!(f, "; shadow {}", short(shadow))?;
        }
        if self.file_differs {
            write!(
                f,
                "; the policy's file says otherwise: change it, too, or the next reload brings that back"
            )?;
        }
        match self.confirm_within {
            Some(seconds) => write!(
                f,
                "; run `sccm-agent confirm` within {}, or the previous policy returns",
                units::describe(seconds)
            ),
            None => Ok(()),
        }
    }
}
