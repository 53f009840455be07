//! What Windows systems need besides the product's table: `catalog/windows.toml`.

use super::{PortSpec, Protocol};
use serde::Deserialize;
use std::sync::OnceLock;

/// The sets, and the peers that only they speak of.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sets {
    peers: Vec<SetPeer>,
    sets: Vec<Set>,
}

/// A kind of computer that the product's table does not know. It is a key of `[peers]`, and no role.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SetPeer {
    /// The key.
    pub id: String,
    /// What people call it.
    pub name: String,
}

/// Services that are needed together.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Set {
    /// What a policy names.
    pub id: String,
    /// What it is for.
    pub text: String,
    /// Where that is written.
    pub source: String,
    /// Whom the protected systems open it at.
    pub to: Option<String>,
    /// Who opens it at them.
    pub from: Option<String>,
    /// It leads to the site's proxy, where there is one.
    #[serde(default)]
    pub proxy: bool,
    /// What is spoken.
    pub services: Vec<SetService>,
}

/// One of them, for one protocol.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SetService {
    /// What is spoken.
    pub service: String,
    /// The protocol that carries it.
    pub protocol: Protocol,
    /// Where it is listened to.
    pub ports: Vec<PortSpec>,
}

impl Sets {
    /// Those that this program has.
    ///
    /// # Panics
    /// Never: a test reads the table.
    #[must_use]
    pub fn known() -> &'static Self {
        static SETS: OnceLock<Sets> = OnceLock::new();
        SETS.get_or_init(|| {
            let read = toml::from_str(include_str!("../../catalog/windows.toml"));
            read.unwrap_or_else(|error| panic!("catalog/windows.toml: {error}"))
        })
    }

    /// The set with this id.
    #[must_use]
    pub fn get(&self, id: &str) -> Option<&Set> {
        self.sets.iter().find(|set| set.id == id)
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = &Set> {
        self.sets.iter()
    }

    /// Keys of `[peers]` that are no roles.
    pub fn peers(&self) -> impl Iterator<Item = &SetPeer> {
        self.peers.iter()
    }

    /// Whether this is one of [`Sets::peers`].
    #[must_use]
    pub fn has_peer(&self, id: &str) -> bool {
        self.peers.iter().any(|peer| peer.id == id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::{Catalog, Edition};

    #[test]
    fn every_set_has_one_kind_of_peer_that_every_edition_knows() {
        let sets = Sets::known();
        for set in sets.iter() {
            let [peer] = [&set.to, &set.from]
                .into_iter()
                .flatten()
                .collect::<Vec<_>>()[..]
            else {
                panic!("{}", set.id);
            };
            let known = peer == "internet" || sets.has_peer(peer);
            for edition in Edition::ALL {
                let is_role = Catalog::of(edition).role(peer).is_ok();
                assert!(known || is_role, "{}: {peer}", set.id);
                assert!(!(sets.has_peer(peer) && is_role), "{peer} is both");
            }
            assert!(!set.proxy || peer == "internet", "{}", set.id);
            assert!(!set.services.is_empty() && !set.source.is_empty());
        }
        let ports = |set: &str, service: &str| -> Vec<String> {
            let services = sets.get(set).unwrap().services.iter();
            let services = services.filter(|one| one.service == service);
            services
                .map(|one| format!("{}/{:?}", one.protocol, one.ports))
                .collect()
        };
        assert_eq!(ports("domain-member", "kerberos").len(), 2);
        assert_eq!(ports("domain-member", "ldap").len(), 2);
        assert_eq!(ports("kms-client", "kms").len(), 1);
    }
}
