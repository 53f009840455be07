//! What the kernel knows of a policy, as text.

use super::SitePolicy;
use crate::catalog::Edition;
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

/// The edition of a policy, `unknown` if another version of the agent published it and this one
/// does not know it.
#[must_use]
pub fn edition_text(policy: &PolicyInfo) -> &'static str {
    Edition::numbered(policy.edition).map_or("unknown", Edition::name)
}

/// What is to be said of roles that a policy names and that the product has hardly or no more.
#[must_use]
pub fn stale_roles(policy: &SitePolicy) -> Vec<String> {
    let catalog = policy.site.catalog;
    let stale = policy.named_roles().filter_map(|role| catalog.stale(role));
    stale
        .map(|role| {
            format!(
                "the product has hardly any use for {}: {}",
                role.id, role.status
            )
        })
        .collect()
}
