//! Which addresses a policy tells apart, and what each kind of them is.
//!
//! Every prefix that the policy names becomes a scope: the holders of a role,
//! the sources of a rule, the protected systems. An address is everything that
//! any scope around it says, so rights add up and a narrow prefix never takes
//! from a wide one. What the sorted classes stand for is read back from here.

mod broadcasts;
mod sources;

use super::addresses::Tag;
use super::{SitePolicy, Surroundings, groups};
use crate::catalog::RoleId;
use ipnet::IpNet;
use sccm_common::address::LOCAL_SELF;
use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// What a peer's address may say about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum PeerScope<'a> {
    /// It holds this role.
    Role(&'a RoleId),
    /// A group of the policy's rules is about it.
    Allowed(usize),
    /// A group of the gateway's own rules is about it.
    Manager(usize),
    /// A group of the rules for what goes out leads to it.
    Reached(usize),
    /// It is not of the Internet.
    Internal,
    /// It is no address yet: a machine that asks for one.
    Unconfigured,
    /// It stands for many, as a destination.
    Group,
}

/// What a protected address may say about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum LocalScope<'a> {
    /// It is this entry of the policy.
    Entry(usize),
    /// It is among the protected ends of rules with exactly this list.
    Listed(&'a [IpNet]),
    /// It stands for many.
    Group,
    /// It stands for many, and of what comes in for it, only this machine gets any.
    EndsHere,
}

/// The other end of a packet.
#[derive(Debug, Default)]
pub(super) struct Peer<'a> {
    /// The roles that it holds, unless anybody may hold any.
    pub roles: BTreeSet<&'a RoleId>,
    /// The groups of the policy's rules that are about it.
    pub allowed: Vec<usize>,
    /// The groups of the gateway's own rules that are about it.
    pub manager: Vec<usize>,
    /// The groups of the rules for what goes out that lead to it.
    pub reached: Vec<usize>,
    /// Whether it is anything but the Internet.
    pub internal: bool,
    /// Whether it has no address yet.
    pub unconfigured: bool,
    /// Whether it stands for many.
    pub group: bool,
}

impl Peer<'_> {
    /// Whether it is of the Internet, where the policy tells.
    pub(super) const fn is_of_the_internet(&self) -> bool {
        !self.internal && !self.group && !self.unconfigured
    }
}

/// The protected end of a packet.
#[derive(Debug)]
pub(super) enum Local<'a> {
    /// This machine, as a gateway.
    Own,
    /// Everybody: a broadcast or multicast address.
    Group {
        /// The lists of rules that it is in.
        listed: Vec<&'a [IpNet]>,
    },
    /// The same where a gateway hands nothing on: the gateway itself.
    EndsHere,
    /// Protected systems.
    Systems {
        /// The entries of the policy that it is.
        entries: Vec<usize>,
        /// The lists of rules that it is in.
        listed: Vec<&'a [IpNet]>,
    },
}

/// The scopes of a policy.
pub(super) struct Scopes<'a> {
    /// What is to be sorted into classes.
    pub prefixes: Vec<(IpNet, Tag)>,
    /// The same, of addresses as sources.
    pub sources: Vec<(IpNet, Tag)>,
    /// Whether the policy, or a gateway's own addresses, name any of them.
    pub names_any: bool,
    peers: Vec<PeerScope<'a>>,
    locals: Vec<LocalScope<'a>>,
    /// Entries without addresses: they are whatever no other entry is.
    elsewhere: Vec<usize>,
}

