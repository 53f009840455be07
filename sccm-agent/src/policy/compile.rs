//! Puts the tables together: which classes each kind of peer may open.

use super::services::{self, Entry};
use super::{AddressTable, Allow, ServiceNames, Target, addresses};
use crate::catalog::{Catalog, Role};
use crate::site::Site;
use anyhow::Result;
use clap::ValueEnum;
use ipnet::IpNet;
use sccm_common::abi::{PolicyInfo, ROLES_BYTES};
use sccm_common::address::{self, Family};
use sccm_common::policy::flag;
use sccm_common::{Policy, Reason};
use sha2::{Digest, Sha256};

/// What a policy is made from.
#[derive(Debug, Clone)]
pub struct Request<'a> {
    /// The vendor's table.
    pub catalog: &'a Catalog,
    /// The site's settings.
    pub site: &'a Site,
    /// The roles of the protected system.
    pub roles: &'a [&'a Role],
    /// Site-specific ports.
    pub allow: &'a [Allow],
    /// Essentials that are taken away.
    pub without: &'a [Essential],
    /// Count what would be dropped, and drop nothing.
    pub observe: bool,
    /// Drop fragments that have no transport header.
    pub refuse_later_fragments: bool,
    /// Pass frames that carry neither IP nor an essential.
    pub pass_other_ethertypes: bool,
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
    let first_allow = entries.len();
    entries.extend(request.allow.iter().map(|allow| Entry {
        name: allow.target.to_string(),
        target: allow.target.clone(),
    }));
    let classes = services::classify(&entries, &mut services)?;

    let scoped: Vec<(usize, IpNet)> = request
        .allow
        .iter()
        .enumerate()
        .filter_map(|(index, allow)| Some((index, allow.from?)))
        .collect();
    let scopes: Vec<IpNet> = scoped.iter().map(|(_, scope)| *scope).collect();
    let (addresses, sets) = addresses::classify(&scopes)?;

    let mut policy = Box::new(Policy::EMPTY);
    policy.tcp.copy_from_slice(&classes.tcp);
    policy.udp.copy_from_slice(&classes.udp);
    policy.icmp.copy_from_slice(&classes.icmp);
    policy.icmpv6.copy_from_slice(&classes.icmpv6);
    policy.protocol.copy_from_slice(&classes.protocol);
    policy.flags = flags(request, !scopes.is_empty());
    for essential in request.without {
        policy.essentials.remove(essential.0);
    }

    let open_to_all = open_to_all(request, &entries[..first_allow]);
    for (class, set) in sets.iter().enumerate() {
        let allowed = open_to_all
            .iter()
            .copied()
            .chain(set.iter().map(|scope| first_allow + scoped[*scope].0))
            .chain(unscoped(request.allow).map(|index| first_allow + index));
        for entry in allowed {
            for service in &classes.of_entry[entry] {
                policy.inbound[class].insert(*service);
            }
        }
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

/// Everything that the catalog can name, whether or not it applies here.
fn vocabulary(request: &Request<'_>) -> Vec<Entry> {
    let mut entries: Vec<Entry> = Vec::new();
    for service in request.catalog.links.iter().flat_map(|link| &link.services) {
        for target in Target::of_service(service, request.site) {
            let entry = Entry {
                name: service.service.clone(),
                target,
            };
            if !entries.contains(&entry) {
                entries.push(entry);
            }
        }
    }
    entries
}

/// The entries that some link opens to one of the roles. Without peers'
/// addresses, whoever sends may be the other end of any link.
fn open_to_all(request: &Request<'_>, vocabulary: &[Entry]) -> Vec<usize> {
    let mut open = Vec::new();
    for role in request.roles {
        for (_, _, service) in request.catalog.links_into(role, request.site) {
            for target in Target::of_service(service, request.site) {
                open.extend(
                    vocabulary
                        .iter()
                        .enumerate()
                        .filter(|(_, entry)| entry.target == target)
                        .map(|(index, _)| index),
                );
            }
        }
    }
    open
}

fn unscoped(allow: &[Allow]) -> impl Iterator<Item = usize> {
    let all = allow.iter().enumerate();
    all.filter(|(_, allow)| allow.from.is_none())
        .map(|(index, _)| index)
}

fn flags(request: &Request<'_>, peers: bool) -> u32 {
    [
        (request.observe, flag::OBSERVE),
        (peers, flag::PEERS),
        (!request.refuse_later_fragments, flag::PASS_LATER_FRAGMENTS),
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
    for set in &policy.inbound {
        for word in set.0 {
            hasher.update(word.to_le_bytes());
        }
    }
    for family in [Family::V4, Family::V6] {
        hash_entries(&mut hasher, addresses.root(family));
    }
    for chunk in addresses.chunks() {
        hash_entries(&mut hasher, chunk);
    }
    hasher.finalize().into()
}

fn hash_entries(hasher: &mut Sha256, entries: &[address::Entry]) {
    let bytes: Vec<u8> = entries
        .iter()
        .flat_map(|entry| entry.to_le_bytes())
        .collect();
    hasher.update(&bytes);
}
