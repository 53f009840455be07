//! Builds the multi-bit trie that the kernel walks: prefixes in, classes out.
//!
//! An address belongs to every prefix that covers it, however narrow another
//! one is: classes stand for *sets* of scopes, so a narrow prefix inside a wide
//! one adds rights and never loses any. Only the building is clever here; the
//! walk is `sccm_common::address::classify`.

use anyhow::{Result, bail};
use ipnet::IpNet;
use sccm_common::abi::CHUNKS;
use sccm_common::address::{
    AddressClass, CHUNK_ENTRIES, Chunk, Entry, Family, LOCAL_SELF, ROOT_ENTRIES,
};
use sccm_common::policy::{BANKS, MAX_PAIRS};
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

/// Local classes: the protected systems, and this machine itself.
const LOCAL_CLASSES: usize = 2;

/// Chunks that one bank may use.
const BANK_CHUNKS: usize = (CHUNKS / BANKS) as usize;

/// The trie of one policy. Chunk numbers count from 0 within it.
#[derive(Debug)]
pub struct AddressTable {
    roots: [Vec<Entry>; 2],
    chunks: Vec<Chunk>,
}

impl AddressTable {
    /// The root of a family, [`ROOT_ENTRIES`] long.
    #[must_use]
    pub fn root(&self, family: Family) -> &[Entry] {
        &self.roots[family as usize]
    }

    /// The chunks, in the order of their numbers.
    #[must_use]
    pub fn chunks(&self) -> &[Chunk] {
        &self.chunks
    }

    fn new() -> Self {
        let root = vec![Entry::class(AddressClass::ANY); ROOT_ENTRIES];
        Self {
            roots: [root.clone(), root],
            chunks: Vec::new(),
        }
    }

    /// Gives `class` to all addresses of `prefix`. Narrower prefixes must come later.
    fn insert(&mut self, prefix: &IpNet, class: AddressClass) -> Result<()> {
        let (family, bytes) = match prefix {
            IpNet::V4(prefix) => (Family::V4, prefix.network().octets().to_vec()),
            IpNet::V6(prefix) => (Family::V6, prefix.network().octets().to_vec()),
        };
        let length = usize::from(prefix.prefix_len());
        let first = usize::from(u16::from_be_bytes([bytes[0], bytes[1]]));
        if length <= 16 {
            let width = 1 << (16 - length);
            self.roots[family as usize][first..first + width].fill(Entry::class(class));
            return Ok(());
        }
        let mut chunk = self.chunk_behind(Place::Root(family, first))?;
        // Byte n decides bits 8n to 8n + 7.
        for (place, byte) in bytes
            .iter()
            .map(|byte| usize::from(*byte))
            .enumerate()
            .skip(2)
        {
            let decided = 8 * (place + 1);
            if length <= decided {
                let width = 1 << (decided - length);
                self.chunks[chunk][byte..byte + width].fill(Entry::class(class));
                break;
            }
            chunk = self.chunk_behind(Place::Chunk(chunk, byte))?;
        }
        Ok(())
    }

    /// The chunk that an entry points to; a new one, filled with the entry's
    /// class, if it is a class so far.
    fn chunk_behind(&mut self, place: Place) -> Result<usize> {
        let entry = match place {
            Place::Root(family, index) => self.roots[family as usize][index],
            Place::Chunk(chunk, index) => self.chunks[chunk][index],
        };
        let class = match entry.decode() {
            Err(chunk) => return Ok(chunk as usize),
            Ok(class) => class,
        };
        let number = self.chunks.len();
        if number == BANK_CHUNKS {
            bail!(
                "the prefixes need more than {BANK_CHUNKS} tables of {CHUNK_ENTRIES} entries: \
                 name fewer or wider prefixes"
            );
        }
        self.chunks.push([Entry::class(class); CHUNK_ENTRIES]);
        let pointer = Entry::chunk(number as u32);
        match place {
            Place::Root(family, index) => self.roots[family as usize][index] = pointer,
            Place::Chunk(chunk, index) => self.chunks[chunk][index] = pointer,
        }
        Ok(number)
    }
}

enum Place {
    Root(Family, usize),
    Chunk(usize, usize),
}

/// What a prefix says of its addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scope {
    /// Peers that a rule is about.
    Peer(IpNet),
    /// An address of this machine, where that is told from the protected ones.
    Own(IpAddr),
}

impl Scope {
    fn prefix(self) -> IpNet {
        match self {
            Self::Peer(prefix) => prefix,
            Self::Own(address) => IpNet::from(address),
        }
    }
}