/// The scopes that a policy needs on a machine.
pub(super) fn of<'a>(policy: &'a SitePolicy, machine: &Surroundings) -> Scopes<'a> {
    let mut scopes = Scopes {
        prefixes: Vec::new(),
        sources: sources::of(policy, machine),
        names_any: false,
        peers: Vec::new(),
        locals: Vec::new(),
        elsewhere: Vec::new(),
    };
    for (index, group) in groups::of(&policy.allow).iter().enumerate() {
        scopes.peer(PeerScope::Allowed(index), &group.peers);
        scopes.local(LocalScope::Listed(group.systems), group.systems);
    }
    for (index, group) in groups::of(&policy.management).iter().enumerate() {
        scopes.peer(PeerScope::Manager(index), &group.peers);
    }
    for (index, entry) in policy.protect.iter().enumerate() {
        scopes.local(LocalScope::Entry(index), &entry.addresses);
        if entry.addresses.is_empty() {
            scopes.elsewhere.push(index);
        }
    }
    if let Some(peers) = &policy.peers {
        for (role, addresses) in peers {
            scopes.peer(PeerScope::Role(role), addresses);
        }
        // What is protected here is a peer of what is protected elsewhere.
        for entry in &policy.protect {
            for role in &entry.roles {
                scopes.peer(PeerScope::Role(role), &entry.addresses);
            }
        }
    }
    if policy.peers.is_some() || policy.rules().any(|rule| rule.internet) {
        let named: Vec<IpNet> = scopes.prefixes.iter().map(|(prefix, _)| *prefix).collect();
        // A whole family is no statement about who belongs to the site.
        let named: Vec<IpNet> = named.into_iter().filter(|p| p.prefix_len() > 0).collect();
        scopes.peer(PeerScope::Internal, &policy.internal);
        scopes.peer(PeerScope::Internal, &named);
        scopes.peer(PeerScope::Unconfigured, &unspecified());
    }
    // Where systems may go says nothing about who belongs to the site: a rule that is added would
    // take away what another one lets go to the Internet.
    for (index, group) in groups::outbound(&policy.outbound_allow).iter().enumerate() {
        scopes.peer(PeerScope::Reached(index), &group.peers);
        scopes.local(LocalScope::Listed(group.systems), group.systems);
    }
    if machine.is_gateway {
        let own = machine.own.iter();
        let own = own.map(|address| (IpNet::from(*address), Tag::Own));
        scopes.prefixes.extend(own);
        scopes.local(LocalScope::EndsHere, &ending_here(machine));
    }
    scopes.names_any = !scopes.prefixes.is_empty();
    if scopes.names_any {
        let own = host_prefixes(&machine.broadcasts);
        scopes.peer(PeerScope::Group, &own);
        scopes.local(LocalScope::Group, &own);
        scopes.local(LocalScope::Group, &broadcasts::unlisted(policy, machine));
    }
    // Where nothing else is named these are the only classes, which programs then know by
    // themselves: `AddressClass::GROUP`.
    scopes.peer(PeerScope::Group, &group_addresses());
    scopes.local(LocalScope::Group, &group_addresses());
    scopes
}

impl<'a> Scopes<'a> {
    fn peer(&mut self, scope: PeerScope<'a>, addresses: &[IpNet]) {
        let tag = Tag::Peer(number(&mut self.peers, scope, addresses));
        let tagged = addresses.iter().map(|prefix| (*prefix, tag));
        self.prefixes.extend(tagged);
    }

    fn local(&mut self, scope: LocalScope<'a>, addresses: &[IpNet]) {
        let tag = Tag::Local(number(&mut self.locals, scope, addresses));
        let tagged = addresses.iter().map(|prefix| (*prefix, tag));
        self.prefixes.extend(tagged);
    }

    /// What each peer class is, in the order of their numbers.
    pub(crate) fn peers(&self, classes: &[BTreeSet<u16>]) -> impl Iterator<Item = Peer<'a>> {
        classes.iter().map(|tags| self.peer_with(tags))
    }

    /// What each local class is, in the order of their numbers.
    pub(crate) fn locals(&self, classes: &[BTreeSet<u16>]) -> impl Iterator<Item = Local<'a>> {
        let classes = classes.iter().enumerate();
        classes.map(|(class, tags)| match class == usize::from(LOCAL_SELF) {
            true => Local::Own,
            false => self.local_with(tags),
        })
    }

    /// What an address is as the other end, found without any table.
    pub(crate) fn peer_at(&self, address: IpAddr) -> Peer<'a> {
        let tags = self.tags_at(address).filter_map(|tag| match tag {
            Tag::Peer(number) => Some(number),
            _ => None,
        });
        self.peer_with(&tags.collect())
    }

    /// What an address is as the protected end, found without any table.
    pub(crate) fn local_at(&self, address: IpAddr) -> Local<'a> {
        if self.tags_at(address).any(|tag| tag == Tag::Own) {
            return Local::Own;
        }
        let tags = self.tags_at(address).filter_map(|tag| match tag {
            Tag::Local(number) => Some(number),
            _ => None,
        });
        self.local_with(&tags.collect())
    }

    fn tags_at(&self, address: IpAddr) -> impl Iterator<Item = Tag> {
        let covering = self.prefixes.iter();
        covering
            .filter(move |(prefix, _)| prefix.contains(&address))
            .map(|(_, tag)| *tag)
    }

    fn peer_with(&self, tags: &BTreeSet<u16>) -> Peer<'a> {
        let mut peer = Peer::default();
        for tag in tags {
            match self.peers[usize::from(*tag)] {
                PeerScope::Role(role) => {
                    peer.roles.insert(role);
                }
                PeerScope::Allowed(group) => peer.allowed.push(group),
                PeerScope::Manager(group) => peer.manager.push(group),
                PeerScope::Reached(group) => peer.reached.push(group),
                PeerScope::Internal => peer.internal = true,
                PeerScope::Unconfigured => peer.unconfigured = true,
                PeerScope::Group => peer.group = true,
            }
        }
        peer
    }

    fn local_with(&self, tags: &BTreeSet<u16>) -> Local<'a> {
        let mut entries = Vec::new();
        let mut listed = Vec::new();
        let (mut group, mut ends_here) = (false, false);
        for tag in tags {
            match self.locals[usize::from(*tag)] {
                LocalScope::Entry(index) => entries.push(index),
                LocalScope::Listed(list) => listed.push(list),
                LocalScope::Group => group = true,
                LocalScope::EndsHere => ends_here = true,
            }
        }
        if ends_here {
            return Local::EndsHere;
        }
        if group {
            return Local::Group { listed };
        }
        if entries.is_empty() {
            entries.clone_from(&self.elsewhere);
        }
        Local::Systems { entries, listed }
    }
}

