//! Ports that the endpoint mapper of RPC has handed out: each of one server, to one client.
//!
//! Openings of the same two systems share a set of fixed size, which follows from a keyed hash. So
//! no two systems can open more than a set holds, all of them no more than the table, and nobody
//! can aim at the set of somebody else. Where a set is full, the opening gives way that would end
//! first: one that nobody has used, before any that is in use.
//!
//! An opening is one word, which CPUs read and replace as a whole. It knows its two systems and its
//! port by a fingerprint of 34 bits: of a thousand million connections to ports that were not handed
//! out, about one finds an opening of others. What people are shown of it lies beside.

use crate::address::{Address, Family};
use crate::as_written;
use crate::hash::mix;
use crate::policy::Timeouts;
use core::cell::Cell;

/// Sets of the table: 1 MiB.
pub const SETS: u32 = 1024;

/// Openings of a set.
pub const SLOTS: usize = 16;

/// All bits of the number of a slot.
const MASK: u32 = SLOTS as u32 - 1;

/// Who may connect where.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(C)]
pub struct OpeningKey {
    /// Whom the port was handed to.
    pub client: Address,
    /// Whose port it is.
    pub server: Address,
    /// From the lowest bit on: 16 of the port, 8 of the family, 8 of whether only a shadow knows it.
    details: u64,
}

impl OpeningKey {
    /// A TCP port of `server`, for `client`.
    #[inline(always)]
    #[must_use]
    pub const fn new(family: Family, client: Address, server: Address, port: u16) -> Self {
        Self {
            client,
            server,
            details: port as u64 | (family as u64) << 16,
        }
    }

    /// The same opening, as only a shadow's policy made it.
    #[inline(always)]
    #[must_use]
    pub const fn of_candidate(self) -> Self {
        Self {
            details: self.details | 1 << 24,
            ..self
        }
    }

    /// The port.
    #[inline(always)]
    #[must_use]
    pub const fn port(&self) -> u16 {
        self.details as u16
    }

    /// Whether only a shadow knows it.
    #[inline(always)]
    #[must_use]
    pub const fn is_candidates(&self) -> bool {
        self.details >> 24 & 1 != 0
    }

    /// The family of both addresses.
    #[inline(always)]
    #[must_use]
    pub const fn family(&self) -> Family {
        match self.details >> 16 & 0xff {
            0 => Family::V4,
            _ => Family::V6,
        }
    }

    /// Where the opening is kept: the number of its set, and its fingerprint there.
    #[inline(always)]
    #[must_use]
    pub const fn place(&self, secret: u64) -> (u32, Fingerprint) {
        let hash = mix(secret, self.client.high);
        let hash = mix(hash, self.client.low);
        let hash = mix(hash, self.server.high);
        let hash = mix(hash, self.server.low);
        let pair = mix(hash, secret);
        let set = ((pair & 0xffff_ffff) * SETS as u64) >> 32;
        let hash = mix(hash, self.details);
        let hash = mix(hash, secret);
        let fingerprint = match hash >> (64 - FINGERPRINT_BITS) {
            0 => 1,
            bits => bits,
        };
        (set as u32, Fingerprint(fingerprint))
    }
}

const FINGERPRINT_BITS: u32 = 34;

/// 34 bits of the hash of an opening; never 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fingerprint(pub u64);

/// The state of one opening: 34 bits of the fingerprint, one of whether somebody has connected, 29
/// of seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(transparent)]
pub struct Opening(pub u64);

const USED: u64 = 1 << FINGERPRINT_BITS;
const SEEN_SHIFT: u32 = FINGERPRINT_BITS + 1;

impl Opening {
    /// No opening.
    pub const NONE: Self = Self(0);

    /// An opening that was handed out or used last at `now`.
    #[inline(always)]
    #[must_use]
    pub const fn new(fingerprint: Fingerprint, is_used: bool, now: u32) -> Self {
        let used = if is_used { USED } else { 0 };
        Self((now as u64) << SEEN_SHIFT | used | fingerprint.0)
    }

    /// One whose key is kept elsewhere.
    #[must_use]
    pub const fn of(is_used: bool, now: u32) -> Self {
        Self::new(Fingerprint(1), is_used, now)
    }

    #[inline(always)]
    const fn is_of(self, fingerprint: Fingerprint) -> bool {
        self.fingerprint().0 == fingerprint.0
    }

    /// The fingerprint.
    #[inline(always)]
    #[must_use]
    pub const fn fingerprint(self) -> Fingerprint {
        Fingerprint(self.0 & (USED - 1))
    }

