//! Interfaces by which a gateway forwards, and that nobody enforces.

use crate::interface::{Interface, Kind};
use std::collections::BTreeSet;

/// The names of the interfaces that are up, by which the machine forwards, and not all of whose
/// frames are judged when they come in; `entrances` are those that are. `routes` says whether the
/// machine routes what comes in at an interface of a name.
#[must_use]
pub fn not_enforced(
    entrances: &BTreeSet<u32>,
    present: &[Interface],
    routes: impl Fn(&str) -> bool,
) -> Vec<String> {
    let is_judged = |one: &Interface| entrances.contains(&one.index);
    let members = |group: u32| {
        let is_member = move |one: &&Interface| one.controller == Some(group);
        present.iter().filter(is_member)
    };
    let forwards = |one: &Interface| {
        let controller = present
            .iter()
            .find(|other| one.controller == Some(other.index));
        match (controller, one.kind) {
            // A bridge hands on whatever its members get.
            (Some(group), _) if matches!(group.kind, Kind::Group { .. }) => {
                members(group.index).any(is_judged)
            }
            // Its members are told.
            (_, Kind::Vrf) => false,
            (_, Kind::Group { .. }) if members(one.index).any(is_judged) => false,
            _ => routes(&one.name),
        }
    };
    present
        .iter()
        .filter(|one| one.up && one.name != "lo" && !is_judged(one) && forwards(one))
        .map(|one| one.name.clone())
        .collect()
}
