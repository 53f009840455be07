//! What a policy means, told before it is enforced.
//!
//! The policy is compiled as it would be for the kernel, then explained in the
//! operator's words: who may open what on whose account, how much room it takes,
//! and what looks like a mistake although it is allowed. Nothing is changed, and
//! the kernel is asked only for the difference to what runs now.

mod matrix;
mod notes;
mod rows;
mod size;
mod text;
mod warnings;

pub use matrix::{Matrix, Narrowed, Published, Right, Rules, System};
pub use size::Size;
pub use warnings::Warning;

use crate::catalog::Edition;
use crate::diff::Difference;
use crate::policy::hash_text;
use crate::policy::{self, Hooks, Request, ServiceNames, SitePolicy, Surroundings};
use anyhow::Result;
use rows::View;
use serde::Serialize;
use std::collections::BTreeSet;

/// Roles that links of the protected systems name, and that nobody is said to hold, or not to hold.
///
/// # Errors
/// A role that the catalog does not know.
pub fn unheld(policy: &SitePolicy) -> Result<BTreeSet<String>> {
    let view = View::new(policy)?;
    Ok(warnings::unheld(&view)
        .into_iter()
        .map(str::to_owned)
        .collect())
}

/// What `sccm-agent check -o json` prints.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Report {
    /// The product edition of the port table.
    pub edition: Edition,
    /// SHA-256 of the policy as it was written, as `status` shows it while it is enforced.
    pub hash: String,
    /// Who may open what.
    #[serde(flatten)]
    pub matrix: Matrix,
    /// Where what comes in at these cards is judged; elsewhere as the flag `--hook` says.
    pub hooks: Hooks,
    /// What it takes in the kernel.
    pub size: Size,
    /// What is allowed and may be a mistake.
    pub warnings: Vec<Warning>,
    /// What is worth to know, and no mistake.
    pub notes: Vec<Warning>,
    /// What would change for the running policy, where that was asked: as `diff live FILE` says it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub difference: Option<Difference>,
}

impl Report {
    /// Compiles a policy, as on a host, and explains it.
    ///
    /// # Errors
    /// More services, prefixes or sets of rights than the tables can tell apart.
    pub fn new(policy: &SitePolicy) -> Result<Self> {
        let request = Request {
            policy,
            machine: &Surroundings::default(),
            observe: false,
        };
        let compiled = policy::compile(&request, ServiceNames::default())?;
        let view = View::new(policy)?;
        let mut warnings = warnings::of(&view);
        warnings.extend(warnings::idle_ports(&compiled, policy));
        warnings.extend(warnings::range_of_a_rule(&compiled, &view));
        Ok(Self {
            edition: policy.site.catalog.edition,
            hash: hash_text(&compiled.info.hash),
            matrix: Matrix::of(&view),
            hooks: policy.hooks.clone(),
            size: Size::new(&compiled),
            warnings,
            notes: notes::of(&view),
            difference: None,
        })
    }

    /// Warns of what the policy's files leave to a default.
    pub fn notice(&mut self, notice: Option<&impl ToString>) {
        self.warnings.extend(notice.map(|notice| Warning {
            kind: "edition-not-named",
            links: Vec::new(),
            message: notice.to_string(),
        }));
    }

    /// Warns if the rules by which this machine translates addresses do not fit the policy.
    pub fn compare_translation(&mut self, policy: &SitePolicy, destinations: &BTreeSet<String>) {
        let misfit = policy::misfit(policy, destinations);
        self.warnings.extend(misfit.map(|message| Warning {
            kind: "translation",
            links: Vec::new(),
            message,
        }));
    }
}
