//! Addresses, and the classes that they belong to.
//!
//! An address class stands for all addresses with the same rights. Which class
//! an address belongs to says the [`trie`].

mod source;
pub mod trie;

pub use source::OwnFilter;
pub use trie::{Trie, classify, classify_either};

use crate::as_written;

/// An IPv6 address, or an IPv4 address mapped into one (RFC 4291, 2.5.5.2): its
/// two halves in host byte order, because the kernel program handles two words
/// better than sixteen bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(C)]
pub struct Address {
    /// The first eight bytes.
    pub high: u64,
    /// The last eight bytes.
    pub low: u64,
}

/// The two kinds of address, each with a root of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum Family {
    /// IPv4.
    V4 = 0,
    /// IPv6.
    V6 = 1,
}

const V4_MAPPED: u64 = 0xffff_0000_0000;

impl Address {
    /// 255.255.255.255.
    pub const V4_BROADCAST: Self = Self::v4([255; 4]);

    /// 0.0.0.0.
    pub const V4_UNSPECIFIED: Self = Self::v4([0; 4]);

    /// The IPv4 address `bytes`, mapped.
    #[inline(always)]
    pub const fn v4(bytes: [u8; 4]) -> Self {
        Self {
            high: 0,
            low: V4_MAPPED | u32::from_be_bytes(bytes) as u64,
        }
    }

    /// The IPv6 address whose halves are `high` and `low`.
    #[inline(always)]
    pub const fn v6(high: [u8; 8], low: [u8; 8]) -> Self {
        Self {
            high: u64::from_be_bytes(high),
            low: u64::from_be_bytes(low),
        }
    }

    /// Whether this is a group address: 224.0.0.0/4 or ff00::/8.
    #[inline(always)]
    pub const fn is_multicast(&self, family: Family) -> bool {
        match family {
            Family::V4 => self.low >> 28 & 0xf == 0xe,
            Family::V6 => self.high >> 56 == 0xff,
        }
    }

    /// Whether this stands for many: [`Self::is_multicast`], or 255.255.255.255.
    #[inline(always)]
    pub const fn is_group(&self, family: Family) -> bool {
        let broadcast = matches!(family, Family::V4) && self.low as u32 == u32::MAX;
        self.is_multicast(family) || broadcast
    }

    /// Whether this may stand for many, by one comparison: true of all that do, and of 240.0.0.0/4.
    #[inline(always)]
    pub const fn may_be_group(&self, family: Family) -> bool {
        match family {
            Family::V4 => self.low as u32 >= 0xe000_0000,
            Family::V6 => self.high >= 0xff << 56,
        }
    }

    /// Whether this is an IPv6 address that no router forwards to: fe80::/10, or a group of
    /// interface-local or link-local scope (RFC 4291, 2.7).
    #[inline(always)]
    pub const fn stays_on_link_v6(&self) -> bool {
        let scope = self.high >> 48 & 0xf;
        self.high >> 54 == 0xfe80 >> 6 || (self.high >> 56 == 0xff && scope <= 2)
    }

    /// Whether this is fe80::/10 or `::`, the sources of a link-local protocol.
    #[inline(always)]
    pub const fn is_link_local_or_unspecified_v6(&self) -> bool {
        self.high >> 54 == 0xfe80 >> 6 || (self.high == 0 && self.low == 0)
    }
}

/// What an address may mean at either end of a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct AddressClass {
    /// As the protected end: below 2^15.
    pub local: u16,
    /// As the other end: a number below 2^12, and the marks [`Self::INSIDE`] and
    /// [`Self::NOBODY`]. A [`Pair`](crate::policy::Pair) is made of either form.
    pub peer: u16,
}

impl AddressClass {
    /// The class of every address that no prefix names.
    pub const ANY: Self = Self { local: 0, peer: 0 };

    /// Mark of `peer`: the address belongs to this side, so no packet from outside has it as
    /// source.
    pub const INSIDE: u16 = 1 << 15;

    /// Mark of `peer`: nobody else has the address, so no packet that comes in has it as source:
    /// it is the machine's own, a broadcast address, or one that means no single system.
    pub const NOBODY: u16 = 1 << 14;

    /// The number as a peer, without marks.
    #[inline(always)]
    pub const fn peer_number(self) -> u16 {
        self.peer & !(Self::INSIDE | Self::NOBODY)
    }

    /// Whether the address bears one of these marks.
    #[inline(always)]
    pub const fn is_marked(self, marks: u16) -> bool {
        self.peer & marks != 0
    }

    /// The class of what stands for many, where the policy tells no other addresses apart. As the
    /// protected end, that is where it names no protected system.
    pub const GROUP: Self = Self { local: 2, peer: 1 };

    /// The class of an address where the policy names none. The `key` is any number that the
    /// verifier does not know: it then follows the decision once, whatever the class.
    #[inline(always)]
    pub fn unnamed(family: Family, address: &Address, key: u32) -> Self {
        let group = as_written::opaque(address.is_group(family).into(), key.into());
        let group = as_written::and::<1>(group) as u16;
        Self {
            local: group * Self::GROUP.local,
            peer: group * Self::GROUP.peer,
        }
    }
}

/// The local class of a gateway's own addresses.
pub const LOCAL_SELF: u16 = 1;
