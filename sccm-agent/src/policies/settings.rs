//! What the owner of the policy is told when the agent starts.

use super::Written;
use crate::plan::{self, NamedInterface};
use std::path::PathBuf;

#[derive(Debug, Clone)]
pub struct Settings {
    pub written: Written,
    /// The file of the candidate that a shadow judges by.
    pub candidate: Option<PathBuf>,
    pub interfaces: Vec<NamedInterface>,
    /// Drop nothing, count what would be dropped.
    pub observe: bool,
}

impl Settings {
    #[must_use]
    pub fn is_gateway(&self) -> bool {
        plan::is_gateway(&self.interfaces)
    }
}
