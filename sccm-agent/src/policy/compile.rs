//! Puts the tables together: which classes each kind of peer may open.

use super::addresses::{self, AddressTable, Classes as AddressClasses, Tag};
use super::services::{self, Entry};
use super::{Allow, ServiceNames, Target};
use crate::catalog::{Catalog, Role, Service};
use crate::site::Site;
use anyhow::{Context as _, Result};
use clap::ValueEnum;
use ipnet::IpNet;
use sccm_common::abi::{PolicyInfo, ROLES_BYTES};
use sccm_common::policy::{Access, Timeouts, flag};
use sccm_common::service::ServiceSet;
use sccm_common::{Policy, Reason};
use sha2::{Digest, Sha256};
use std::net::IpAddr;

/// What a policy is made from.
#[derive(Debug, Clone)]
pub struct Request<'a> {
    /// The vendor's table.
    pub catalog: &'a Catalog,
    /// The site's settings.
    pub site: &'a Site,
    /// The roles of the protected systems.
    pub roles: &'a [&'a Role],
    /// Site-specific ports of the protected systems.
    pub allow: &'a [Allow],
    /// Ports of a gateway itself.
    pub manage: &'a [Allow],
    /// Addresses of a gateway itself; none on a host.
    pub own: &'a [IpAddr],
    /// What the protected systems may open.
    pub outbound: Outbound,
    /// How long flows live.
    pub timeouts: Timeouts,
    /// Essentials that are taken away.
    pub without: &'a [Essential],
    /// Count what would be dropped, and drop nothing.
    pub observe: bool,
    /// Pass later fragments whose first was not seen.
    pub pass_orphan_fragments: bool,
    /// Pass frames that carry neither IP nor an essential.
    pub pass_other_ethertypes: bool,
}

/// What happens to what the protected systems open themselves.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum Outbound {
    /// It passes, and its answers come back
    #[default]
    Track,
    /// Only the roles' own links pass, and their answers come back
    Enforce,
    /// It passes, and nobody looks: its answers come back only where a link lets them in
    Off,
}

/// An essential, by the name that its reason has in metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Essential(pub Reason);

impl ValueEnum for Essential {
    fn value_variants<'a>() -> &'a [Self] {
        const ALL: [Essential; 11] = {
            let mut all = [Essential(Reason::Arp); 11];
            let mut index = 0;
            while index < all.len() {
                all[index] = Essential(sccm_common::essential::ESSENTIALS[index]);
                index += 1;
            }
            all
        };
        &ALL
    }

    fn to_possible_value(&self) -> Option<clap::builder::PossibleValue> {
        let value = clap::builder::PossibleValue::new(self.0.label());
        Some(value.help(self.0.explanation().trim()))
    }
}

/// A policy that is ready to be published.
pub struct Compiled {
    /// The tables.
    pub policy: Box<Policy>,
    /// What is said about them; generation 0 until they are published.
    pub info: PolicyInfo,
    /// The classes of addresses.
    pub addresses: AddressTable,
    /// What the service classes are called, those of earlier policies included.
    pub services: ServiceNames,
}

/// Compiles a policy. `names` are those of earlier policies under the same counters.
///
/// # Errors
/// More services or prefixes than the tables can tell apart.
pub fn compile(request: &Request<'_>, names: ServiceNames) -> Result<Compiled> {
    let mut services = names;
    let mut entries = vocabulary(request);
    for allow in request.allow.iter().chain(request.manage) {
        let entry = Entry {
            name: allow.target.to_string(),
            target: allow.target.clone(),
        };
        if !entries.contains(&entry) {
            entries.push(entry);
        }
    }
    let classes = services::classify(&entries, &mut services)?;
    let of_target = |target: &Target| {
        let mut set = ServiceSet::default();
        for (entry, classes) in entries.iter().zip(&classes.of_entry) {
            if entry.target == *target {
                classes.iter().for_each(|class| set.insert(*class));
            }
        }
        set
    };

    let own = request.own.iter();
    let own = own.map(|address| Ok((IpNet::from(*address), Tag::Own)));
    let scopes: Vec<(IpNet, Tag)> = tagged(request.allow, ALLOW, &entries)
        .chain(tagged(request.manage, MANAGE, &entries))
        .chain(own)
        .collect::<Result<_>>()?;
    let has_scopes = !scopes.is_empty();
    let AddressClasses {
        table: addresses,
        peers: sets,
        ..
    } = addresses::classify(scopes)?;

    let mut policy = Box::new(Policy::EMPTY);
    policy.tcp.copy_from_slice(&classes.tcp);
    policy.udp.copy_from_slice(&classes.udp);
    policy.icmp.copy_from_slice(&classes.icmp);
    policy.icmpv6.copy_from_slice(&classes.icmpv6);
    policy.protocol.copy_from_slice(&classes.protocol);
    policy.flags = flags(request, has_scopes);
    for essential in request.without {
        policy.essentials.remove(essential.0);
    }
    policy.timeouts = request.timeouts;
    policy.peers = sets.len() as u32;
    let protected = open_by_role(request, &of_target);
    for (peer, set) in sets.iter().enumerate() {
        let extra = |rules: &[Allow], list: u16| {
            let for_all = rules.iter().filter(|rule| rule.from.is_none());
            let for_all = for_all.map(|rule| &rule.target);
            let tags = set.iter().filter(|tag| **tag % LISTS == list);
            let for_these = tags.map(|tag| &entries[usize::from(tag / LISTS)].target);
            let open = for_all.chain(for_these);
            open.fold(ServiceSet::default(), |set, target| {
                set.union(of_target(target))
            })
        };
        policy.access[peer] = Access {
            inbound: protected.inbound.union(extra(request.allow, ALLOW)),
            outbound: protected.outbound,
        };
        policy.access[sets.len() + peer] = Access {
            inbound: extra(request.manage, MANAGE),
            outbound: ServiceSet::ALL,
        };
    }
    let info = PolicyInfo {
        generation: 0,
        hash: hash(&policy, &addresses),
        flags: policy.flags,
        reserved: 0,
        roles: role_list(request),
    };
    Ok(Compiled {
        policy,
        info,
        addresses,
        services,
    })
}

