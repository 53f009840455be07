//! Who holds which role, and who is of the Internet.

use std::net::IpAddr;

use ipnet::IpNet;

use super::Interpreter;
use super::interpreter::{covers, is_group};

/// What `docs/policy.md` lists.
const PRIVATE: [&str; 8] = [
    "10.0.0.0/8",
    "172.16.0.0/12",
    "192.168.0.0/16",
    "100.64.0.0/10",
    "127.0.0.0/8",
    "169.254.0.0/16",
    "fc00::/7",
    "fe80::/10",
];

impl Interpreter<'_> {
    /// Whether an address holds a role.
    pub(super) fn holds(&self, role: &str, peer: IpAddr) -> bool {
        let Some(peers) = &self.document.peers else {
            return true;
        };
        if role == "any" {
            return true;
        }
        if role == "internet" {
            return !self.is_internal(peer) && !is_group(peer) && !peer.is_unspecified();
        }
        let named = peers
            .iter()
            .any(|(held, prefixes)| self.is(held, role) && covers(prefixes, peer));
        let protected = self.document.protect.iter().any(|entry| {
            covers(&entry.addresses, peer) && entry.roles.iter().any(|held| self.is(held, role))
        });
        named || protected
    }

    /// Whether a DHCP server may answer at `peer` because a relay says so: anywhere within the site,
    /// but nowhere that stands for many.
    #[must_use]
    pub fn may_be_where_a_relay_is(&self, peer: IpAddr) -> bool {
        !self.is_for_many(peer) && (self.document.peers.is_none() || self.is_internal(peer))
    }

    pub(super) fn is_internal(&self, peer: IpAddr) -> bool {
        let document = self.document;
        let rules = document.allow.iter().chain(&document.management.allow);
        let mut named: Vec<IpNet> = rules
            .flat_map(|rule| rule.from.listed().iter().chain(&rule.to))
            .copied()
            .collect();
        named.extend(document.protect.iter().flat_map(|entry| &entry.addresses));
        let holders = document.peers.iter().flat_map(|peers| peers.values());
        named.extend(holders.flatten());
        named.retain(|prefix| prefix.prefix_len() > 0);
        let internal = match &document.site.internal {
            Some(listed) => covers(listed, peer),
            None => PRIVATE.iter().any(|prefix| {
                let prefix: IpNet = prefix.parse().expect("a prefix");
                prefix.contains(&peer)
            }),
        };
        covers(&named, peer) || internal
    }

    /// Whether a role is another one, by itself or by what it is a kind of.
    pub(super) fn is(&self, role: &str, asked: &str) -> bool {
        let mut roles = self.catalog.all_roles();
        let known = roles.find(|known| known.id.as_str() == role);
        let parent = known.and_then(|known| known.is_a.as_ref());
        role == asked || parent.is_some_and(|parent| self.is(parent.as_str(), asked))
    }
}
