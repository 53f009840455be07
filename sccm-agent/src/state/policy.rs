//! The active policy and its candidate, as the kernel has them.

use crate::policy::{hash_text, roles_text};
use sccm_common::abi::PolicyInfo;
use sccm_common::policy::flag;
use serde::Serialize;

/// The active policy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct PolicyStatus {
    /// Counts up with every published policy.
    pub generation: u64,
    /// SHA-256 of the policy as it was written, in hexadecimal: the same on every machine.
    pub hash: String,
    /// SHA-256 of the compiled tables, which depend on this machine.
    pub tables: String,
    /// The roles of the protected systems.
    pub roles: Vec<String>,
    /// `enforcing` or `observing`; what it is after a warm-up.
    pub mode: &'static str,
    /// When it became the active policy, in seconds since 1970.
    pub published: u64,
    /// Until when it must be confirmed, in seconds since 1970; null: it needs not be.
    pub confirm_by: Option<u64>,
    /// Until when nothing is dropped, in seconds since 1970; null: there was no warm-up. It may be
    /// over.
    pub warm_up_until: Option<u64>,
}

/// The candidate that judges beside the active policy, and drops nothing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct ShadowStatus {
    /// Its hash, as that of the policy.
    pub hash: String,
    /// The roles of its protected systems.
    pub roles: Vec<String>,
    /// When it began, in seconds since 1970.
    pub since: u64,
}

impl From<PolicyInfo> for PolicyStatus {
    fn from(policy: PolicyInfo) -> Self {
        Self {
            generation: policy.generation,
            hash: hash_text(&policy.hash),
            tables: hash_text(&policy.tables),
            roles: roles(&policy),
            mode: match policy.flags & flag::OBSERVE {
                0 => "enforcing",
                _ => "observing",
            },
            published: policy.published,
            confirm_by: (policy.confirm_by != 0).then_some(policy.confirm_by),
            warm_up_until: (policy.warm_up_until != 0).then_some(policy.warm_up_until),
        }
    }
}

impl From<PolicyInfo> for ShadowStatus {
    fn from(shadow: PolicyInfo) -> Self {
        Self {
            hash: hash_text(&shadow.hash),
            roles: roles(&shadow),
            since: shadow.published,
        }
    }
}

fn roles(info: &PolicyInfo) -> Vec<String> {
    roles_text(info).split(',').map(str::to_owned).collect()
}
