//! The table of flows: sets of eight, each of which a keyed hash chooses for its flows.
//!
//! Nobody locks anything. Whoever adds a flow claims a place by compare-and-exchange on the word
//! with the ends, writes the rest, and writes that word last. Whoever looks a flow up reads that
//! word first and once more at the end. It holds the ports and 16 bits of the hash of the whole key,
//! so nobody takes halves of two flows for one. The state is replaced only by whoever knows what it
//! was, so no state goes to a flow that has taken the place meanwhile. `flow/table/tests.rs` shows
//! both for all orders of two processors. Two that add the same flow at once may write it twice: then
//! the copy in the lower place is found, and the other one expires.

use super::{FlowKey, FlowState, Phase};
use crate::address::Address;
#[cfg(not(target_arch = "bpf"))]
use core::sync::atomic::{AtomicU64, Ordering};

#[cfg(test)]
mod tests;

/// Flows of a set.
pub const WAYS: usize = 8;

/// Words of an address pair.
const ADDRESSES: usize = 4;

/// A set as it lies in the map: what is read of every flow first, in two lines of the cache.
#[derive(Debug, Clone, Copy)]
#[repr(C)]
pub struct Set {
    /// A [`FlowState`] each.
    states: [u64; WAYS],
    /// Ports, protocol, family and a part of the hash; 0: free, [`CLAIMED`]: being written.
    ends: [u64; WAYS],
    /// Both addresses.
    addresses: [[u64; ADDRESSES]; WAYS],
}

/// Words of a set, and where its parts begin.
pub const WORDS: usize = size_of::<Set>() / 8;
const ENDS: usize = WAYS;
const PAIRS: usize = 2 * WAYS;

const _: () = assert!(WORDS == 48 && WAYS.is_power_of_two());

/// In the word of every flow that is there. No key has it.
const PRESENT: u64 = 1 << 47;

/// Somebody writes here.
const CLAIMED: u64 = 1;

/// Where the bits of the hash are.
const TAG_SHIFT: u32 = 48;

/// Sets of a table for so many flows: half of it stays free, so that few sets are full before.
#[must_use]
pub const fn sets(capacity: u32) -> u32 {
    capacity.div_ceil(FLOWS_OF_SET)
}

/// Flows for which a table of so many sets is made.
#[must_use]
pub const fn capacity(sets: u32) -> u32 {
    sets.saturating_mul(FLOWS_OF_SET)
}

const FLOWS_OF_SET: u32 = WAYS as u32 / 2;

/// How flows find their sets; of each table its own.
#[derive(Debug, Clone, Copy)]
#[repr(C)]
pub struct Hash {
    /// How many sets there are; below 2^32.
    pub sets: u64,
    /// Numbers that nobody else knows, one for each word of a key, and one for the sum.
    pub keys: [u64; 6],
}

/// Where a flow is kept, and how it is known there.
#[derive(Debug, Clone, Copy)]
pub struct Seat {
    /// The number of its set.
    pub set: u32,
    /// The word that tells it from others of the set.
    pub ends: u64,
}

impl Hash {
    /// Finds the set of a flow. The hash is NH (Black et al., "UMAC", 1999): two keys that differ have
    /// the same sum for one in 2^32 of the numbers, and no product waits for another.
    #[inline(always)]
    #[must_use]
    pub const fn seat(&self, key: &FlowKey) -> Seat {
        const fn half(word: u64, by: u64) -> u64 {
            let low = (word as u32).wrapping_add(by as u32) as u64;
            let high = ((word >> 32) as u32).wrapping_add((by >> 32) as u32) as u64;
            low.wrapping_mul(high)
        }
        let addresses = addresses(key);
        let keys = &self.keys;
        let sum = half(addresses[0], keys[0])
            .wrapping_add(half(addresses[1], keys[1]))
            .wrapping_add(half(addresses[2], keys[2]))
            .wrapping_add(half(addresses[3], keys[3]))
            .wrapping_add(half(key.ends, keys[4]));
        let hash = (sum ^ sum >> 32).wrapping_mul(keys[5] | 1);
        Seat {
            set: ((hash >> 32).wrapping_mul(self.sets) >> 32) as u32,
            ends: key.ends | PRESENT | (hash << 16 >> TAG_SHIFT) << TAG_SHIFT,
        }
    }
}

const fn addresses(key: &FlowKey) -> [u64; ADDRESSES] {
    [key.local.high, key.local.low, key.peer.high, key.peer.low]
}

/// The words of a set, which several processors read and write at once.
pub trait Words {
    /// Reads a word as a whole.
    fn load(&self, at: usize) -> u64;
    /// Writes a word as a whole.
    fn store(&self, at: usize, word: u64);
    /// Writes a word if it is still the one before, after all that was written earlier; says whether
    /// it was.
    fn exchange(&self, at: usize, before: u64, after: u64) -> bool;
    /// The same word, of which the kernel's verifier knows nothing any more: it then follows what comes
    /// next once, by whatever way the word was found.
    fn opaque(&self, word: u64) -> u64 {
        word
    }
    /// The number of a way, of which it knows no more than that it is one.
    fn way(&self, way: usize) -> usize {
        way
    }
}

#[cfg(not(target_arch = "bpf"))]
impl Words for [AtomicU64] {
    fn load(&self, at: usize) -> u64 {
        self[at].load(Ordering::Acquire)
    }

