//! The interfaces that the operator named, each with its place in the network.

use super::resolve;
use crate::interface::Interface;
use anyhow::{Result, bail, ensure};
use sccm_common::Place;
use sccm_common::counter::MAX_INTERFACES;

/// An interface, by the name that the operator gave.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamedInterface {
    /// A card, a bridge, a bond, or a VLAN as `eth0.20`.
    pub name: String,
    pub place: Place,
}

/// Whether these are a gateway's, rather than a host's.
#[must_use]
pub fn is_gateway(named: &[NamedInterface]) -> bool {
    named.iter().any(|one| one.place != Place::Host)
}

/// Checks what can be checked without looking at the machine.
///
/// # Errors
/// An interface that is given twice, or more interfaces than there are slots.
pub fn check(named: &[NamedInterface]) -> Result<()> {
    for (number, one) in named.iter().enumerate() {
        let name = &one.name;
        if let Some(other) = named[..number].iter().find(|other| other.name == *name) {
            ensure!(
                other.place == one.place,
                "{name} is given as uplink and as segment: a gateway stands between two"
            );
            bail!("interface {name} is given twice");
        }
    }
    ensure!(
        named.len() <= MAX_INTERFACES as usize,
        "{} interfaces are given; one agent enforces at most {MAX_INTERFACES}",
        named.len()
    );
    Ok(())
}

/// The names that stand for no card: those of interfaces that do not exist, or have no members.
#[must_use]
pub fn missing(named: &[NamedInterface], present: &[Interface]) -> Vec<String> {
    let is_there =
        |one: &NamedInterface| resolve(&one.name, present).is_ok_and(|spots| !spots.is_empty());
    let missing = named.iter().filter(|one| !is_there(one));
    missing.map(|one| one.name.clone()).collect()
}

/// Those that can be resolved on the machine as it is now.
#[must_use]
pub fn those_that_exist(named: &[NamedInterface], present: &[Interface]) -> Vec<NamedInterface> {
    let exists = |one: &&NamedInterface| resolve(&one.name, present).is_ok();
    named.iter().filter(exists).cloned().collect()
}
