//! What an operator expects of a policy. It decides nothing; a policy that breaks it is refused.

use super::Target;
use ipnet::IpNet;
use serde::{Deserialize, Serialize};

/// An expectation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expectation {
    /// What the operator calls it.
    pub name: String,
    /// What must be so.
    pub must: Must,
    /// What is opened.
    pub targets: Vec<Target>,
    /// By whom.
    pub from: Ends,
    /// Where.
    pub to: Ends,
}

/// What must be so of what an expectation names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Must {
    /// All of it passes.
    Pass,
    /// None of it passes.
    Drop,
    /// Nothing else passes to these systems, but what other expectations of this sort name.
    Only,
}

/// One end of what is expected.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Ends {
    /// The protected systems.
    Protected,
    /// Everybody.
    Anybody,
    /// These addresses, and perhaps the Internet.
    Listed(Vec<IpNet>, bool),
}
