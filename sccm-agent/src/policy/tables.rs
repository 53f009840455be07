//! A compiled policy as the kernel holds it, wherever it was read from.
//!
//! The candidate comes from the compiler, the running one from the maps; both are
//! walked here in the same way, so that they can be compared.

use super::{Compiled, Openness, Target, address_of};
use sccm_common::Policy;
use sccm_common::address::trie::{
    Entry, MAX_STEPS, NODES_END, Next, ROOT_BITS, SHORT_MATCH, Trie, WORDS, root,
};
use sccm_common::address::{AddressClass, Family, LOCAL_SELF, classify};
use sccm_common::policy::flag;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// The tables of one policy.
pub struct Tables {
    /// Services, rights and settings.
    pub policy: Box<Policy>,
    trie: Vec<u32>,
}

/// Addresses in a row, left-aligned, and their class.
struct Stretch {
    first: u128,
    last: u128,
    class: AddressClass,
}

impl From<&Compiled> for Tables {
    fn from(compiled: &Compiled) -> Self {
        Self::new(compiled.policy.clone(), compiled.addresses.trie())
    }
}

impl Tables {
    /// From parts.
    #[must_use]
    pub fn new(policy: Box<Policy>, trie: &Trie) -> Self {
        Self {
            policy,
            trie: trie.to_vec(),
        }
    }

    /// Those of a policy that lets nothing be opened, and tells no addresses apart.
    #[must_use]
    pub fn nothing() -> Self {
        let mut policy = Box::new(Policy::EMPTY);
        policy.flags = flag::OUTBOUND_ENFORCE;
        Self {
            policy,
            trie: vec![0; WORDS],
        }
    }

    /// Rows of addresses that no packet from outside has as its source. Who asks for an address has none,
    /// and is not among them.
    #[must_use]
    pub fn nobody(&self) -> Vec<(IpAddr, IpAddr)> {
        let families = [Family::V4, Family::V6].into_iter();
        let rows = families.flat_map(|family| self.rows(family).collect::<Vec<_>>());
        let marked = rows.filter(|(.., class)| class.is_marked(AddressClass::NOBODY));
        marked
            .filter_map(|(first, last, _)| match (first, first.is_unspecified()) {
                (_, false) => Some((first, last)),
                (_, true) if first == last => None,
                (IpAddr::V4(_), true) => Some((Ipv4Addr::from_bits(1).into(), last)),
                (IpAddr::V6(_), true) => Some((Ipv6Addr::from_bits(1).into(), last)),
            })
            .collect()
    }

    /// The class of an address, with what is said of it as a source.
    #[must_use]
    pub fn class_at(&self, address: IpAddr) -> AddressClass {
        let (family, address) = address_of(address);
        let trie = <&Trie>::try_from(&self.trie[..]);
        let found = trie.map_or(AddressClass::ANY, |trie| classify(trie, family, &address));
        if self.policy.has(flag::ADDRESSES) {
            return found;
        }
        let unnamed = AddressClass::unnamed(family, &address, 0);
        let marks = found.peer & (AddressClass::INSIDE | AddressClass::NOBODY);
        AddressClass {
            peer: unnamed.peer | marks,
            ..unnamed
        }
    }

    /// How open a TCP port of `server` is to `client`: where the server is protected, and where the
    /// client is.
    #[must_use]
    pub fn openness(&self, client: IpAddr, server: IpAddr, port: u16) -> [Openness; 2] {
        let policy = &self.policy;
        let service = policy.tcp[usize::from(port)];
        let access = |local, peer| {
            let (local, peer) = (self.class_at(local).local, self.class_at(peer));
            policy.access(policy.pair(local, peer.peer_number()))
        };
        let inbound = access(server, client).inbound;
        let outbound = match policy.has(flag::OUTBOUND_ENFORCE) {
            true => Openness::by(policy, access(client, server).outbound, service),
            false => Openness::Open,
        };
        [Openness::by(policy, inbound, service), outbound]
    }

    /// Whether a protected system may open this now, and the answers are remembered. What stays on the
    /// machine needs no answer from a card.
    #[must_use]
    pub fn lets_open(&self, protocol: u8, local: SocketAddr, peer: SocketAddr) -> bool {
        let policy = &self.policy;
        let (family, group) = address_of(peer.ip());
        let class = self.class_at(local.ip()).local;
        let unlisted = policy.has(flag::LISTED_ONLY) && class == AddressClass::ANY.local;
        let stays = local.ip().is_loopback();
        if policy.has(flag::OUTBOUND_OFF) || unlisted || stays || group.is_group(family) {
            return false;
        }
        let port = peer.port();
        let target = match protocol {
            6 => Target::Tcp(port..=port),
            17 => Target::Udp(port..=port),
            other => Target::Protocol(other),
        };
        let pair = policy.pair(class, self.class_at(peer.ip()).peer_number());
        let rights = policy.access(pair).outbound;
        // What is handed out may have been, before.
        !policy.has(flag::OUTBOUND_ENFORCE)
            || Openness::by(policy, rights, target.class_in(policy)) != Openness::Closed
    }

    /// The addresses of the gateway itself.
    #[must_use]
    pub fn own_addresses(&self) -> Vec<IpAddr> {
        let families = [Family::V4, Family::V6].into_iter();
        let stretches = families.flat_map(|family| {
            let stretches = self.stretches(family).into_iter();
            stretches.map(move |stretch| (family, stretch))
        });
        stretches
            .filter(|(_, stretch)| stretch.class.local == LOCAL_SELF)
            .map(|(family, stretch)| address(family, stretch.first))
            .collect()
    }

