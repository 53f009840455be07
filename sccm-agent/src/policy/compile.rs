//! Puts the tables together: which classes each kind of peer may open.

use super::addresses::{self, AddressTable};
use super::answers::address_of;
use super::rows::WantedRow;
use super::services::{self, ServiceNames};
use super::vocabulary::Vocabulary;
use super::{
    Outbound, SitePolicy, Surroundings, ethertype, handed_out, hash, publish, rights, rows, scopes,
};
use crate::catalog::RoleId;
use anyhow::{Result, anyhow};
use clap::ValueEnum;
use sccm_common::abi::{PolicyInfo, ROLES_BYTES};
use sccm_common::address::OwnFilter;
use sccm_common::essential::ESSENTIALS;
use sccm_common::policy::flag;
use sccm_common::service::ServiceSet;
use sccm_common::{Peer, Policy, Reason, ServiceClass};
use std::net::IpAddr;

/// What a policy is made from.
#[derive(Debug, Clone)]
pub struct Request<'a> {
    /// What the site wants, by the port table of its edition.
    pub policy: &'a SitePolicy,
    /// The machine that it is for.
    pub machine: &'a Surroundings,
    /// Count what would be dropped, and drop nothing.
    pub observe: bool,
}

/// An essential, by the name that its reason has in metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Essential(pub Reason);

impl ValueEnum for Essential {
    fn value_variants<'a>() -> &'a [Self] {
        const ALL: [Essential; ESSENTIALS.len()] = {
            let mut all = [Essential(Reason::Arp); ESSENTIALS.len()];
            let mut index = 0;
            while index < all.len() {
                all[index] = Essential(ESSENTIALS[index]);
                index += 1;
            }
            all
        };
        &ALL
    }

    fn to_possible_value(&self) -> Option<clap::builder::PossibleValue> {
        let value = clap::builder::PossibleValue::new(self.0.label());
        Some(value.help(self.0.explanation()))
    }
}

/// A policy that is ready to be published.
pub struct Compiled {
    /// The tables.
    pub policy: Box<Policy>,
    /// What is said about them; generation and time are 0 until they are published.
    pub info: PolicyInfo,
    /// The classes of addresses.
    pub addresses: AddressTable,
    /// What service classes and peers are called, those of earlier policies included.
    pub services: ServiceNames,
    /// The rows of its rights.
    pub rows: Vec<WantedRow>,
    /// How many kinds of protected systems there are, the gateway itself included.
    pub local_classes: usize,
}

/// Compiles a policy. `names` are those of earlier policies under the same counters.
///
/// # Errors
/// A role that the catalog does not know; more services, prefixes, ethertypes or sets of
/// rights than the tables can tell apart.
pub fn compile(request: &Request<'_>, names: ServiceNames) -> Result<Compiled> {
    let mut services = names;
    let vocabulary = Vocabulary::of(request.policy);
    let classes = services::classify(vocabulary.entries(), &mut services)?;
    let scopes = scopes::of(request.policy, request.machine);
    let named = scopes.prefixes.iter().chain(&scopes.sources);
    let sorted = addresses::classify(named.copied())?;

    let mut policy = Box::new(Policy::EMPTY);
    policy.tcp.copy_from_slice(&classes.tcp);
    policy.udp.copy_from_slice(&classes.udp);
    policy.icmp.copy_from_slice(&classes.icmp);
    policy.icmpv6.copy_from_slice(&classes.icmpv6);
    policy.protocol.copy_from_slice(&classes.protocol);
    // Who is behind a gateway, no arithmetic tells.
    let machine = request.machine;
    let tells_apart = scopes.names_any || machine.is_bridge || !machine.routes.is_empty();
    policy.flags = flags(request, tells_apart);
    policy.own = own_filter(machine);
    for essential in &request.policy.without {
        policy.essentials.remove(essential.0);
    }
    policy.ethertypes = ethertype::table(&request.policy.pass_ethertypes)
        .map_err(|message| anyhow!("pass-ethertypes: {message}"))?;
    policy.timeouts = request.policy.timeouts;
    policy.peers = sorted.peers.len() as u32;
    let set_of = |target: &_| vocabulary.classes_of(target, &classes);
    let rights = rights::Rights::new(request.policy, &set_of)?;
    let peer_names = &mut services.peers;
    let peers = scopes.peers(&sorted.peers).map(|peer| {
        let named = request.policy.peers.as_ref();
        let number = named.map_or(Peer::NOT_KNOWN, |_| peer_names.number(&peer.roles));
        (peer, number)
    });
    let peers: Vec<_> = peers.collect();
    let published = publish::of(request.policy, &scopes, &classes, &set_of);
    let writer = rows::Writer::new(request.policy, &policy);
    let others: Vec<_> = peers.iter().map(|(peer, _)| writer.peer(peer)).collect();
    let mut rowed = Vec::new();
    let dynamic = vocabulary.dynamic(&request.policy.site, &classes);
    let (mut pair, mut hands_out) = (0, false);
    for local in scopes.locals(&sorted.locals) {
        let system = writer.system(&local);
        for ((peer, number), other) in peers.iter().zip(&others) {
            let access = rights.between(&local, peer);
            policy.access[pair] = access;
            let either = access.inbound.union(access.outbound);
            // The gateway itself may open everything.
            hands_out |=
                access.outbound != ServiceSet::ALL && either.contains(ServiceClass::HANDED_OUT);
            if matches!(local, scopes::Local::Own) {
                let inbound = &mut policy.access[pair].inbound;
                for ports in &published {
                    *inbound = inbound.union(ports.open_to(&rights, peer));
                }
            }
            policy.peer_of[pair] = *number;
            let ends = ((&local, &system), (peer, other));
            let counted = handed_out::counted(policy.access[pair], dynamic);
            rowed.extend(writer.rows_of(pair, ends.0, ends.1, &counted));
            pair += 1;
        }
    }
    if hands_out {
        policy.dynamic = dynamic;
    }
    let rows = rows::number(rowed, &services.rows, &mut policy);
    let info = PolicyInfo {
        generation: 0,
        hash: hash::of_written(request.policy),
        flags: policy.flags,
        edition: request.policy.site.catalog.edition as u32,
        published: 0,
        confirm_by: 0,
        warm_up_until: 0,
        until: 0,
        tables: hash::of_tables(&policy, &sorted.table),
        withdrawn: [0; 32],
        roles: role_list(&request.policy.roles()),
    };
    Ok(Compiled {
        policy,
        info,
        local_classes: sorted.locals.len(),
        addresses: sorted.table,
        services,
        rows,
    })
}