    /// When it was handed out or used last, in seconds of the clock of
    /// [`Tables::now`](crate::Tables::now).
    #[inline(always)]
    #[must_use]
    pub const fn seen(self) -> u32 {
        (self.0 >> SEEN_SHIFT) as u32
    }

    /// Whether somebody has connected.
    #[inline(always)]
    #[must_use]
    pub const fn is_used(self) -> bool {
        self.0 & USED != 0
    }

    /// The last second in which it counts.
    #[inline(always)]
    #[must_use]
    pub const fn end(self, timeouts: &Timeouts) -> u64 {
        let lasts = match self.is_used() {
            true => timeouts.rpc_used,
            false => timeouts.rpc_unused,
        };
        self.seen() as u64 + lasts as u64
    }

    /// Whether it counts at `now`.
    #[inline(always)]
    #[must_use]
    pub const fn is_alive(self, timeouts: &Timeouts, now: u32) -> bool {
        self.0 != 0 && now as u64 <= self.end(timeouts)
    }
}

/// What people are shown of an opening. Nothing is decided by it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(C)]
pub struct Told {
    /// Who may connect where.
    pub key: OpeningKey,
    /// The UUID of the interface, as it lies in a tower.
    pub interface: [u8; 16],
    /// When the port was handed out last, in seconds of the clock of
    /// [`Tables::now`](crate::Tables::now).
    pub learned: u32,
    /// How: the number of a [`How`](crate::rpc::How), and whether [the agent](Self::BY_AGENT) has
    /// read the answer.
    pub how: u32,
}

impl Told {
    /// How many words it is.
    pub const WORDS: usize = 8;

    /// In place of a number in [`how`](Self::how): nobody has handed it out, a connection to it was
    /// there before.
    pub const CONNECTED: u32 = 0xff;

    /// A bit of [`how`](Self::how): the agent has read the answer, and not the kernel program.
    pub const BY_AGENT: u32 = 1 << 8;

    /// The same as words, as they lie in the map.
    #[must_use]
    pub fn words(&self) -> [u64; Self::WORDS] {
        let OpeningKey {
            client,
            server,
            details,
        } = self.key;
        let [first, second] = [0, 8].map(|at| {
            let bytes = self.interface[at..].first_chunk();
            u64::from_ne_bytes(*bytes.unwrap_or(&[0; 8]))
        });
        let pair = [self.learned, self.how];
        let last = match cfg!(target_endian = "little") {
            true => u64::from(pair[1]) << 32 | u64::from(pair[0]),
            false => u64::from(pair[0]) << 32 | u64::from(pair[1]),
        };
        [
            client.high,
            client.low,
            server.high,
            server.low,
            details,
            first,
            second,
            last,
        ]
    }
}

/// One set, as it lies in the map.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct Set {
    /// An [`Opening`] each.
    pub words: [u64; SLOTS],
    /// What each of them is.
    pub told: [Told; SLOTS],
}

const _: () = assert!(size_of::<Told>() == 8 * Told::WORDS);
const _: () = assert!(size_of::<Told>() == 64 && size_of::<Set>() == SLOTS * (8 + 64));

/// The words of a set.
#[derive(Debug, Clone, Copy)]
pub struct Words<'a>(pub &'a [Cell<u64>; SLOTS]);

impl Words<'_> {
    /// The opening with this fingerprint, or [`Opening::NONE`].
    #[inline(always)]
    #[must_use]
    pub fn find(self, fingerprint: Fingerprint) -> Opening {
        for word in self.0 {
            let opening = Opening(word.get());
            if opening.is_of(fingerprint) {
                return opening;
            }
        }
        Opening::NONE
    }

    /// Somebody connects, or goes on: the opening counts from `now` on, if it is there.
    #[inline(always)]
    pub fn renew(self, fingerprint: Fingerprint, now: u32) {
        for word in self.0 {
            if Opening(word.get()).is_of(fingerprint) {
                word.set(Opening::new(fingerprint, true, now).0);
                return;
            }
        }
    }

    /// Notes a port that was handed out at `now`. Says in which slot.
    #[inline(always)]
    pub fn note(self, fingerprint: Fingerprint, timeouts: &Timeouts, now: u32) -> usize {
        // The verifier knows nothing of the fingerprint, and so of no number that it is mixed with.
        let opaque = |word| as_written::opaque(word, fingerprint.0);
        let mut first = u64::MAX;
        for (place, word) in self.0.iter().enumerate() {
            let opening = Opening(word.get());
            // Its own place, then an empty one, then the one that would end first.
            let end = match opening.is_of(fingerprint) || opening.0 == 0 {
                true => (opening.0 == 0).into(),
                false => 2 + opening.end(timeouts),
            };
            let candidate = opaque(end) << 4 | place as u64;
            first = opaque(if candidate < first { candidate } else { first });
        }
        let at = as_written::and::<MASK>(first) as usize;
        let before = Opening(self.0[at].get());
        // One that has ended begins anew: nobody has connected to it since.
        let is_known = before.is_of(fingerprint) && before.is_alive(timeouts, now);
        let is_used = is_known && before.is_used();
        self.0[at].set(Opening::new(fingerprint, is_used, now).0);
        at
    }
}

