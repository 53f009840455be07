//! The counters of packets: what passed, what was dropped, and what would have been.

use super::reference::{self as table, Family};
use super::series::{Scrape, Series};
use crate::kernel::{Maps, Reading};
use crate::policy::ServiceName;
use anyhow::Result;
use sccm_common::counter::{Counter, Direction};
use sccm_common::{Disposition, Reason};
use std::collections::HashMap;

/// Reads and tells all of them, those of the shadow too.
pub(super) fn tell(scrape: &mut Scrape, maps: &Maps) -> Result<()> {
    let (mut passed, mut dropped, mut would_drop) =
        (Sums::default(), Sums::default(), Sums::default());
    let readings = maps.counters()?;
    for reading in &readings {
        match (reading.reason.disposition(), reading.observing) {
            (Disposition::Pass, _) => passed.add(reading),
            (Disposition::Drop, false) => dropped.add(reading),
            (Disposition::Drop, true) => would_drop.add(reading),
        }
    }
    passed.tell(scrape, &table::PASSED_PACKETS, &table::PASSED_BYTES)?;
    dropped.tell(scrape, &table::DROPPED_PACKETS, &table::DROPPED_BYTES)?;
    would_drop.tell(scrape, &table::WOULD_DROP_PACKETS, &table::WOULD_DROP_BYTES)?;

    let (mut passed, mut dropped) = (Sums::default(), Sums::default());
    let readings = maps.shadow_counters()?;
    for reading in &readings {
        match reading.reason.disposition() {
            Disposition::Pass => passed.add(reading),
            Disposition::Drop => dropped.add(reading),
        }
    }
    let (packets, bytes) = (&table::SHADOW_PASSED_PACKETS, &table::SHADOW_PASSED_BYTES);
    passed.tell(scrape, packets, bytes)?;
    let (packets, bytes) = (&table::SHADOW_DROPPED_PACKETS, &table::SHADOW_DROPPED_BYTES);
    dropped.tell(scrape, packets, bytes)
}

/// Everything that is a label of a counter.
#[derive(PartialEq, Eq, Hash)]
struct Key<'r> {
    interface: &'r str,
    direction: Direction,
    reason: Reason,
    service: Option<&'r ServiceName>,
}

/// The counters of one disposition, in the order in which they were read. Those that differ
/// in nothing that is a label add up: classes of one name, and what passed in either mode.
#[derive(Default)]
struct Sums<'r> {
    places: HashMap<Key<'r>, usize>,
    sums: Vec<(&'r Reading, Counter)>,
}

impl<'r> Sums<'r> {
    fn add(&mut self, reading: &'r Reading) {
        let key = Key {
            interface: &reading.interface,
            direction: reading.direction,
            reason: reading.reason,
            service: reading.service.as_ref(),
        };
        let place = *self.places.entry(key).or_insert(self.sums.len());
        match self.sums.get_mut(place) {
            Some((_, sum)) => {
                sum.packets += reading.count.packets;
                sum.bytes += reading.count.bytes;
            }
            None => self.sums.push((reading, reading.count)),
        }
    }

    fn tell(
        &self,
        scrape: &mut Scrape,
        packets: &'static Family,
        bytes: &'static Family,
    ) -> Result<()> {
        let (mut packets, mut bytes) = (Series::new(packets), Series::new(bytes));
        for (reading, sum) in &self.sums {
            let direction = match reading.direction {
                Direction::Inbound => "inbound",
                Direction::Outbound => "outbound",
            };
            let (protocol, service) = match &reading.service {
                Some(name) => (name.protocol.as_str(), name.service.as_str()),
                None => ("", ""),
            };
            let labels = [
                reading.interface.as_str(),
                direction,
                reading.reason.label(),
                protocol,
                service,
            ];
            packets.add(&labels, sum.packets as f64)?;
            bytes.add(&labels, sum.bytes as f64)?;
        }
        scrape.tell(packets);
        scrape.tell(bytes);
        Ok(())
    }
}
