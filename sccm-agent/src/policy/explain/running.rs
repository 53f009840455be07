//! The same questions, answered by the tables that the kernel has.
//!
//! The kernel does not keep the policy's words, so systems have no names here. Links are those of
//! the roles that it keeps, which carry a service of the name that it keeps.

use super::{Explanation, Ground, Opener, Question, in_catalog};
use crate::catalog::{Catalog, Edition};
use crate::policy::handed_out::handed_out;
use crate::policy::hints::{Advice, rule_hint};
use crate::policy::rights::BootOpeners;
use crate::policy::{
    Outbound, PXE_CLIENT, PeerNames, ServiceNames, Tables, address_of, roles_text,
};
use crate::site::Site;
use sccm_common::abi::PolicyInfo;
use sccm_common::address::{AddressClass, LOCAL_SELF};
use sccm_common::policy::flag;
use sccm_common::{Peer, Reason};
use std::net::IpAddr;

/// What the kernel keeps of a policy.
pub struct Running {
    /// What is said about the tables.
    pub info: PolicyInfo,
    /// The tables.
    pub tables: Tables,
    /// What services and peers are called.
    pub names: ServiceNames,
}

impl Running {
    /// Whether an address is the gateway's own.
    #[must_use]
    pub fn is_own(&self, address: IpAddr) -> bool {
        let is_gateway = self.tables.policy.has(flag::GATEWAY);
        is_gateway && self.tables.class_at(address).local == LOCAL_SELF
    }

    /// Whether an address is protected here, and no address that stands for many.
    #[must_use]
    pub fn is_protected(&self, address: IpAddr) -> bool {
        let class = self.tables.class_at(address);
        let (family, bits) = address_of(address);
        let is_named = class.local != AddressClass::ANY.local && class.local != LOCAL_SELF;
        !bits.is_group(family) && (is_named || class.is_marked(AddressClass::INSIDE))
    }

    /// Explains one question. `observes`: nothing is dropped now.
    #[must_use]
    pub fn explain(&self, question: &Question, observes: bool) -> Explanation {
        let policy = &self.tables.policy;
        let local = self.tables.class_at(question.protected);
        let peer = self.tables.class_at(question.peer);
        let pair = policy.pair(local.local, peer.peer);
        let class = question.target.class_in(policy);
        let (family, address) = address_of(question.protected);
        let (is_own, is_group) = (self.is_own(question.protected), address.is_group(family));
        let is_unlisted = policy.has(flag::LISTED_ONLY) && local.local == AddressClass::ANY.local;
        // Who is behind this machine reaches the gateway, and groups, from there.
        let marks = match is_own || is_group {
            true => AddressClass::NOBODY,
            false => AddressClass::NOBODY | AddressClass::INSIDE,
        };
        let access = policy.access(pair);
        let (is_enforced, reason) = match question.opener {
            Opener::Peer => (true, Reason::NotAllowed),
            Opener::Protected => (
                policy.has(flag::OUTBOUND_ENFORCE),
                Reason::OutboundNotAllowed,
            ),
        };
        let may = match question.opener {
            Opener::Peer => access.inbound.contains(class),
            Opener::Protected if is_own || policy.has(flag::OUTBOUND_OFF) => true,
            Opener::Protected if is_enforced => access.outbound.contains(class),
            Opener::Protected => !is_unlisted,
        };
        let is_spoofed = question.opener == Opener::Peer && peer.is_marked(marks);
        let outbound = match is_enforced {
            true => Outbound::Enforce,
            false => Outbound::Track,
        };
        let handed_out = handed_out(policy, outbound, access, question.opener);
        let if_handed_out = !may && !is_spoofed && handed_out.contains(class);
        let reason = match (is_spoofed, may, is_unlisted) {
            (true, ..) => Some(Reason::SpoofedSource),
            (_, true, _) => None,
            (_, _, true) => Some(Reason::UnlistedHost),
            _ if if_handed_out => Some(Reason::RpcNotNamed),
            _ => Some(reason),
        };
        let roles = match policy.peer_of(pair) {
            Peer::NOT_KNOWN => None,
            peer => {
                let name = self.names.peers.get(peer).unwrap_or_default();
                let named = name.split('+').filter(|_| peer != Peer::OTHER);
                Some(named.map(str::to_owned).collect::<Vec<String>>())
            }
        };
        let service = self.names.get(class).map_or("", |name| &name.service);
        let document = Document::of(&self.info);
        let mut because = Vec::new();
        if reason.is_none() || if_handed_out {
            because = document.links(question, service, &self.names.peers);
            because.retain(|ground| match (ground, &roles) {
                (Ground::Link { from, to, .. }, Some(roles)) => match question.opener {
                    Opener::Peer => roles.contains(from),
                    Opener::Protected => roles.contains(to),
                },
                _ => true,
            });
            match question.opener {
                Opener::Protected if is_own => because = vec![Ground::Gateway],
                Opener::Protected if !is_enforced => because = vec![Ground::OutboundNotEnforced],
                Opener::Peer if is_own || because.is_empty() => {
                    because = vec![Ground::Rule {
                        name: service.to_owned(),
                        reason: String::new(),
                    }];
                }
                _ => {}
            }
        }
        let has_right = matches!(
            reason,
            None | Some(Reason::SpoofedSource | Reason::RpcNotNamed)
        );
        Explanation {
            from_name: None,
            to_name: None,
            edition: Edition::numbered(self.info.edition),
            direction: question.direction(),
            allowed: reason.is_none(),
            observed: reason.is_some() && observes,
            reason: reason.map(Reason::label),
            protected: match (is_own, is_group, is_unlisted) {
                (true, ..) => "this gateway",
                (_, true, _) => "everybody (a group address)",
                (_, _, true) => "not listed",
                _ => "yes (the kernel does not keep its name)",
            }
            .to_owned(),
            peer_roles: roles,
            source: is_spoofed
                .then(|| "the sender's address is one that nobody has on that side".to_owned()),
            if_handed_out,
            because,
            advice: match has_right {
                true => Advice::default(),
                false => document.advise(question, service, &self.names.peers, is_own),
            },
            answers: match question.opener {
                _ if policy.has(flag::OUTBOUND_OFF) => {
                    "answers come in only by a link or rule (outbound is off)"
                }
                Opener::Peer => "what the protected system opens is answered",
                Opener::Protected => "if it passes, the answers come in",
            },
        }
    }
}