const _: () = assert!(SLOTS == 1 << 4);

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;
    use std::vec::Vec;

    const NOW: u32 = 1_000_000;
    const TIMEOUTS: Timeouts = Timeouts::DEFAULT;

    fn set() -> [Cell<u64>; SLOTS] {
        [const { Cell::new(0) }; SLOTS]
    }

    fn key(client: u64, server: u64, port: u16) -> OpeningKey {
        let address = |low| Address { high: 0, low };
        OpeningKey::new(Family::V4, address(client), address(server), port)
    }

    #[test]
    fn an_opening_counts_until_it_is_used_and_for_long_after() {
        let words = set();
        let (words, fingerprint) = (Words(&words), Fingerprint(7));
        assert!(!words.find(fingerprint).is_alive(&TIMEOUTS, NOW));
        words.note(fingerprint, &TIMEOUTS, NOW);
        let unused = words.find(fingerprint);
        assert!(unused.is_alive(&TIMEOUTS, NOW + TIMEOUTS.rpc_unused));
        assert!(!unused.is_alive(&TIMEOUTS, NOW + TIMEOUTS.rpc_unused + 1));
        words.renew(fingerprint, NOW + 10);
        let used = words.find(fingerprint);
        assert!(used.is_alive(&TIMEOUTS, NOW + 10 + TIMEOUTS.rpc_used));
        assert!(!used.is_alive(&TIMEOUTS, NOW + 11 + TIMEOUTS.rpc_used));
        // Handed out again, it is still one that is used.
        words.note(fingerprint, &TIMEOUTS, NOW + 20);
        assert!(words.find(fingerprint).is_used());
        let ended = NOW + 21 + TIMEOUTS.rpc_used;
        words.note(fingerprint, &TIMEOUTS, ended);
        let anew = words.find(fingerprint);
        assert!(!anew.is_used() && anew.is_alive(&TIMEOUTS, ended));
        // Nobody opens a port by connecting to it.
        words.renew(Fingerprint(8), NOW);
        assert_eq!(words.find(Fingerprint(8)), Opening::NONE);
    }

    #[test]
    fn what_would_end_first_gives_way_and_what_is_used_stays() {
        let words = set();
        let words = Words(&words);
        for used in 1..=4 {
            words.note(Fingerprint(used), &TIMEOUTS, NOW);
            words.renew(Fingerprint(used), NOW);
        }
        for number in 100..10_000 {
            words.note(Fingerprint(number), &TIMEOUTS, NOW + 1);
        }
        for used in 1..=4 {
            let opening = words.find(Fingerprint(used));
            assert!(opening.is_alive(&TIMEOUTS, NOW + 1), "{used}");
        }
        // The last one has taken a place of its own kind.
        assert!(words.find(Fingerprint(9_999)).is_alive(&TIMEOUTS, NOW + 1));
        let alive = words.0.iter().filter(|word| word.get() != 0).count();
        assert_eq!(alive, SLOTS);
    }

    #[test]
    fn openings_of_two_systems_share_a_set_and_others_lie_elsewhere() {
        let (set, _) = key(1, 2, 50_000).place(7);
        let ports: HashSet<u64> = (49_152..=65_535)
            .map(|port| {
                let (same, fingerprint) = key(1, 2, port).place(7);
                assert_eq!(same, set);
                fingerprint.0
            })
            .collect();
        assert_eq!(ports.len(), 16_384);
        let sets: HashSet<u32> = (0..100_000)
            .map(|client| key(client, 2, 50_000).place(7).0)
            .collect();
        assert_eq!(sets.len(), SETS as usize);
        let changed: Vec<_> = [
            key(1, 2, 50_000).place(8),
            key(2, 1, 50_000).place(7),
            key(1, 2, 50_000).of_candidate().place(7),
        ]
        .into();
        assert!(!changed.contains(&key(1, 2, 50_000).place(7)));
    }
}
