//! The table of openings in this process's memory, where the agent replaces single words as one more
//! CPU does.

use super::super::flows::ActivePolicy;
use super::super::{Clock, Mapped, Merged, PinDir, maps};
use super::KnownOpening;
use crate::policy::address_of;
use anyhow::{Context as _, Result, bail};
use sccm_common::abi::map;
use sccm_common::opening::{Fingerprint, Opening, OpeningKey, SLOTS, Set, Told, Words};
use sccm_common::policy::Timeouts;
use std::cell::Cell;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicU64, Ordering};

/// How often it is tried to write an opening that the programs write, too.
const TRIES: u32 = 64;

/// Opens the ports of connections that are older than the tracking of their ports, to the clients
/// that have them, as if they had just been used. Returns how many.
///
/// # Errors
/// A map cannot be opened.
pub fn keep_open(
    pins: &PinDir,
    known: impl IntoIterator<Item = (IpAddr, SocketAddr)>,
    timeouts: &Timeouts,
) -> Result<usize> {
    let openings = MappedOpenings::open(pins)?;
    let now = Clock::read()?.program();
    let mut count = 0;
    for (client, server) in known {
        let Some(key) = key(client, server.ip(), server.port()) else {
            continue;
        };
        let told = Told {
            key,
            interface: [0; 16],
            learned: now,
            how: Told::CONNECTED | Told::BY_AGENT,
        };
        openings.note(&told, true, timeouts)?;
        count += 1;
    }
    Ok(count)
}

/// Opens the ports that another table has open, where this one does not have them or closes them
/// earlier.
///
/// # Errors
/// The kernel refuses a read, or the active policy is missing.
pub fn merge_openings(pins: &PinDir, known: &[KnownOpening]) -> Result<Merged> {
    let timeouts = ActivePolicy::open(pins)?.timeouts()?;
    let openings = MappedOpenings::open(pins)?;
    let now = Clock::read()?.program();
    let ago = |seconds| now.saturating_sub(u32::try_from(seconds).unwrap_or(u32::MAX));
    let mut merged = Merged::default();
    for one in known {
        let Some(key) = key(one.client, one.server, one.port) else {
            continue;
        };
        let by = if one.by_agent { Told::BY_AGENT } else { 0 };
        let told = Told {
            key,
            interface: one.interface.to_little_endian(),
            learned: ago(one.age),
            how: one.how.map_or(Told::CONNECTED, |how| how as u32) | by,
        };
        let seen = ago(one.used.unwrap_or(one.age));
        openings.merge(
            &told,
            (one.used.is_some(), seen),
            &timeouts,
            now,
            &mut merged,
        )?;
    }
    Ok(merged)
}

/// `None`: the two are of different families.
pub(in crate::kernel) fn key(client: IpAddr, server: IpAddr, port: u16) -> Option<OpeningKey> {
    let ((family, client), (other, server)) = (address_of(client), address_of(server));
    (family == other).then(|| OpeningKey::new(family, client, server, port))
}

/// The table, with the secret of its hash.
pub(in crate::kernel) struct MappedOpenings {
    sets: Mapped<Set>,
    secret: u64,
}

/// Where an opening is, or would be: the words of its set, and what is told of each.
struct Place<'a> {
    words: &'a [AtomicU64],
    told: &'a [AtomicU64],
    fingerprint: Fingerprint,
}

impl MappedOpenings {
    /// Opens the pins.
    ///
    /// # Errors
    /// A pin is missing or has another shape.
    pub(in crate::kernel) fn open(pins: &PinDir) -> Result<Self> {
        Ok(Self {
            sets: Mapped::open(pins, map::OPENINGS)?,
            secret: maps::open(pins, map::SECRET)?.get(&0, 0)?,
        })
    }

    /// Writes an opening as the programs do. `is_used`: somebody has connected.
    ///
    /// # Errors
    /// The programs do not let go of its set.
    pub(in crate::kernel) fn note(
        &self,
        told: &Told,
        is_used: bool,
        timeouts: &Timeouts,
    ) -> Result<()> {
        let place = self.place(&told.key)?;
        for _ in 0..TRIES {
            let before = place.read();
            let after = before.map(|opening| Cell::new(opening.0));
            let known = Words(&after);
            // What the programs have seen since stays seen.
            let at = told.learned.max(known.find(place.fingerprint).seen());
            let slot = known.note(place.fingerprint, timeouts, at);
            if is_used {
                known.renew(place.fingerprint, at);
            }
            let after = after.get(slot).map_or(0, Cell::get);
            if place.replace(slot, &before, Opening(after), told) {
                return Ok(());
            }
        }
        bail!("the programs do not let go of a set of openings")
    }

    /// Writes an opening that another table has, as it was used or handed out there, and counts what
    /// became of it.
    fn merge(
        &self,
        told: &Told,
        (is_used, seen): (bool, u32),
        timeouts: &Timeouts,
        now: u32,
        merged: &mut Merged,
    ) -> Result<()> {
        let place = self.place(&told.key)?;
        let opening = Opening::new(place.fingerprint, is_used, seen);
        if !opening.is_alive(timeouts, now) {
            merged.expired += 1;
            return Ok(());
        }
        for _ in 0..TRIES {
            let before = place.read();
            let is_its = |one: &Opening| one.fingerprint() == place.fingerprint;
            let own = before.iter().position(is_its);
            let free = before.iter().position(|one| !one.is_alive(timeouts, now));
            let (slot, count) = match (own, free) {
                (Some(slot), _) => (slot, &mut merged.updated),
                (None, Some(slot)) => (slot, &mut merged.added),
                (None, None) => {
                    merged.no_room += 1;
                    return Ok(());
                }
            };
            let known = before.get(slot).filter(|_| own.is_some());
            if known.is_some_and(|known| known.end(timeouts) >= opening.end(timeouts)) {
                merged.known += 1;
                return Ok(());
            }
            if place.replace(slot, &before, opening, told) {
                *count += 1;
                return Ok(());
            }
        }
        bail!("the programs do not let go of a set of openings")
    }

    fn place(&self, key: &OpeningKey) -> Result<Place<'_>> {
        let (set, fingerprint) = key.place(self.secret);
        let words = self.sets.words(set as usize).unwrap_or_default();
        let (words, told) = words
            .split_at_checked(SLOTS)
            .context("an opening has no set")?;
        Ok(Place {
            words,
            told,
            fingerprint,
        })
    }
}

impl Place<'_> {
    fn read(&self) -> [Opening; SLOTS] {
        let mut openings = [Opening::NONE; SLOTS];
        for (opening, word) in openings.iter_mut().zip(self.words) {
            *opening = Opening(word.load(Ordering::Relaxed));
        }
        openings
    }

    /// Replaces the opening in a slot, if none of the programs has written there since.
    fn replace(&self, slot: usize, before: &[Opening; SLOTS], after: Opening, told: &Told) -> bool {
        let (Some(word), Some(before)) = (self.words.get(slot), before.get(slot)) else {
            return false;
        };
        let exchanged =
            word.compare_exchange(before.0, after.0, Ordering::Relaxed, Ordering::Relaxed);
        if exchanged.is_err() {
            return false;
        }
        let beside = self.told.iter().skip(slot * Told::WORDS);
        for (word, value) in beside.zip(told.words()) {
            word.store(value, Ordering::Relaxed);
        }
        true
    }
}
