//! The trie from addresses to classes: how it lies in memory, and how it is walked.
//!
//! It is compressed by level and by path (Nilsson and Karlsson, "IP-address
//! lookup using LC-tries", 1999). A *branch* is a table indexed by the next bits
//! of the address, as many as its prefixes fill; a *match* compares an address
//! with one prefix from its first bit on, so that a lonely prefix costs four to
//! six words and one step, however long it is. Branches serve places with many
//! prefixes, matches those with few.
//!
//! All of it is one array of words, which is one value of a map: the kernel finds
//! it once, and then each step is a read inside it. The kernel's own prefix trie
//! calls a function, and takes a step for every bit that tells prefixes apart.

use super::{Address, AddressClass, Family};
use crate::as_written;

/// Words of a trie, 4 MiB: a power of two, so that an index needs no check, and
/// the largest value that every kernel makes an array map of (`KMALLOC_MAX_SIZE`,
/// `array_map_alloc_check` in kernel/bpf/arraymap.c of Linux 6.1).
pub const WORDS: usize = 1 << 20;

/// The trie of one policy: two roots, then nodes. All zero, every address is
/// [`AddressClass::ANY`].
pub type Trie = [u32; WORDS];

/// Bits of an address that index a root.
pub const ROOT_BITS: u8 = 16;

/// The first word behind the roots.
pub const NODES: usize = 2 << ROOT_BITS;

/// Nodes end before this word, so that one comparison tells whether all words of
/// a match exist.
pub const NODES_END: usize = WORDS - (LONG_MATCH - SHORT_MATCH);

/// Nodes that a walk passes behind the root: 14 branches of 8 bits would get to
/// the end of every address; the rest leaves the builder room to choose.
pub const MAX_STEPS: u32 = 16;

/// The last word.
const LAST: u32 = WORDS as u32 - 1;

/// Entries that a walk reads: the root's, and one at each node.
const READS: usize = MAX_STEPS as usize + 1;

/// Words of a match of 64 bits or fewer: inside, outside, and the prefix, its
/// lower half first.
pub const SHORT_MATCH: usize = 4;

/// Words of a longer one: as above, and the second half of the prefix.
pub const LONG_MATCH: usize = 6;

/// Where the root of a family begins: a branch of [`ROOT_BITS`] bits.
#[inline(always)]
pub const fn root(family: Family) -> usize {
    (family as usize) << ROOT_BITS
}

/// An entry of a root, a branch or a match: a class, or the node that decides.
///
/// Its bits, from the highest: 0 and a class (15 bits local, 16 peer); or 1, the
/// kind of node (0 branch, 1 match), 7 bits of position, 3 of width, 20 of index.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry(pub u32);

/// What an [`Entry`] says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// The address belongs to this class, whatever follows.
    Class(AddressClass),
    /// An entry is looked up by some bits of the address.
    Branch {
        /// The bits in front of those, 0 to 127.
        position: u8,
        /// How many bits, 1 to 8; all in the same half of the address.
        bits: u8,
        /// The word of the first of its `1 << bits` entries.
        at: u32,
    },
    /// The address is compared with a prefix.
    Match {
        /// Length of the prefix, 1 to 128.
        length: u8,
        /// The first of its [`SHORT_MATCH`] or [`LONG_MATCH`] words.
        at: u32,
    },
}

impl Entry {
    const NODE: u32 = 1 << 31;
    const MATCH: u32 = 1 << 30;
    const POSITION: u32 = 23;
    const WIDTH: u32 = 20;

    /// Puts together what [`Entry::decode`] takes apart.
    pub const fn encode(next: Next) -> Self {
        Self(match next {
            Next::Class(class) => (class.local as u32) << 16 & !Self::NODE | class.peer as u32,
            Next::Branch { position, bits, at } => {
                let (position, width) = (position as u32, bits as u32 - 1);
                Self::NODE | position << Self::POSITION | width << Self::WIDTH | at
            }
            Next::Match { length, at } => {
                Self::NODE | Self::MATCH | (length as u32 - 1) << Self::POSITION | at
            }
        })
    }

