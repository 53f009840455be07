//! Reads a policy the slow way: every rule and every link anew for each question.
//!
//! It shares nothing with the compiler but the catalog's rows and the site's
//! ports; what an address is, is found by looking at every list.

use crate::document::{Document, Rule};
use ipnet::IpNet;
use sccm_agent::catalog::{Catalog, Direction, Link, Protocol, Service};
use sccm_agent::policy::default_internal;
use sccm_agent::site::Site;
use std::net::IpAddr;

/// A packet's way, as far as rights are concerned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// From the peer to the protected system.
    In,
    /// From the protected system to the peer.
    Out,
}

/// What answers.
pub struct Interpreter<'a> {
    pub catalog: &'a Catalog,
    pub site: &'a Site,
    pub document: &'a Document,
    /// The gateway's own addresses.
    pub own: &'a [IpAddr],
}

impl Interpreter<'_> {
    /// Whether `protocol`/`port` may be opened this way.
    pub fn may(
        &self,
        way: Way,
        local: IpAddr,
        peer: IpAddr,
        protocol: Protocol,
        port: u16,
    ) -> bool {
        if self.own.contains(&local) {
            return way == Way::Out
                || self.ruled(&self.document.management, None, peer, protocol, port);
        }
        let named = self
            .document
            .protect
            .iter()
            .any(|entry| !entry.addresses.is_empty())
            || self.document.allow.iter().any(|rule| !rule.to.is_empty());
        let for_all = named && is_group(local);
        let rule_applies = for_all || !self.entries(local).is_empty();
        if way == Way::In && rule_applies {
            let to = if for_all { None } else { Some(local) };
            if self.ruled(&self.document.allow, to, peer, protocol, port) {
                return true;
            }
        }
        if for_all && protocol != Protocol::Udp {
            return false;
        }
        let entries = match for_all {
            true => (0..self.document.protect.len()).collect(),
            false => self.entries(local),
        };
        entries.iter().any(|entry| {
            self.document.protect[*entry].roles.iter().any(|role| {
                self.catalog.links.iter().any(|link| {
                    self.site.applies(link) && self.linked(link, role, way, peer, protocol, port)
                })
            })
        })
    }

    /// Whether a list of rules lets it in.
    fn ruled(
        &self,
        rules: &[Rule],
        to: Option<IpAddr>,
        peer: IpAddr,
        protocol: Protocol,
        port: u16,
    ) -> bool {
        rules.iter().any(|rule| {
            let (low, high) = rule.ports;
            protocol == Protocol::Tcp
                && (low..=high).contains(&port)
                && (rule.from.is_empty() || covers(&rule.from, peer))
                && (rule.to.is_empty() || to.is_none_or(|to| covers(&rule.to, to)))
        })
    }

    /// The entries that an address is.
    fn entries(&self, local: IpAddr) -> Vec<usize> {
        let entries = || self.document.protect.iter().enumerate();
        let listed: Vec<usize> = entries()
            .filter(|(_, entry)| covers(&entry.addresses, local))
            .map(|(index, _)| index)
            .collect();
        if !listed.is_empty() {
            return listed;
        }
        entries()
            .filter(|(_, entry)| entry.addresses.is_empty())
            .map(|(index, _)| index)
            .collect()
    }

    /// Whether a link of a protected role lets it pass.
    fn linked(
        &self,
        link: &Link,
        role: &str,
        way: Way,
        peer: IpAddr,
        protocol: Protocol,
        port: u16,
    ) -> bool {
        let (from, to) = (link.from.as_str(), link.to.as_str());
        let mut openings = vec![(from, to)];
        if link.direction == Direction::EitherWay {
            openings.push((to, from));
        }
        let speaks = |service: &Service| {
            let ports = self.site.resolve(service);
            service.protocol == protocol && ports.iter().any(|range| range.contains(&port))
        };
        openings.iter().any(|(opener, listener)| {
            link.services.iter().filter(|row| speaks(row)).any(|row| {
                let offered = self.is(role, listener);
                match way {
                    Way::In => offered && self.may_open(link, opener, row, peer),
                    Way::Out => {
                        let to_all = self.document.peers.is_some() && is_group(peer);
                        let datagram = protocol == Protocol::Udp;
                        (self.is(role, opener) && self.holds(listener, peer))
                            || to_all && datagram && (offered || self.is(role, opener))
                    }
                }
            })
        })
    }

    /// Whether a peer may be the opener of a row, boot service told apart.
    fn may_open(&self, link: &Link, opener: &str, row: &Service, peer: IpAddr) -> bool {
        let Some(peers) = &self.document.peers else {
            return true;
        };
        if link.to.as_str() != "pxe-service-point" || opener != "client" {
            return self.holds(opener, peer);
        }
        let booting = match peers.contains_key("pxe-client") {
            true => self.holds("pxe-client", peer),
            false => self.holds("client", peer),
        };
        let address =
            row.service == "dhcp" && (peer.is_unspecified() || self.holds("dhcp-relay", peer));
        booting || address
    }

    /// Whether an address holds a role.
    fn holds(&self, role: &str, peer: IpAddr) -> bool {
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

    fn is_internal(&self, peer: IpAddr) -> bool {
        let document = self.document;
        let rules = document.allow.iter().chain(&document.management);
        let mut named: Vec<IpNet> = rules
            .flat_map(|rule| [&rule.from, &rule.to])
            .flatten()
            .copied()
            .collect();
        named.extend(document.protect.iter().flat_map(|entry| &entry.addresses));
        named.extend(
            document
                .peers
                .iter()
                .flat_map(|peers| peers.values())
                .flatten(),
        );
        named.retain(|prefix| prefix.prefix_len() > 0);
        covers(&named, peer) || covers(&default_internal(), peer)
    }

    /// Whether a role is another one, by itself or by what it is a kind of.
    fn is(&self, role: &str, asked: &str) -> bool {
        let mut roles = self.catalog.roles.iter();
        let known = roles.find(|known| known.id.as_str() == role);
        let parent = known.and_then(|known| known.is_a.as_ref());
        role == asked || parent.is_some_and(|parent| self.is(parent.as_str(), asked))
    }
}

fn covers(prefixes: &[IpNet], address: IpAddr) -> bool {
    prefixes.iter().any(|prefix| prefix.contains(&address))
}

fn is_group(address: IpAddr) -> bool {
    address.is_multicast() || address == IpAddr::from([255; 4])
}