    fn store(&self, at: usize, word: u64) {
        self[at].store(word, Ordering::Release);
    }

    fn exchange(&self, at: usize, before: u64, after: u64) -> bool {
        let (done, failed) = (Ordering::AcqRel, Ordering::Acquire);
        self[at]
            .compare_exchange(before, after, done, failed)
            .is_ok()
    }
}

/// What became of a flow that was to be added.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Added {
    /// It was there, and begins anew.
    Known,
    /// There was room, or a flow in its place that nobody misses.
    Fresh,
    /// A flow that was alive has made way.
    Evicted,
    /// Others were writing there: it is not remembered.
    Missed,
}

/// What is counted of flows that are not remembered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub enum Lost {
    /// [`Added::Evicted`].
    Evicted = 0,
    /// [`Added::Missed`].
    Missed = 1,
}

impl Lost {
    /// How many numbers there are.
    pub const COUNT: u32 = 2;
}

/// Where a flow is in its set, and its state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Found {
    /// The way.
    pub way: usize,
    /// The state of this flow, whoever has the place by now.
    pub state: FlowState,
}

/// Looks for a flow. Its key is only asked for where the rest fits.
#[inline(always)]
pub fn find(
    words: &(impl Words + ?Sized),
    seat: Seat,
    key: impl FnOnce() -> FlowKey,
) -> Option<Found> {
    // No two flows of a set have the same ports and the same 16 bits of the hash, but for copies of one.
    let way = (0..WAYS).find(|way| words.load(ENDS + way) == seat.ends)?;
    let way = words.way(way);
    let at = PAIRS + ADDRESSES * way;
    for (word, wanted) in addresses(&key()).into_iter().enumerate() {
        if words.load(at + word) != wanted {
            return None;
        }
    }
    let state = FlowState(words.load(way));
    let is_same = words.load(ENDS + way) == seat.ends;
    is_same.then_some(Found { way, state })
}

/// Adds a flow, or lets it begin anew. In a full set the quietest one makes way: one that is closed
/// before any other. `lives`: whether a flow of a protocol is still missed.
#[inline(always)]
pub fn add(
    words: &(impl Words + ?Sized),
    seat: Seat,
    key: impl Fn() -> FlowKey,
    state: FlowState,
    lives: impl Fn(FlowState, u8) -> bool,
) -> Added {
    if let Some(found) = find(words, seat, &key) {
        words.exchange(found.way, found.state.0, state.0);
        return Added::Known;
    }
    // Twice, because another processor may take the place that was chosen.
    for _ in 0..2 {
        let (mut chosen, mut before, mut quietest) = (0, CLAIMED, u64::MAX);
        for way in 0..WAYS {
            let ends = words.load(ENDS + way);
            // Of flows of the same second, one that chance chooses: or each would take the place of the
            // one before it.
            let chance = way as u64 ^ seat.ends >> TAG_SHIFT & (WAYS as u64 - 1);
            let rank = match ends {
                CLAIMED => u64::MAX,
                // Another flow that would be taken for this one.
                ends if ends == seat.ends => 0,
                0 => 1,
                _ => FlowState(words.load(way)).rank() * WAYS as u64 + chance,
            };
            let (rank, ends) = (words.opaque(rank), words.opaque(ends));
            if rank < quietest {
                (chosen, before, quietest) = (way, ends, rank);
            }
            chosen = words.opaque(chosen as u64) as usize;
        }
        let way = words.way(chosen);
        if before == CLAIMED || !words.exchange(ENDS + way, before, CLAIMED) {
            continue;
        }
        let old = FlowState(words.load(way));
        let at = PAIRS + ADDRESSES * way;
        for (word, address) in addresses(&key()).into_iter().enumerate() {
            words.store(at + word, address);
        }
        words.store(way, state.0);
        // Nobody else writes here now. In this way all that was written is there before it.
        words.exchange(ENDS + way, CLAIMED, seat.ends);
        return match before != 0 && lives(old, (before >> 32) as u8) {
            true => Added::Evicted,
            false => Added::Fresh,
        };
    }
    Added::Missed
}

impl FlowState {
    /// The lower, the less a flow is missed; never 0.
    #[inline(always)]
    const fn rank(self) -> u64 {
        match self.phase() {
            Phase::Closed => 1,
            _ => self.seen() as u64 + 2,
        }
    }
}

/// The flow in a place of a set that was read as a whole, and its state; `None` for a free one.
#[must_use]
pub fn flow_at(words: &(impl Words + ?Sized), way: usize) -> Option<(FlowKey, FlowState)> {
    let ends = words.load(ENDS + way);
    let at = PAIRS + ADDRESSES * way;
    let [high, low, peer_high, peer_low] = [0, 1, 2, 3].map(|word| words.load(at + word));
    let state = FlowState(words.load(way));
    if ends & PRESENT == 0 || words.load(ENDS + way) != ends {
        return None;
    }
    let key = FlowKey {
        local: Address { high, low },
        peer: Address {
            high: peer_high,
            low: peer_low,
        },
        ends: ends & (PRESENT - 1),
    };
    Some((key, state))
}

/// Takes a flow out. Says whether it was there.
pub fn forget(words: &(impl Words + ?Sized), seat: Seat, key: &FlowKey) -> bool {
    let found = find(words, seat, || *key);
    found.is_some_and(|found| words.exchange(ENDS + found.way, seat.ends, 0))
}
