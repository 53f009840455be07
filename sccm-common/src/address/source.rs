//! Addresses that a packet cannot have as its source, told without the trie.
//!
//! Where a policy tells no addresses apart, the fast path looks nothing up. It asks here whether
//! the source could be one that nobody sends from. A "perhaps" leaves the packet to the slow path,
//! which asks the trie.

use super::{Address, Family};
use crate::as_written;

impl Address {
    /// Whether it may be an address that stands for no single system, such as a loopback or a
    /// group address. Always true for those; of IPv6 also for all of `::/64`.
    #[inline(always)]
    pub const fn may_be_martian(&self, family: Family) -> bool {
        match family {
            Family::V4 => {
                let first = (self.low >> 24) as u8;
                // 0.0.0.0/8, 127.0.0.0/8, and everything from 224.0.0.0 on.
                first == 0 || first == 127 || first >= 224
            }
            Family::V6 => self.high == 0 || self.high >> 56 == 0xff,
        }
    }

    /// All bytes, combined into one.
    #[inline(always)]
    const fn folded(&self) -> u64 {
        let word = self.high ^ self.low;
        let word = word ^ word >> 32;
        let word = word ^ word >> 16;
        (word ^ word >> 8) & 0xff
    }
}

/// The machine's own addresses in a Bloom filter (Bloom, "Space/time trade-offs in hash coding
/// with allowable errors", 1970) of 256 bits with one hash.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(C)]
pub struct OwnFilter([u64; 4]);

impl OwnFilter {
    /// No addresses.
    pub const EMPTY: Self = Self([0; 4]);

    /// Adds an address.
    pub const fn insert(&mut self, address: &Address) {
        let bit = address.folded();
        self.0[(bit >> 6) as usize] |= 1 << (bit & 63);
    }

    /// Whether the address may have been added. Always true for those that were.
    #[inline(always)]
    pub fn may_hold(&self, address: &Address) -> bool {
        let bit = address.folded();
        let word = self.0[as_written::and::<3>(bit >> 6) as usize];
        word >> (bit & 63) & 1 != 0
    }
}