    /// What the entry says.
    pub const fn decode(self) -> Next {
        let at = self.at() as u32;
        let position = self.position() as u8;
        if !self.is_node() {
            Next::Class(self.class())
        } else if self.is_match() {
            let length = position + 1;
            Next::Match { length, at }
        } else {
            let bits = self.width() as u8 + 1;
            Next::Branch { position, bits, at }
        }
    }

    // The walk takes an entry apart piece by piece, because the compiler packs
    // the enum above into words of its own, where the verifier loses their bounds.

    #[inline(always)]
    const fn is_node(self) -> bool {
        self.0 & Self::NODE != 0
    }

    #[inline(always)]
    const fn is_match(self) -> bool {
        self.0 & Self::MATCH != 0
    }

    #[inline(always)]
    /// The class of an entry that is one.
    pub const fn class(self) -> AddressClass {
        AddressClass {
            local: (self.0 >> 16) as u16,
            peer: self.0 as u16,
        }
    }

    /// One less than the length of a match.
    #[inline(always)]
    const fn position(self) -> u32 {
        self.0 >> Self::POSITION & 127
    }

    /// All bits set if the position is in the second half of an address.
    #[inline(always)]
    fn is_behind_half(self) -> u64 {
        as_written::neg((self.0 >> Self::POSITION >> 6 & 1) as u64)
    }

    /// One less than the bits of a branch.
    #[inline(always)]
    const fn width(self) -> u32 {
        self.0 >> Self::WIDTH & 7
    }

    #[inline(always)]
    const fn at(self) -> usize {
        self.0 as usize & (WORDS - 1)
    }
}

/// The class of `address`. A walk that leads nowhere ends at [`AddressClass::ANY`].
#[inline(always)]
pub fn classify(trie: &Trie, family: Family, address: &Address) -> AddressClass {
    // Left-aligned in both families.
    let (high, low) = match family {
        Family::V4 => (address.low << 32, 0),
        Family::V6 => (address.high, address.low),
    };
    walk(trie, root(family) as u64, high, low)
}

/// The same for a family that is not known beforehand, so that the verifier follows one walk.
#[inline(always)]
pub fn classify_either(trie: &Trie, family: Family, address: &Address) -> AddressClass {
    let v6 = as_written::neg(family as u64);
    let high = (address.high & v6) | (address.low << 32 & !v6);
    walk(trie, root(family) as u64, high, address.low & v6)
}

#[inline(always)]
fn walk(trie: &Trie, root: u64, high: u64, low: u64) -> AddressClass {
    let mut index = root | high >> 48;
    for _ in 0..READS {
        let entry = Entry(trie[as_written::and::<LAST>(index) as usize]);
        if !entry.is_node() {
            return entry.class();
        }
        let behind = match entry.is_match() {
            true => match differs(trie, entry, high, low) {
                Some(differs) => differs,
                None => break,
            },
            false => {
                let half = high ^ ((high ^ low) & entry.is_behind_half());
                half << (entry.position() & 63) >> (63 - entry.width())
            }
        };
        index = entry.0 as u64 + behind;
    }
    AddressClass::ANY
}

/// 0 if the address is within the prefix of a match, otherwise 1; `None` for a match that would
/// reach out of the trie.
#[inline(always)]
fn differs(trie: &Trie, entry: Entry, high: u64, low: u64) -> Option<u64> {
    let at = entry.at();
    if at + SHORT_MATCH > NODES_END {
        return None;
    }
    let pair = |at: usize| trie[at] as u64 | (trie[at + 1] as u64) << 32;
    let first = high ^ pair(at + 2);
    let behind = 63 - (entry.position() & 63);
    let bits = if entry.position() < 64 {
        first >> behind
    } else {
        first | (low ^ pair(at + 4)) >> behind
    };
    Some((bits | as_written::neg(bits)) >> 63)
}
