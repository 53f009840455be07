//! Addresses, and the multi-bit trie that turns them into classes.
//!
//! An address class stands for all addresses with the same rights. The trie
//! has a root indexed by the first 16 bits of the address and 256-entry chunks
//! for each further byte, all in plain arrays, because the kernel inlines an
//! array read and calls a function for its own prefix trie. The cost grows
//! with the length of the longest prefix on the way, never with their number.

use crate::verdict::Tables;

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
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Family {
    /// IPv4.
    V4 = 0,
    /// IPv6.
    V6 = 1,
}

const V4_MAPPED: u64 = 0xffff_0000_0000;

impl Address {
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
    /// As the other end.
    pub peer: u16,
}

impl AddressClass {
    /// The class of every address that no prefix names.
    pub const ANY: Self = Self { local: 0, peer: 0 };
}

/// The local class of a gateway's own addresses.
pub const LOCAL_SELF: u16 = 1;

/// Entries of a root: one for each value of the first 16 bits.
pub const ROOT_ENTRIES: usize = 1 << 16;

/// Entries of a chunk: one for each value of a byte.
pub const CHUNK_ENTRIES: usize = 256;

/// A root of the trie, one per bank and family.
pub type Root = [Entry; ROOT_ENTRIES];

/// An inner node of the trie.
pub type Chunk = [Entry; CHUNK_ENTRIES];

/// An entry of a root or chunk: a class, or the number of the chunk that decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(transparent)]
pub struct Entry(u32);

impl Entry {
    const CHUNK: u32 = 1 << 31;

    /// The address belongs to `class`, whatever follows.
    pub const fn class(class: AddressClass) -> Self {
        Self((class.local as u32) << 16 & !Self::CHUNK | class.peer as u32)
    }

    /// The next byte is looked up in chunk `number`.
    pub const fn chunk(number: u32) -> Self {
        Self(number | Self::CHUNK)
    }

    /// Its bytes in the kernel's map, for hashing.
    pub const fn to_le_bytes(self) -> [u8; 4] {
        self.0.to_le_bytes()
    }

    /// What the entry says: `Ok` a class, `Err` a chunk's number.
    #[inline(always)]
    pub const fn decode(self) -> Result<AddressClass, u32> {
        if self.0 & Self::CHUNK == 0 {
            Ok(AddressClass {
                local: (self.0 >> 16) as u16,
                peer: self.0 as u16,
            })
        } else {
            Err(self.0 & !Self::CHUNK)
        }
    }
}

/// The class of `address`. A chunk that does not exist counts as [`AddressClass::ANY`].
#[inline(always)]
pub fn classify<T: Tables>(tables: &T, family: Family, address: &Address) -> AddressClass {
    // The bits that are still to be looked up, left-aligned.
    let (mut high, mut low, levels) = match family {
        Family::V4 => (address.low << 32, 0, 2),
        Family::V6 => (address.high, address.low, 14),
    };
    let mut entry = tables.root_entry(family, (high >> 48) as u16);
    high = high << 16 | low >> 48;
    low <<= 16;
    let mut level = 0;
    while level < levels {
        let Some(current) = entry else {
            return AddressClass::ANY;
        };
        match current.decode() {
            Ok(class) => return class,
            Err(chunk) => entry = tables.chunk_entry(chunk, (high >> 56) as u8),
        }
        high = high << 8 | low >> 56;
        low <<= 8;
        level += 1;
    }
    match entry.map(Entry::decode) {
        Some(Ok(class)) => class,
        _ => AddressClass::ANY,
    }
}