/// The port table of a policy of which no more is known than its edition and its roles.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Document {
    /// `None`: this program does not know the edition, and no link is named.
    site: Option<Site>,
    roles: Vec<String>,
}

impl Document {
    /// That of a policy in the kernel.
    #[must_use]
    pub fn of(info: &PolicyInfo) -> Self {
        let edition = Edition::numbered(info.edition);
        Self {
            site: edition.map(|edition| Site::new(Catalog::of(edition))),
            roles: roles_text(info).split(',').map(str::to_owned).collect(),
        }
    }

    /// What would let something pass that is a `service` to the kernel: links, if the peer held
    /// their roles, and a rule.
    #[must_use]
    pub fn advise(
        &self,
        question: &Question,
        service: &str,
        peers: &PeerNames,
        is_own: bool,
    ) -> Advice {
        let rule = rule_hint(question, is_own);
        let links = match is_own {
            true => Vec::new(),
            false => self.links(question, service, peers),
        };
        Advice::new(links, vec![rule])
    }

    /// The links of the protected roles that carry a service, whatever its ports.
    fn links(&self, question: &Question, service: &str, peers: &PeerNames) -> Vec<Ground> {
        let Some(site) = &self.site else {
            return Vec::new();
        };
        let services: Vec<&str> = service.split('+').collect();
        let names: Vec<&str> = peers.iter().map(|(_, name)| name).collect();
        let is_known = |role: &str| {
            names
                .iter()
                .flat_map(|name| name.split('+'))
                .any(|one| one == role)
        };
        let boots = match is_known(PXE_CLIENT) {
            true => BootOpeners::PxeClients,
            false if names.len() <= 1 => BootOpeners::AsDocumented,
            false => BootOpeners::Clients,
        };
        let mut links = in_catalog(site, |name, _| services.contains(&name), boots);
        links.retain(|ground| match (ground, question.opener) {
            (Ground::Link { to, .. }, Opener::Peer) => self.roles.contains(to),
            (Ground::Link { from, .. }, Opener::Protected) => self.roles.contains(from),
            _ => false,
        });
        links
    }
}
