//! The rules of the running policy, with the reasons that the operator wrote.

use super::lock;
use crate::policy::SitePolicy;
use std::collections::BTreeSet;
use std::sync::Mutex;

/// Name and reason of each rule.
#[derive(Debug, Default)]
pub struct Rules(Mutex<BTreeSet<(String, String)>>);

impl Rules {
    /// Notes which policy runs now. Of one that another agent published, the rules are not
    /// known (`None`).
    pub fn note(&self, policy: Option<&SitePolicy>) {
        let rules = policy
            .into_iter()
            .flat_map(SitePolicy::rules)
            .map(|rule| (rule.name.clone(), rule.reason.clone()));
        let published = policy.into_iter().flat_map(|policy| &policy.publish);
        let published = published.map(|one| (one.name.clone(), one.reason.clone()));
        *lock(&self.0) = rules.chain(published).collect();
    }

    #[must_use]
    pub fn all(&self) -> BTreeSet<(String, String)> {
        lock(&self.0).clone()
    }
}
