//! What the kernel knows of a policy, as text.

use sccm_common::abi::PolicyInfo;

/// A hash, as 64 hexadecimal digits.
#[must_use]
pub fn hash_text(hash: &[u8; 32]) -> String {
    hash.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A policy's roles, as `a,b`.
#[must_use]
pub fn roles_text(policy: &PolicyInfo) -> String {
    let end = policy.roles.iter().position(|byte| *byte == 0);
    let roles = &policy.roles[..end.unwrap_or(policy.roles.len())];
    String::from_utf8_lossy(roles).into_owned()
}
