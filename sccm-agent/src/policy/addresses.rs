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
use std::collections::BTreeSet;

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

/// What a prefix says of its addresses. The numbers are the caller's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Tag {
    /// As the other end of a packet.
    Peer(u16),
    /// As the protected end.
    Local(u16),
    /// They are this machine's own, where that is told from the protected ones.
    Own,
}

/// Addresses in classes: those of one class carry the same tags.
pub(super) struct Classes {
    /// Where the kernel finds the classes of an address.
    pub table: AddressTable,
    /// For each peer class its tags; class 0 has none.
    pub peers: Vec<BTreeSet<u16>>,
    /// For each local class its tags; class 0 has none, nor has [`LOCAL_SELF`].
    pub locals: Vec<BTreeSet<u16>>,
}

/// Sorts addresses into classes. An address has the tags of every prefix that
/// covers it, however narrow another one is.
pub(super) fn classify(scopes: &[(IpNet, Tag)]) -> Result<Classes> {
    let prefixes: BTreeSet<IpNet> = scopes.iter().map(|(prefix, _)| prefix.trunc()).collect();
    let mut by_length: Vec<IpNet> = prefixes.into_iter().collect();
    by_length.sort_by_key(IpNet::prefix_len);
    let mut classes = Classes {
        table: AddressTable::new(),
        peers: vec![BTreeSet::new()],
        locals: vec![BTreeSet::new(), BTreeSet::new()],
    };
    for prefix in by_length {
        let covering: BTreeSet<Tag> = scopes
            .iter()
            .filter(|(scope, _)| scope.contains(&prefix))
            .map(|(_, tag)| *tag)
            .collect();
        let peers = covering.iter().filter_map(|tag| match tag {
            Tag::Peer(tag) => Some(*tag),
            _ => None,
        });
        let locals = covering.iter().filter_map(|tag| match tag {
            Tag::Local(tag) => Some(*tag),
            _ => None,
        });
        let local = match covering.contains(&Tag::Own) {
            true => LOCAL_SELF,
            false => number(&mut classes.locals, locals.collect()),
        };
        let peer = number(&mut classes.peers, peers.collect());
        if classes.peers.len() * classes.locals.len() > MAX_PAIRS {
            bail!(
                "the prefixes make {} different sets of peers and {} of protected systems; \
                 together there can be {MAX_PAIRS} pairs: let prefixes share their roles",
                classes.peers.len(),
                classes.locals.len()
            );
        }
        classes
            .table
            .insert(&prefix, AddressClass { local, peer })?;
    }
    Ok(classes)
}

/// The number of a set of tags, which may be new.
fn number(known: &mut Vec<BTreeSet<u16>>, set: BTreeSet<u16>) -> u16 {
    let number = known.iter().position(|known| *known == set);
    number.unwrap_or_else(|| {
        known.push(set);
        known.len() - 1
    }) as u16
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::IpAddr;

    /// Walks the trie as the kernel does, without sharing code with it.
    fn scopes_of(table: &AddressTable, sets: &[BTreeSet<u16>], address: &str) -> Vec<u16> {
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
        let scopes: Vec<(IpNet, Tag)> = [
            "10.0.0.0/8",
            "10.1.2.0/23",
            "10.1.2.3/32",
            "::/0",
            "2001:db8::/33",
        ]
        .iter()
        .zip(0..)
        .map(|(prefix, tag)| (prefix.parse().unwrap(), Tag::Peer(tag)))
        .collect();
        let classes = classify(&scopes).unwrap();
        let (table, sets) = (classes.table, classes.peers);
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
        let host = "2001:db8::abcd/128".parse().unwrap();
        let classes = classify(&[(host, Tag::Peer(0))]).unwrap();
        let (table, sets) = (classes.table, classes.peers);
        assert_eq!(scopes_of(&table, &sets, "2001:db8::abcd"), [0]);
        assert_eq!(scopes_of(&table, &sets, "2001:db8::abcc"), [0; 0]);
        assert_eq!(table.chunks().len(), 14);
    }

    #[test]
    fn too_many_tables_are_an_error() {
        // Hosts without a common prefix need all fourteen levels each.
        let scopes: Vec<(IpNet, Tag)> = (0..300u128)
            .map(|n| IpAddr::from((n << 112).to_be_bytes()))
            .map(|host| (IpNet::from(host), Tag::Own))
            .collect();
        assert!(
            classify(&scopes)
                .err()
                .unwrap()
                .to_string()
                .contains("wider prefixes")
        );
    }

    #[test]
    fn an_own_address_is_told_apart_within_a_peer_prefix() {
        let scopes = [
            ("10.0.0.0/8".parse().unwrap(), Tag::Peer(0)),
            ("10.0.0.1/32".parse().unwrap(), Tag::Own),
        ];
        let classes = classify(&scopes).unwrap();
        let (table, sets) = (classes.table, classes.peers);
        assert_eq!(scopes_of(&table, &sets, "10.0.0.1"), [0]);
        assert_eq!(scopes_of(&table, &sets, "10.0.0.2"), [0]);
        let last = table.chunks().last().unwrap();
        assert_eq!(last[1].decode().unwrap().local, LOCAL_SELF);
        assert_eq!(last[2].decode().unwrap().local, AddressClass::ANY.local);
    }
}