fn own_filter(machine: &Surroundings) -> OwnFilter {
    let mut filter = OwnFilter::EMPTY;
    let broadcasts = machine.broadcasts.iter().copied().map(IpAddr::V4);
    for address in machine.own.iter().copied().chain(broadcasts) {
        let (family, address) = address_of(address);
        // The others are told without it.
        if !address.may_be_martian(family) {
            filter.insert(&address);
        }
    }
    filter
}

fn flags(request: &Request<'_>, addresses: bool) -> u32 {
    let policy = request.policy;
    let listed = |listed: bool| {
        let mut entries = policy.protect.iter();
        entries.any(|entry| entry.addresses.is_empty() != listed)
    };
    // Also by a rule's protected ends alone: else it would have no effect on a host.
    let mut into = policy.allow.iter().map(|rule| &rule.to);
    let mut out_of = policy.outbound_allow.iter().map(|rule| &rule.from);
    let by_rules = into.any(|list| !list.is_empty()) || out_of.any(|list| !list.is_empty());
    let local_addresses = listed(true) || by_rules;
    [
        (request.observe, flag::OBSERVE),
        (addresses, flag::ADDRESSES),
        (policy.outbound == Outbound::Enforce, flag::OUTBOUND_ENFORCE),
        (policy.outbound == Outbound::Off, flag::OUTBOUND_OFF),
        (policy.pass_orphan_fragments, flag::PASS_ORPHAN_FRAGMENTS),
        (policy.pass_source_routes, flag::PASS_SOURCE_ROUTES),
        (
            policy.pass_unrelated_icmp_errors,
            flag::PASS_UNRELATED_ICMP_ERRORS,
        ),
        (policy.pass_other_ethertypes, flag::PASS_OTHER_ETHERTYPES),
        (policy.count_only, flag::COUNT_ONLY),
        (local_addresses, flag::LOCAL_ADDRESSES),
        (!listed(false), flag::LISTED_ONLY),
        (request.machine.is_gateway, flag::GATEWAY),
        (request.machine.is_bridge, flag::BRIDGE),
        (
            request.machine.is_gateway && !policy.no_probes,
            flag::PROBES,
        ),
    ]
    .into_iter()
    .filter(|(set, _)| *set)
    .fold(0, |flags, (_, flag)| flags | flag)
}

fn role_list(roles: &[&RoleId]) -> [u8; ROLES_BYTES] {
    let roles: Vec<&str> = roles.iter().map(|role| role.as_str()).collect();
    let mut list = [0; ROLES_BYTES];
    for (byte, value) in list.iter_mut().zip(roles.join(",").bytes()) {
        *byte = value;
    }
    list
}

#[cfg(test)]
mod tests;
