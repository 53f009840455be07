//! What a policy is, whoever wrote it: a site's file, or the flags of `enforce`.
//!
//! The model speaks the operator's language: roles, addresses, rules with a
//! reason. The compiler turns it into tables; nothing here depends on how.

use super::{Essential, Ethertype, Expectation, Hooks, Target};
use crate::catalog::{ANY, Link, RoleId};
use crate::site::Site;
use clap::ValueEnum;
use ipnet::IpNet;
use sccm_common::policy::Timeouts;
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

/// Peers that ask for PXE boot service: build networks. Where nobody is named,
/// [`CLIENT`] may.
pub const PXE_CLIENT: &str = "pxe-client";

/// Relays that forward DHCP for them (RFC 1542).
pub const DHCP_RELAY: &str = "dhcp-relay";

/// The role of managed computers.
pub const CLIENT: &str = "client";

/// The role of every address that is not [`SitePolicy::internal`].
pub const INTERNET: &str = "internet";

/// Whether a service is what a computer asks for an address by: relays forward it, and who asks may
/// have none yet.
pub(crate) fn asks_for_an_address(service: &str) -> bool {
    matches!(service, "dhcp" | "dhcpv6")
}

/// A site's policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SitePolicy {
    /// The edition of this site, and its ports.
    pub site: Site,
    /// What the protected systems may open.
    pub outbound: Outbound,
    /// How long flows live.
    pub timeouts: Timeouts,
    /// Seconds in which nothing is dropped, after a start where nothing was enforced before.
    pub warm_up: u32,
    /// Essentials that are taken away.
    pub without: Vec<Essential>,
    /// Pass later fragments whose first was not seen.
    pub pass_orphan_fragments: bool,
    /// Pass packets that a source route or a routing header sends on to others.
    pub pass_source_routes: bool,
    /// Pass ICMP errors whatever they quote.
    pub pass_unrelated_icmp_errors: bool,
    /// Let no probes pass.
    pub no_probes: bool,
    /// Pass frames that carry neither IP nor an essential.
    pub pass_other_ethertypes: bool,
    /// Pass those of them with these numbers.
    pub pass_ethertypes: Vec<Ethertype>,
    /// Count what is refused, and note none of its flows.
    pub count_only: bool,
    /// Sources that come in on any side, although others of their kind do not.
    pub pass_sources: Vec<IpNet>,
    /// What is not the Internet. Prefixes that the policy names count in any case.
    pub internal: Vec<IpNet>,
    /// The addresses that hold each role, or [`PXE_CLIENT`] or [`DHCP_RELAY`].
    /// `None`: any address may be the other end of any link.
    pub peers: Option<BTreeMap<RoleId, Vec<IpNet>>>,
    /// The protected systems.
    pub protect: Vec<Protected>,
    /// What the document does not know and this site needs.
    pub allow: Vec<Rule>,
    /// What the protected systems may open without a link: `from` are these, `to` their peers.
    pub outbound_allow: Vec<Rule>,
    /// What reaches a gateway itself.
    pub management: Vec<Rule>,
    /// Ports of the gateway that it sends on to protected systems.
    pub publish: Vec<Publish>,
    /// Where what comes in at these cards is judged. It decides nothing about what passes.
    pub hooks: Hooks,
    /// What people call addresses. It decides nothing.
    pub names: BTreeMap<String, Vec<IpNet>>,
    /// What the operator expects of it. It decides nothing, either.
    pub expect: Vec<Expectation>,
}

/// Systems with the same roles.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Protected {
    /// What the operator calls them.
    pub name: String,
    /// Ids of roles; rights are those of all of them.
    pub roles: Vec<RoleId>,
    /// Where they are; none: every address that no other entry names.
    pub addresses: Vec<IpNet>,
    /// They are not behind this machine but behind another gateway, and so peers here.
    pub elsewhere: bool,
    /// How their links open the RPC dynamic range.
    pub rpc: Rpc,
}

/// Something that may be opened without a link of the document: at protected systems, unless it is
/// one of [`SitePolicy::outbound_allow`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    /// What the operator calls it.
    pub name: String,
    /// What may be opened.
    pub targets: Vec<Target>,
    /// By whom; none: by anybody.
    pub from: Vec<IpNet>,
    /// Where; none: at every protected system (or at the gateway itself, for
    /// [`SitePolicy::management`]).
    pub to: Vec<IpNet>,
    /// Whether the Internet is among the peers, too: if nobody else is listed, it alone.
    pub internet: bool,
    /// Why, in the operator's words; may be empty.
    pub reason: String,
    /// Whether a set of Windows services stands for it, in a policy that tracks: its dynamic range is
    /// RPC's, as that of a link. What the operator writes is a service of its own.
    pub tracked: bool,
}

