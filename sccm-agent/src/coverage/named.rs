//! The techniques that something refused looks like.

use super::ends::ATTACKER;
use super::leg::ports;
use crate::catalog::{Protocol, RoleId, Seen, Techniques};
use crate::policy::{CLIENT, Opener, PXE_CLIENT, Question, SitePolicy, Target};
use ipnet::IpNet;
use std::net::IpAddr;

/// Names techniques, by a policy.
pub struct Named<'a> {
    policy: &'a SitePolicy,
}

impl<'a> Named<'a> {
    /// By this policy.
    #[must_use]
    pub const fn new(policy: &'a SitePolicy) -> Self {
        Self { policy }
    }

    /// The ids of the techniques one of whose flows this is: between one of the systems that they
    /// are about, and a computer that is none of the site's.
    #[must_use]
    pub fn of(&self, question: &Question) -> Vec<&'static str> {
        let (protocol, port) = match &question.target {
            Target::Tcp(ports) => (Protocol::Tcp, *ports.start()),
            Target::Udp(ports) => (Protocol::Udp, *ports.start()),
            _ => return Vec::new(),
        };
        let held = self.roles_of(question.protected);
        if held.is_empty() || !self.may_be_attacker(question.peer) {
            return Vec::new();
        }
        let (techniques, catalog) = (Techniques::known(), self.policy.site.catalog);
        let is_leg = |system: &str, other: &str, seen: Seen| {
            let seen = match seen {
                Seen::No => return false,
                Seen::Inbound => Opener::Peer,
                Seen::Outbound => Opener::Protected,
            };
            let role = techniques.role(system, catalog);
            let has = |role: &RoleId| held.iter().any(|one| catalog.is(one, role.as_str()));
            seen == question.opener && other == ATTACKER && role.is_some_and(has)
        };
        let matching = techniques.iter().filter(|technique| {
            technique.flows.iter().any(|flow| {
                let (system, other) = match flow.seen {
                    Seen::Outbound => (&flow.from, &flow.to),
                    Seen::Inbound | Seen::No => (&flow.to, &flow.from),
                };
                let mut ports = ports(flow, &self.policy.site).into_iter();
                flow.protocol == protocol
                    && is_leg(system, other, flow.seen)
                    && ports.any(|range| range.contains(&port))
            })
        });
        matching.map(|technique| technique.id.as_str()).collect()
    }

    /// The roles of a protected address.
    fn roles_of(&self, address: IpAddr) -> Vec<&'a RoleId> {
        let here = self.policy.protect.iter().filter(|entry| !entry.elsewhere);
        let named: Vec<_> = here
            .clone()
            .filter(|entry| covers(&entry.addresses, address))
            .collect();
        let entries = match named.is_empty() {
            true => here.filter(|entry| entry.addresses.is_empty()).collect(),
            false => named,
        };
        entries.into_iter().flat_map(|entry| &entry.roles).collect()
    }

    /// Whether no other role than that of a client is held there.
    fn may_be_attacker(&self, address: IpAddr) -> bool {
        let mut peers = self.policy.peers.iter().flatten();
        let is_system = peers.any(|(role, list)| {
            ![CLIENT, PXE_CLIENT].contains(&role.as_str()) && covers(list, address)
        });
        let mut protect = self.policy.protect.iter();
        let is_protected = protect.any(|entry| {
            let is_client = entry.roles.iter().all(|role| role.as_str() == CLIENT);
            !is_client && covers(&entry.addresses, address)
        });
        !is_system && !is_protected
    }
}

fn covers(list: &[IpNet], address: IpAddr) -> bool {
    list.iter().any(|prefix| prefix.contains(&address))
}
