//! A compiled policy as the kernel holds it, wherever it was read from.
//!
//! The candidate comes from the compiler, the running one from the maps; both are
//! walked here in the same way, so that they can be compared.

use super::Compiled;
use sccm_common::Policy;
use sccm_common::address::{AddressClass, Chunk, Entry, Family, LOCAL_SELF};
use sccm_common::policy::flag;
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The tables of one policy.
pub struct Tables {
    /// Services, rights and settings.
    pub policy: Box<Policy>,
    roots: [Vec<Entry>; 2],
    chunks: BTreeMap<u32, Chunk>,
}

impl From<&Compiled> for Tables {
    fn from(compiled: &Compiled) -> Self {
        let table = &compiled.addresses;
        Self {
            policy: compiled.policy.clone(),
            roots: [Family::V4, Family::V6].map(|family| table.root(family).to_vec()),
            chunks: (0..).zip(table.chunks().iter().copied()).collect(),
        }
    }
}

impl Tables {
    /// From parts: the roots of IPv4 and IPv6, and the chunks behind them by
    /// their numbers.
    #[must_use]
    pub fn new(policy: Box<Policy>, roots: [Vec<Entry>; 2], chunks: BTreeMap<u32, Chunk>) -> Self {
        Self {
            policy,
            roots,
            chunks,
        }
    }

    /// Calls `found` for every stretch of addresses that both tables treat alike,
    /// with its first address, the bits that it shares, and its class in either.
    pub fn walk_both(
        &self,
        other: &Self,
        mut found: impl FnMut(IpAddr, u8, AddressClass, AddressClass),
    ) {
        for family in [Family::V4, Family::V6] {
            let roots = [self, other].map(|tables| tables.root(family));
            for first in 0..=u16::MAX {
                let entry = |root: Option<&[Entry]>| match root {
                    Some(root) => root[usize::from(first)],
                    None => Entry::class(AddressClass::ANY),
                };
                let bits = u128::from(first) << 112;
                let entries = (entry(roots[0]), entry(roots[1]));
                self.walk(other, family, entries, (bits, 16), &mut found);
            }
        }
    }

    fn walk(
        &self,
        other: &Self,
        family: Family,
        (mine, others): (Entry, Entry),
        (bits, length): (u128, u8),
        found: &mut impl FnMut(IpAddr, u8, AddressClass, AddressClass),
    ) {
        let longest = match family {
            Family::V4 => 32,
            Family::V6 => 128,
        };
        // A chunk below the last byte is no table of ours: the kernel counts it as any.
        let class = |entry: Entry| entry.decode().unwrap_or(AddressClass::ANY);
        let decided = mine.decode().is_ok() && others.decode().is_ok();
        if decided || length == longest {
            found(address(family, bits), length, class(mine), class(others));
            return;
        }
        for byte in 0..=u8::MAX {
            let next = (self.below(mine, byte), other.below(others, byte));
            let bits = bits | u128::from(byte) << (120 - length);
            self.walk(other, family, next, (bits, length + 8), found);
        }
    }

    /// The addresses of the gateway itself.
    #[must_use]
    pub fn own_addresses(&self) -> Vec<IpAddr> {
        let mut own = Vec::new();
        self.walk_both(self, |address, _, class, _| {
            if class.local == LOCAL_SELF {
                own.push(address);
            }
        });
        own
    }

    /// `None`: the policy looks at no address, whatever the tables say.
    fn root(&self, family: Family) -> Option<&[Entry]> {
        let root = &self.roots[family as usize];
        self.policy.has(flag::ADDRESSES).then_some(root)
    }

    fn below(&self, entry: Entry, byte: u8) -> Entry {
        match entry.decode() {
            Ok(_) => entry,
            Err(chunk) => match self.chunks.get(&chunk) {
                Some(chunk) => chunk[usize::from(byte)],
                None => Entry::class(AddressClass::ANY),
            },
        }
    }
}

/// The address with these leading bits.
fn address(family: Family, bits: u128) -> IpAddr {
    match family {
        Family::V4 => Ipv4Addr::from_bits((bits >> 96) as u32).into(),
        Family::V6 => Ipv6Addr::from_bits(bits).into(),
    }
}