    /// All addresses of a family, in their order; classes have no marks.
    fn stretches(&self, family: Family) -> Vec<Stretch> {
        let mut stretches = Vec::new();
        for marked in self.marked(family) {
            let peer = marked.class.peer_number();
            let class = AddressClass {
                peer,
                ..marked.class
            };
            extend(&mut stretches, marked.first, marked.last, class);
        }
        stretches
    }

    /// All addresses of a family in rows of one class, each with its first and its last: marks are
    /// part of the class.
    pub(super) fn rows(
        &self,
        family: Family,
    ) -> impl Iterator<Item = (IpAddr, IpAddr, AddressClass)> {
        let stretches = self.marked(family).into_iter();
        stretches.map(move |one| {
            let (first, last) = (address(family, one.first), address(family, one.last));
            (first, last, one.class)
        })
    }

    /// All addresses in rows that both tables treat alike, a family after the other: the first, the
    /// last, and the class in either, with marks.
    pub fn joint_rows(&self, other: &Self) -> [Vec<(IpAddr, IpAddr, [AddressClass; 2])>; 2] {
        [Family::V4, Family::V6].map(|family| {
            let (mine, theirs) = (self.marked(family), other.marked(family));
            let mut rows = Vec::new();
            let (mut one, mut two) = (0, 0);
            while let (Some(a), Some(b)) = (mine.get(one), theirs.get(two)) {
                let (first, last) = (a.first.max(b.first), a.last.min(b.last));
                let ends = (address(family, first), address(family, last));
                rows.push((ends.0, ends.1, [a.class, b.class]));
                one += usize::from(a.last == last);
                two += usize::from(b.last == last);
            }
            rows
        })
    }

    fn marked(&self, family: Family) -> Vec<Stretch> {
        let mut stretches = Vec::new();
        for first in 0..=u16::MAX {
            let entry = Entry(self.trie[root(family) + usize::from(first)]);
            let from = u128::from(first) << (128 - ROOT_BITS);
            let to = from | u128::MAX >> ROOT_BITS;
            self.walk(entry, from, to, MAX_STEPS, &mut stretches);
        }
        if self.policy.has(flag::ADDRESSES) {
            return stretches;
        }
        // The policy looks at no address, whatever the trie says, but for marks.
        let mut unnamed = Vec::new();
        for one in stretches {
            let bounds = group_bounds(family).into_iter();
            let inside = bounds.filter(|bound| one.first < *bound && *bound <= one.last);
            let firsts: Vec<u128> = [one.first].into_iter().chain(inside).collect();
            for (index, first) in firsts.iter().enumerate() {
                let last = firsts.get(index + 1).map_or(one.last, |next| next - 1);
                let class = self.class_at(address(family, *first));
                extend(&mut unnamed, *first, last, class);
            }
        }
        unnamed
    }

    /// The stretches behind an entry, as far as they lie between two addresses.
    fn walk(&self, entry: Entry, from: u128, to: u128, steps: u32, found: &mut Vec<Stretch>) {
        match (entry.decode(), steps) {
            (Next::Class(class), _) => extend(found, from, to, class),
            // As in the kernel, a walk that is too long leads nowhere.
            (_, 0) => extend(found, from, to, AddressClass::ANY),
            (Next::Branch { position, bits, at }, _) => {
                let below = 128 - u32::from(position) - u32::from(bits);
                let shared = !u128::MAX.checked_shr(u32::from(position)).unwrap_or(0);
                let last_child = (1_u128 << bits) - 1;
                for child in 0..=last_child {
                    let first = from & shared | child << below;
                    let last = first | ((1_u128 << below) - 1);
                    if last < from || first > to {
                        continue;
                    }
                    let index = (at as usize + child as usize) & (WORDS - 1);
                    let entry = Entry(self.trie[index]);
                    self.walk(entry, first.max(from), last.min(to), steps - 1, found);
                }
            }
            (Next::Match { length, at }, _) => {
                let at = at as usize;
                if at + SHORT_MATCH > NODES_END {
                    return extend(found, from, to, AddressClass::ANY);
                }
                let pair =
                    |at: usize| u128::from(self.trie[at]) | u128::from(self.trie[at + 1]) << 32;
                let (inside, outside) = (Entry(self.trie[at]), Entry(self.trie[at + 1]));
                let second = if length > 64 { pair(at + 4) } else { 0 };
                let within = u128::MAX.checked_shr(u32::from(length)).unwrap_or(0);
                let first = (pair(at + 2) << 64 | second) & !within;
                let last = first | within;
                if last < from || first > to {
                    return self.walk(outside, from, to, steps - 1, found);
                }
                if from < first {
                    self.walk(outside, from, first - 1, steps - 1, found);
                }
                self.walk(inside, first.max(from), last.min(to), steps - 1, found);
                if last < to {
                    self.walk(outside, last + 1, to, steps - 1, found);
                }
            }
        }
    }
}

/// Adds a stretch, or lengthens the one before it.
fn extend(stretches: &mut Vec<Stretch>, first: u128, last: u128, class: AddressClass) {
    match stretches.last_mut() {
        Some(before) if before.class == class => before.last = last,
        _ => stretches.push(Stretch { first, last, class }),
    }
}

/// Where addresses that stand for many begin and end, left-aligned.
fn group_bounds(family: Family) -> Vec<u128> {
    let v4 = |address: [u8; 4]| u128::from(u32::from_be_bytes(address)) << 96;
    match family {
        Family::V4 => vec![v4([224, 0, 0, 0]), v4([240, 0, 0, 0]), v4([255; 4])],
        Family::V6 => vec![0xff << 120],
    }
}

/// The address with these bits.
fn address(family: Family, bits: u128) -> IpAddr {
    match family {
        Family::V4 => Ipv4Addr::from_bits((bits >> 96) as u32).into(),
        Family::V6 => Ipv6Addr::from_bits(bits).into(),
    }
}
