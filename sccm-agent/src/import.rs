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
mod text;

pub use drift::Drift;
pub use mistakes::{Mistake, Mistakes};
pub use policy::{Imported, MoreAddresses};

use crate::policy::Outbound;
use boundaries::Boundary;
use ipnet::IpNet;
use std::collections::BTreeSet;
use std::io;
use std::net::{IpAddr, ToSocketAddrs as _};
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

    /// Has the addresses looked up of systems that no line gives any.
    pub fn resolve(
        &mut self,
        look_up: impl Fn(&str) -> io::Result<Vec<IpAddr>>,
        mistakes: &mut Mistakes,
    ) {
        let is_told = |system: &&System| {
            let at = (&system.file, system.line);
            mistakes.0.iter().any(|one| (&one.file, one.line) == at)
        };
        // What a wrong line would have said, nobody knows.
        let named = self
            .systems
            .iter()
            .filter(|system| !system.addresses.is_empty() || is_told(system));
        let known: BTreeSet<String> = named.map(|system| system.name.clone()).collect();
        let mut unknown = BTreeSet::new();
        for system in &mut self.systems {
            // One question for each, however many lines it has.
            if !known.contains(&system.name) && unknown.insert(system.name.clone()) {
                system.resolve(&look_up, mistakes);
            }
        }
    }
}

/// Asks this machine's resolver.
pub fn look_up(name: &str) -> io::Result<Vec<IpAddr>> {
    Ok((name, 0)
        .to_socket_addrs()?
        .map(|address| address.ip())
        .collect())
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
