//! Where the ends of a flow are: kinds of addresses.

use crate::catalog::{Position, RoleId, Techniques};
use crate::policy::{CLIENT, Kind, Kinds, PXE_CLIENT};
use std::collections::BTreeSet;

/// The attacker, in the flows.
pub(super) const ATTACKER: &str = "attacker";

/// The protected systems that stand for an end of a flow.
pub(super) enum Systems<'a> {
    /// These, of these entries of the policy.
    Here(Vec<&'a Kind>, BTreeSet<usize>),
    /// None is protected here.
    Elsewhere,
    /// The policy says that nobody has the role.
    Nobody,
}

/// The protected systems that hold a role of the table.
pub(super) fn systems<'a>(kinds: &'a Kinds<'_>, role: &RoleId) -> Systems<'a> {
    let policy = kinds.policy;
    let catalog = policy.site.catalog;
    let has = |roles: &[RoleId]| roles.iter().any(|held| catalog.is(held, role.as_str()));
    let entries = policy.protect.iter().enumerate();
    let here: BTreeSet<usize> = entries
        .filter(|(_, entry)| !entry.elsewhere && has(&entry.roles))
        .map(|(index, _)| index)
        .collect();
    let of_entries = |kind: &&Kind| kind.systems.iter().any(|system| here.contains(system));
    let found: Vec<&Kind> = kinds.all.iter().filter(of_entries).collect();
    if !found.is_empty() {
        return Systems::Here(found, here);
    }
    let is_named_elsewhere = policy.protect.iter().any(|entry| has(&entry.roles));
    let mut named = policy.peers.iter().flatten();
    match named.find(|(held, _)| held == &role) {
        Some((_, addresses)) if addresses.is_empty() && !is_named_elsewhere => Systems::Nobody,
        _ => Systems::Elsewhere,
    }
}

/// Where the other end may be, if it is beyond this machine.
pub(super) fn beyond<'a>(kinds: &'a Kinds<'_>, end: &str, at: Position) -> Vec<&'a Kind> {
    let catalog = kinds.policy.site.catalog;
    let outside: Vec<&Kind> = kinds.all.iter().filter(|kind| kind.is_outside()).collect();
    if kinds.policy.peers.is_none() {
        return outside;
    }
    let among = |wanted: &dyn Fn(&Kind) -> bool| -> Vec<&'a Kind> {
        let found = outside.iter().copied();
        found.filter(|kind| wanted(kind)).collect()
    };
    let only = |kind: &Kind, roles: &[&str]| {
        let mut held = kind.roles.iter();
        held.all(|role| roles.contains(&role.as_str()))
    };
    let holds = |kind: &Kind, role: &str| kind.roles.iter().any(|held| catalog.is(held, role));
    let without_role = || among(&|kind| kind.roles.is_empty() && !kind.is_unconfigured);
    let or_without = |found: Vec<&'a Kind>| match found.is_empty() {
        true => without_role(),
        false => found,
    };
    match (end, at) {
        (ATTACKER, Position::Client) => {
            let plain = among(&|kind| holds(kind, CLIENT) && only(kind, &[CLIENT]));
            match plain.is_empty() {
                true => or_without(among(&|kind| holds(kind, CLIENT))),
                false => plain,
            }
        }
        (ATTACKER, Position::Boot) => {
            let boots = [CLIENT, PXE_CLIENT];
            let may = |kind: &Kind| kind.is_unconfigured || !kind.roles.is_empty();
            or_without(among(&|kind| may(kind) && only(kind, &boots)))
        }
        _ => match Techniques::known().role(end, catalog) {
            Some(role) => or_without(among(&|kind| holds(kind, role.as_str()))),
            None => without_role(),
        },
    }
}

/// The clients that are protected here, where the policy knows of no others: the attacker's
/// computer is one of them.
pub(super) fn inside<'a>(kinds: &'a Kinds<'_>, at: Position) -> Vec<&'a Kind> {
    let client = RoleId::from(CLIENT);
    let Some(peers) = &kinds.policy.peers else {
        return Vec::new();
    };
    let mut others = [CLIENT, PXE_CLIENT].into_iter();
    let others = others.any(|role| {
        peers
            .get(&RoleId::from(role))
            .is_some_and(|list| !list.is_empty())
    });
    match systems(kinds, &client) {
        Systems::Here(found, _) if !others && at == Position::Client => found,
        _ => Vec::new(),
    }
}
