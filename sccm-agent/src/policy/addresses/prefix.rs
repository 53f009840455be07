//! A prefix as the left-aligned number that sorting and building work with.

use ipnet::IpNet;
use sccm_common::address::Family;

/// A prefix. They sort by address, and of the same address the widest first, so
/// that all prefixes inside another follow it without a gap.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Prefix {
    /// Which addresses.
    pub family: Family,
    /// Its bits from the highest on, then zeros; IPv4 in the highest 32.
    pub bits: u128,
    /// How many of them count.
    pub length: u8,
}

impl Prefix {
    /// All addresses of a family.
    pub(crate) const fn all(family: Family) -> Self {
        Self {
            family,
            bits: 0,
            length: 0,
        }
    }

    /// The first `length` bits of this one.
    pub(crate) fn shortened(self, length: u8) -> Self {
        let behind = 128 - u32::from(length);
        let bits = self.bits.checked_shr(behind).unwrap_or_default();
        Self {
            bits: bits.checked_shl(behind).unwrap_or_default(),
            length,
            ..self
        }
    }

    /// Whether all addresses of `other` belong to this one.
    pub(crate) fn covers(&self, other: &Self) -> bool {
        self.family == other.family
            && self.length <= other.length
            && other.shortened(self.length).bits == self.bits
    }

    /// The longest prefix that covers both.
    pub(crate) fn common(self, other: Self) -> Self {
        let same = (self.bits ^ other.bits).leading_zeros() as u8;
        self.shortened(same.min(self.length).min(other.length))
    }

    /// The number that `count` bits behind the first `position` make.
    pub(crate) fn index(&self, position: u8, count: u8) -> usize {
        (self.bits << position >> (128 - u32::from(count))) as usize
    }
}

impl From<IpNet> for Prefix {
    fn from(net: IpNet) -> Self {
        let length = net.prefix_len();
        let (family, bits) = match net {
            IpNet::V4(net) => (Family::V4, u128::from(net.addr().to_bits()) << 96),
            IpNet::V6(net) => (Family::V6, net.addr().to_bits()),
        };
        let whole = Self {
            family,
            bits,
            length: 128,
        };
        whole.shortened(length)
    }
}
