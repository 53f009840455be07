//! Peers by name: the roles that an address holds, as the counters of refusals tell them.
//!
//! Counters outlive a policy, so a name keeps its number, as the service classes do. What
//! finds no number any more counts as everybody else.

use super::services::joined;
use crate::catalog::RoleId;
use sccm_common::Peer;
use sccm_common::abi::PEER_NAME_BYTES;
use std::collections::{BTreeMap, BTreeSet};

/// An address that holds no role.
const OTHER: &str = "other";

/// The names of all peers in use, by number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PeerNames(BTreeMap<u8, String>);

impl Default for PeerNames {
    /// Those whose numbers are fixed.
    fn default() -> Self {
        Self(BTreeMap::from([(Peer::OTHER.0, OTHER.to_owned())]))
    }
}

impl PeerNames {
    /// The name of a peer; `None` for a number that was never given out.
    #[must_use]
    pub fn get(&self, peer: Peer) -> Option<&str> {
        self.0.get(&peer.0).map(String::as_str)
    }

    /// Every number given out, with its name.
    pub fn iter(&self) -> impl Iterator<Item = (Peer, &str)> {
        let names = self.0.iter();
        names.map(|(number, name)| (Peer(*number), name.as_str()))
    }

    /// Adds what a pinned table says of a number.
    pub fn insert(&mut self, peer: Peer, name: String) {
        self.0.insert(peer.0, name);
    }

    /// The number of those who hold exactly these roles.
    pub(super) fn number(&mut self, roles: &BTreeSet<&RoleId>) -> Peer {
        if roles.is_empty() {
            return Peer::OTHER;
        }
        let roles = roles.iter().map(|role| role.as_str());
        let name = joined(roles.collect(), PEER_NAME_BYTES);
        if let Some((number, _)) = self.0.iter().find(|(_, known)| **known == name) {
            return Peer(*number);
        }
        let mut numbers = Peer::FIRST_NAMED..Peer::COUNT as u8;
        let Some(free) = numbers.find(|number| !self.0.contains_key(number)) else {
            return Peer::OTHER;
        };
        self.0.insert(free, name);
        Peer(free)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_keep_their_numbers_and_the_last_ones_are_everybody_else() {
        let roles: Vec<RoleId> = (0..Peer::COUNT)
            .map(|number| RoleId::from(format!("role-{number}").as_str()))
            .collect();
        let one = |index: usize| BTreeSet::from([&roles[index]]);
        let mut names = PeerNames::default();
        assert_eq!(names.number(&BTreeSet::new()), Peer::OTHER);
        let first = names.number(&one(0));
        let both = names.number(&BTreeSet::from([&roles[1], &roles[0]]));
        assert_eq!(names.get(first), Some("role-0"));
        assert_eq!(names.get(both), Some("role-0+role-1"));
        for index in 1..Peer::COUNT {
            names.number(&one(index));
        }
        assert_eq!(names.iter().count(), Peer::COUNT - 1);
        assert_eq!(names.number(&one(Peer::COUNT - 1)), Peer::OTHER);
        assert_eq!(names.number(&one(0)), first);
        assert_eq!(names.get(Peer::NOT_KNOWN), None);
    }
}