/// The number of a scope, which may be new. One without addresses needs none.
fn number<S: PartialEq + Copy>(known: &mut Vec<S>, scope: S, addresses: &[IpNet]) -> u16 {
    let found = known.iter().position(|known| *known == scope);
    let number = found.unwrap_or(known.len());
    if found.is_none() && !addresses.is_empty() {
        known.push(scope);
    }
    number as u16
}

/// Where a packet comes from whose sender has no address yet.
fn unspecified() -> [IpNet; 2] {
    [
        IpNet::from(IpAddr::V4(Ipv4Addr::UNSPECIFIED)),
        IpNet::from(IpAddr::V6(Ipv6Addr::UNSPECIFIED)),
    ]
}

/// What stands for many, and a gateway does not hand on: a router takes limited broadcasts and the
/// groups of a link itself, and so it does with directed broadcasts and all groups unless it is told
/// to route them. A bridge hands on everything.
fn ending_here(machine: &Surroundings) -> Vec<IpNet> {
    if machine.is_bridge {
        return Vec::new();
    }
    let [broadcast, multicast @ ..] = group_addresses();
    let mut ending = vec![broadcast];
    if !machine.routes_broadcasts {
        ending.extend(host_prefixes(&machine.broadcasts));
    }
    match machine.routes_multicast {
        true => ending.extend(groups_of_a_link()),
        false => ending.extend(multicast),
    }
    ending
}

fn host_prefixes(addresses: &[Ipv4Addr]) -> Vec<IpNet> {
    let prefixes = addresses.iter().copied().map(IpAddr::V4);
    prefixes.map(IpNet::from).collect()
}

/// 224.0.0.0/24 (RFC 5771, 4), and of IPv6 all groups of interface-local and link-local scope,
/// whatever their flags (RFC 4291, 2.7).
fn groups_of_a_link() -> Vec<IpNet> {
    let v4 = ipnet::Ipv4Net::new_assert(Ipv4Addr::new(224, 0, 0, 0), 24);
    let v6 = (0..16).flat_map(|flags| [1, 2].map(|scope| 0xff00 | flags << 4 | scope));
    let v6 = v6.map(|first| {
        let address = Ipv6Addr::new(first, 0, 0, 0, 0, 0, 0, 0);
        IpNet::V6(ipnet::Ipv6Net::new_assert(address, 16))
    });
    v6.chain([IpNet::V4(v4)]).collect()
}

/// Broadcast (RFC 919) and multicast (RFC 5771, RFC 4291).
fn group_addresses() -> [IpNet; 3] {
    [
        IpNet::from(IpAddr::V4(Ipv4Addr::BROADCAST)),
        IpNet::V4(ipnet::Ipv4Net::new_assert(Ipv4Addr::new(224, 0, 0, 0), 4)),
        IpNet::V6(ipnet::Ipv6Net::new_assert(
            Ipv6Addr::new(0xff00, 0, 0, 0, 0, 0, 0, 0),
            8,
        )),
    ]
}