/// Sorts addresses into classes by the scopes that cover them.
///
/// Returns the trie and, for each peer class, the indexes of its scopes; peer
/// class 0 has none of them.
pub(super) fn classify(scopes: &[Scope]) -> Result<(AddressTable, Vec<BTreeSet<usize>>)> {
    let prefixes: BTreeSet<IpNet> = scopes.iter().map(|scope| scope.prefix()).collect();
    let mut by_length: Vec<IpNet> = prefixes.into_iter().collect();
    by_length.sort_by_key(IpNet::prefix_len);
    let mut table = AddressTable::new();
    let mut sets = vec![BTreeSet::new()];
    let mut known = BTreeMap::from([(BTreeSet::new(), 0)]);
    for prefix in by_length {
        let mut covering = BTreeSet::new();
        let mut local = AddressClass::ANY.local;
        for (index, scope) in scopes.iter().enumerate() {
            match scope {
                Scope::Peer(peer) if peer.contains(&prefix) => {
                    covering.insert(index);
                }
                Scope::Own(address) if IpNet::from(*address) == prefix => local = LOCAL_SELF,
                _ => {}
            }
        }
        let peer = match known.get(&covering) {
            Some(peer) => *peer,
            None => {
                let peer = sets.len() as u16;
                sets.push(covering.clone());
                known.insert(covering, peer);
                peer
            }
        };
        // The access table holds a row for each local class.
        if sets.len() * LOCAL_CLASSES > MAX_PAIRS {
            bail!(
                "the prefixes make more than {} different sets of rights",
                MAX_PAIRS / LOCAL_CLASSES
            );
        }
        table.insert(&prefix, AddressClass { local, peer })?;
    }
    Ok((table, sets))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Walks the trie as the kernel does, without sharing code with it.
    fn scopes_of(table: &AddressTable, sets: &[BTreeSet<usize>], address: &str) -> Vec<usize> {
        let (family, bytes) = match address.parse().unwrap() {
            IpAddr::V4(address) => (Family::V4, address.octets().to_vec()),
            IpAddr::V6(address) => (Family::V6, address.octets().to_vec()),
        };
        let mut entry = table.root(family)[usize::from(bytes[0]) << 8 | usize::from(bytes[1])];
        for byte in &bytes[2..] {
            match entry.decode() {
                Ok(_) => break,
                Err(chunk) => entry = table.chunks()[chunk as usize][usize::from(*byte)],
            }
        }
        sets[usize::from(entry.decode().unwrap().peer)]
            .iter()
            .copied()
            .collect()
    }

    #[test]
    fn a_narrow_prefix_keeps_the_rights_of_the_wide_one() {
        let scopes: Vec<Scope> = [
            "10.0.0.0/8",
            "10.1.2.0/23",
            "10.1.2.3/32",
            "::/0",
            "2001:db8::/33",
        ]
        .iter()
        .map(|prefix| Scope::Peer(prefix.parse().unwrap()))
        .collect();
        let (table, sets) = classify(&scopes).unwrap();
        for (address, expected) in [
            ("9.255.255.255", vec![]),
            ("10.0.0.0", vec![0]),
            ("10.1.1.255", vec![0]),
            ("10.1.2.0", vec![0, 1]),
            ("10.1.2.3", vec![0, 1, 2]),
            ("10.1.3.255", vec![0, 1]),
            ("10.1.4.0", vec![0]),
            ("10.255.255.255", vec![0]),
            ("11.0.0.0", vec![]),
            ("2001:db8::1", vec![3, 4]),
            ("2001:db8:7fff::1", vec![3, 4]),
            ("2001:db8:8000::1", vec![3]),
            ("fe80::1", vec![3]),
        ] {
            assert_eq!(scopes_of(&table, &sets, address), expected, "{address}");
        }
    }

    #[test]
    fn a_host_of_ipv6_reaches_the_last_level() {
        let (table, sets) =
            classify(&[Scope::Peer("2001:db8::abcd/128".parse().unwrap())]).unwrap();
        assert_eq!(scopes_of(&table, &sets, "2001:db8::abcd"), [0]);
        assert_eq!(scopes_of(&table, &sets, "2001:db8::abcc"), [0; 0]);
        assert_eq!(table.chunks().len(), 14);
    }

    #[test]
    fn too_many_tables_are_an_error() {
        // Hosts without a common prefix need all fourteen levels each.
        let scopes: Vec<Scope> = (0..300u128)
            .map(|n| Scope::Own(IpAddr::from((n << 112).to_be_bytes())))
            .collect();
        assert!(
            classify(&scopes)
                .unwrap_err()
                .to_string()
                .contains("wider prefixes")
        );
    }

    #[test]
    fn an_own_address_is_told_apart_within_a_peer_prefix() {
        let own = "10.0.0.1".parse().unwrap();
        let scopes = [Scope::Peer("10.0.0.0/8".parse().unwrap()), Scope::Own(own)];
        let (table, sets) = classify(&scopes).unwrap();
        assert_eq!(scopes_of(&table, &sets, "10.0.0.1"), [0]);
        assert_eq!(scopes_of(&table, &sets, "10.0.0.2"), [0]);
        let last = table.chunks().last().unwrap();
        assert_eq!(last[1].decode().unwrap().local, LOCAL_SELF);
        assert_eq!(last[2].decode().unwrap().local, AddressClass::ANY.local);
    }
}
