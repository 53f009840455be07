//! A policy from what a site has already: a list of its systems, and its boundaries.
//!
//! Nothing is guessed: what cannot be translated is named in the policy's comments, and an inventory with
//! a mistake gives no policy.

mod boundaries;
mod drift;
mod mistakes;
mod policy;
mod roles;
mod rows;
mod sites;
mod systems;
#[cfg(test)]
mod tests;

pub use drift::Drift;
pub use mistakes::{Mistake, Mistakes};
pub use policy::{Imported, MoreAddresses};

use crate::policy::Outbound;
use boundaries::Boundary;
use ipnet::IpNet;
use std::path::Path;
use systems::System;

/// What was exported from a site.
#[derive(Debug, Default)]
pub struct Inventory {
    systems: Vec<System>,
    boundaries: Vec<Boundary>,
}

impl Inventory {
    /// Adds the systems of a file: JSON, or CSV with the same columns.
    pub fn add_systems(&mut self, path: &Path, mistakes: &mut Mistakes) {
        if let Some(text) = mistakes.read(path) {
            systems::read(&text, path, &mut self.systems, mistakes);
        }
    }

    /// Adds the boundaries of a CSV file. `length` is that of subnets without a mask.
    pub fn add_boundaries(&mut self, path: &Path, length: Option<u8>, mistakes: &mut Mistakes) {
        if let Some(text) = mistakes.read(path) {
            boundaries::read(&text, path, length, &mut self.boundaries, mistakes);
        }
    }

    /// Asks for the addresses of systems that came without any.
    pub fn resolve(&mut self, mistakes: &mut Mistakes) {
        for system in &mut self.systems {
            system.resolve(mistakes);
        }
    }
}

/// Which part of the site is meant.
#[derive(Debug, Default)]
pub struct Wish {
    /// What stands behind the gateway.
    pub protect: Vec<IpNet>,
    /// Sites whose systems are peers, too, beside those of the protected systems and their parents.
    pub sites: Vec<String>,
    /// Who holds a role that is in no inventory.
    pub more: Vec<MoreAddresses>,
    /// What becomes of what the protected systems open.
    pub outbound: Outbound,
    /// What they need besides their roles.
    pub sets: Vec<String>,
}
