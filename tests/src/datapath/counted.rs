//! Counters as numbers to compare: what rose, where, by how much.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result, bail, ensure};
use sccm_agent::kernel::Reading;
use sccm_common::Reason;
use sccm_common::counter::{Counter, Direction};

/// One counter's name. Two service classes of the same name count as one.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// Name of the interface.
    pub interface: String,
    /// Which way the packets went.
    pub direction: Direction,
    /// Counted while observing.
    pub observing: bool,
    /// How the packets ended.
    pub reason: Reason,
    /// `tcp http`, where the reason speaks of a service.
    pub service: Option<String>,
    /// `client`, where it was refused and the policy knows peers.
    pub peer: Option<String>,
}

/// Some counters, each above zero.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Counts(pub BTreeMap<Place, Counter>);

impl Counts {
    pub(super) fn of(readings: Vec<Reading>) -> Self {
        let mut counts = Self::default();
        for reading in readings {
            let place = Place {
                interface: reading.interface,
                direction: reading.direction,
                observing: reading.observing,
                reason: reading.reason,
                service: reading.service.as_ref().map(super::judged::label),
                peer: reading.peer,
            };
            counts.add(place, reading.count);
        }
        counts
    }

    /// Adds to one counter.
    pub fn add(&mut self, place: Place, count: Counter) {
        let sum = self.0.entry(place).or_default();
        sum.packets += count.packets;
        sum.bytes += count.bytes;
    }

    /// By how much each counter is above what it was `before`.
    pub(super) fn since(&self, before: &Self) -> Result<Self> {
        ensure!(
            before.0.keys().all(|place| self.0.contains_key(place)),
            "a counter is gone"
        );
        let mut risen = Self::default();
        for (place, now) in &self.0 {
            let was = before.0.get(place).copied().unwrap_or_default();
            let packets = now.packets.checked_sub(was.packets);
            let bytes = now.bytes.checked_sub(was.bytes);
            let rise = Counter {
                packets: packets.with_context(|| format!("packets fell at {place:?}"))?,
                bytes: bytes.with_context(|| format!("bytes fell at {place:?}"))?,
            };
            if rise != Counter::default() {
                risen.0.insert(place.clone(), rise);
            }
        }
        Ok(risen)
    }

    /// The one counter that rose, if it did so by one frame of `length` bytes.
    pub(super) fn only(self, length: usize) -> Result<Place> {
        let expected = Counter {
            packets: 1,
            bytes: length as u64,
        };
        let mut risen = self.0.into_iter();
        match (risen.next(), risen.next()) {
            (Some((place, count)), None) if count == expected => Ok(place),
            (first, second) => bail!(
                "one frame of {length} bytes was counted as {first:?}, {second:?}, {:?}",
                risen.collect::<Vec<_>>()
            ),
        }
    }
}