/// A port of a gateway behind which a protected system is (DNAT). Whoever may open the port there
/// may open the one at the gateway.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Publish {
    /// What the operator calls it.
    pub name: String,
    /// The ports at the gateway, of TCP or UDP.
    pub targets: Vec<Target>,
    /// The protected system.
    pub to: IpAddr,
    /// The port there, if only one is published; `None`: the same ones.
    pub to_port: Option<u16>,
    /// Why, in the operator's words.
    pub reason: String,
}

/// How to treat connections that protected systems open.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum Outbound {
    /// Pass them, and their answers
    #[default]
    Track,
    /// Pass only those that a link of the roles allows, and their answers
    Enforce,
    /// Pass them without remembering them: answers need a link of their own
    Off,
}

/// How the ports are opened that the endpoint mapper of RPC hands out.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum Rpc {
    /// All of the dynamic range, to whoever may use it
    #[default]
    Static,
    /// Each port that an endpoint mapper hands out, to the system that asked
    Tracked,
}

impl Default for SitePolicy {
    /// Protects nothing, and lets nothing in.
    fn default() -> Self {
        Self {
            site: Site::default(),
            outbound: Outbound::default(),
            timeouts: Timeouts::DEFAULT,
            warm_up: 0,
            without: Vec::new(),
            pass_orphan_fragments: false,
            pass_source_routes: false,
            pass_unrelated_icmp_errors: false,
            no_probes: false,
            pass_other_ethertypes: false,
            pass_ethertypes: Vec::new(),
            count_only: false,
            pass_sources: Vec::new(),
            internal: default_internal(),
            peers: None,
            protect: Vec::new(),
            allow: Vec::new(),
            outbound_allow: Vec::new(),
            management: Vec::new(),
            publish: Vec::new(),
            hooks: Hooks::new(),
            names: BTreeMap::new(),
            expect: Vec::new(),
        }
    }
}

impl SitePolicy {
    /// The roles of all protected systems, each once, in the order of the policy.
    #[must_use]
    pub fn roles(&self) -> Vec<&RoleId> {
        let mut roles = Vec::new();
        for role in self.protect.iter().flat_map(|entry| &entry.roles) {
            if !roles.contains(&role) {
                roles.push(role);
            }
        }
        roles
    }

    /// Whether the links of some protected system are tracked.
    #[must_use]
    pub fn tracks(&self) -> bool {
        self.protect.iter().any(|entry| entry.rpc == Rpc::Tracked)
    }

    /// Every role that the policy names, of protected systems and of peers, each once.
    pub(crate) fn named_roles(&self) -> impl Iterator<Item = &RoleId> {
        let peers = self.peers.iter().flat_map(BTreeMap::keys);
        let all: BTreeSet<&RoleId> = self.roles().into_iter().chain(peers).collect();
        all.into_iter()
    }

    /// All rules, wherever they lead.
    pub fn rules(&self) -> impl Iterator<Item = &Rule> {
        let inbound = self.allow.iter().chain(&self.management);
        inbound.chain(&self.outbound_allow)
    }

    /// Whether peers narrow a link: a sentence about anybody then means the roles to which the
    /// document's tables give the service ([`Site::openers_by_tables`]).
    #[must_use]
    pub fn narrows(&self, link: &Link) -> bool {
        self.peers.is_some() && self.site.catalog.is_sentence(link)
    }

    /// The roles that a link means by `other`, its end beyond a protected system.
    pub(crate) fn others(&self, link: &Link, other: &'static RoleId) -> Vec<&'static RoleId> {
        match other.as_str() == ANY && self.narrows(link) {
            true => self.site.openers_by_tables(link),
            false => vec![other],
        }
    }
}

/// The prefixes that never belong to the Internet: private (RFC 1918), shared
/// (RFC 6598), loopback, link-local (RFC 3927, RFC 4291) and unique local (RFC 4193).
#[must_use]
pub fn default_internal() -> Vec<IpNet> {
    use std::net::{Ipv4Addr, Ipv6Addr};
    let v4 = |a, b, length| ipnet::Ipv4Net::new_assert(Ipv4Addr::new(a, b, 0, 0), length).into();
    let v6 = |first, length| {
        ipnet::Ipv6Net::new_assert(Ipv6Addr::new(first, 0, 0, 0, 0, 0, 0, 0), length).into()
    };
    vec![
        v4(10, 0, 8),
        v4(172, 16, 12),
        v4(192, 168, 16),
        v4(100, 64, 10),
        v4(127, 0, 8),
        v4(169, 254, 16),
        v6(0xfc00, 7),
        v6(0xfe80, 10),
    ]
}