/// Which list of rules a tag comes from.
const ALLOW: u16 = 0;
const MANAGE: u16 = 1;
const LISTS: u16 = 2;

/// The prefixes of these rules. Those that open the same target share a tag, so
/// that many prefixes make few classes.
fn tagged<'a>(
    rules: &'a [Allow],
    list: u16,
    entries: &'a [Entry],
) -> impl Iterator<Item = Result<(IpNet, Tag)>> + 'a {
    rules.iter().filter_map(move |rule| {
        let prefix = rule.from?;
        let mut targets = entries.iter().map(|entry| &entry.target);
        let target = targets.position(|target| *target == rule.target)?;
        let tag = u16::try_from(target * usize::from(LISTS) + usize::from(list));
        let tag = tag.context("the rules name too many different ports for prefixes: merge some");
        Some(tag.map(|tag| (prefix, Tag::Peer(tag))))
    })
}

/// Everything that the catalog can name, whether or not it applies here.
fn vocabulary(request: &Request<'_>) -> Vec<Entry> {
    let mut entries: Vec<Entry> = Vec::new();
    for service in request.catalog.links.iter().flat_map(|link| &link.services) {
        for (name, target) in rows(service, request.site) {
            let entry = Entry { name, target };
            if !entries.contains(&entry) {
                entries.push(entry);
            }
        }
    }
    entries
}

/// What the roles' links open, each way. Without peers' addresses, whoever it
/// is may be the other end of any link.
fn open_by_role(request: &Request<'_>, of_target: &impl Fn(&Target) -> ServiceSet) -> Access {
    let mut access = Access::NONE;
    let open = |set: &mut ServiceSet, service: &Service| {
        for (_, target) in rows(service, request.site) {
            *set = set.union(of_target(&target));
        }
    };
    for role in request.roles {
        for (_, _, service) in request.catalog.links_into(role, request.site) {
            open(&mut access.inbound, service);
        }
        for (_, _, service) in request.catalog.links_out_of(role, request.site) {
            open(&mut access.outbound, service);
        }
    }
    access
}

/// A row of the catalog as named targets: its own, and what cannot do without it.
fn rows(service: &Service, site: &Site) -> Vec<(String, Target)> {
    let own = Target::of_service(service, site).into_iter();
    let mut rows: Vec<_> = own
        .map(|target| (service.service.clone(), target))
        .collect();
    if service.service == IKE {
        // IKE only negotiates (RFC 7296, 2.23; RFC 4303; RFC 4302).
        rows.extend([
            ("ipsec-nat-traversal".to_owned(), Target::Udp(4500..=4500)),
            ("esp".to_owned(), Target::Protocol(50)),
            ("ah".to_owned(), Target::Protocol(51)),
        ]);
    }
    rows
}

/// The service of link 11 that brings the IPsec protocols with it.
const IKE: &str = "ike";

fn flags(request: &Request<'_>, addresses: bool) -> u32 {
    [
        (request.observe, flag::OBSERVE),
        (addresses, flag::ADDRESSES),
        (
            request.outbound == Outbound::Enforce,
            flag::OUTBOUND_ENFORCE,
        ),
        (request.outbound == Outbound::Off, flag::OUTBOUND_OFF),
        (request.pass_orphan_fragments, flag::PASS_ORPHAN_FRAGMENTS),
        (request.pass_other_ethertypes, flag::PASS_OTHER_ETHERTYPES),
    ]
    .into_iter()
    .filter(|(set, _)| *set)
    .fold(0, |flags, (_, flag)| flags | flag)
}

fn role_list(request: &Request<'_>) -> [u8; ROLES_BYTES] {
    let roles: Vec<&str> = request.roles.iter().map(|role| role.id.as_str()).collect();
    let mut list = [0; ROLES_BYTES];
    for (byte, value) in list.iter_mut().zip(roles.join(",").bytes()) {
        *byte = value;
    }
    list
}

/// Two policies with the same hash decide alike.
fn hash(policy: &Policy, addresses: &AddressTable) -> [u8; 32] {
    let mut hasher = Sha256::new();
    hasher.update(policy.flags.to_le_bytes());
    hasher.update(policy.essentials.0.to_le_bytes());
    for table in [
        &policy.tcp[..],
        &policy.udp,
        &policy.icmp,
        &policy.icmpv6,
        &policy.protocol,
    ] {
        let numbers: Vec<u8> = table.iter().map(|class| class.0).collect();
        hasher.update(&numbers);
    }
    let limits = policy.timeouts;
    for number in [
        policy.peers,
        limits.tcp_opening,
        limits.tcp_established,
        limits.tcp_closing,
        limits.other,
    ] {
        hasher.update(number.to_le_bytes());
    }
    for access in &policy.access {
        for word in [access.inbound.0, access.outbound.0].concat() {
            hasher.update(word.to_le_bytes());
        }
    }
    let words = addresses.used().iter();
    let bytes: Vec<u8> = words.flat_map(|word| word.to_le_bytes()).collect();
    hasher.update(&bytes);
    hasher.finalize().into()
}
