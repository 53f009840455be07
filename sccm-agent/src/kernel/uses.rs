//! The rights of the active policy, with how much each was used.

use super::maps::Maps;
use super::{Clock, names};
use crate::policy::{Compiled, KnownRow, KnownRows, ServiceName, ServiceNames, WantedRow, counted};
use anyhow::{Context as _, Result, anyhow};
use aya::maps::PerCpuValues;
use aya::util::nr_cpus;
use sccm_common::counter::Direction;
use sccm_common::policy::MAX_PAIRS;
use sccm_common::service::ServiceSet;
use sccm_common::usage::{CLASSES, Row, RowRecord, Use, Uses};
use sccm_common::{Policy, ServiceClass};
use std::collections::BTreeMap;

/// Marks the time since when a right is counted: the policy before gave it, this one does not. It is
/// kept in case that one returns.
const TAKEN: u64 = 1 << 63;

/// A right of the active policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Right {
    /// Which way it is opened.
    pub direction: Direction,
    /// The protected systems.
    pub systems: String,
    /// The other ends.
    pub peers: String,
    /// What may be opened.
    pub class: ServiceClass,
    /// The name of that.
    pub service: ServiceName,
    /// Where it is counted.
    pub row: Row,
    /// Packets since then, those of replies apart.
    pub packets: u64,
    /// When it was last used, in seconds since 1970.
    pub last: Option<u64>,
    /// Since when it is counted, in seconds since 1970.
    pub since: u64,
}

/// All of them.
pub struct Rights {
    /// Those that are counted.
    pub counted: Vec<Right>,
    /// How many are not, because their services have too high numbers.
    pub uncounted: usize,
    /// The active policy, without its classes of addresses.
    pub policy: Box<Policy>,
}

impl Maps {
    /// What is known of names and rows, for the next policy.
    ///
    /// # Errors
    /// The kernel refuses a read.
    pub fn known_names(&self) -> Result<ServiceNames> {
        let mut names = self.service_names()?;
        names.rows = self.known_rows()?;
        Ok(names)
    }

    fn known_rows(&self) -> Result<KnownRows> {
        let oldest = self.info()?.generation.min(self.standby()?.generation);
        let mut rows = KnownRows::new();
        self.all_rows.each(|number, records| {
            for record in records {
                if record.generation != 0 {
                    // The map has as many elements as there are rows.
                    rows.insert(*number as u16, known(record, oldest));
                }
            }
        })?;
        Ok(rows)
    }

    /// Writes what the rows of a policy stand for. No program reads a bank that has new ones.
    pub(super) fn write_rows(&mut self, compiled: &Compiled, generation: u64) -> Result<()> {
        let active = self.info()?.generation;
        let (rows, now) = (self.known_rows()?, super::maps::unix_time());
        for wanted in &compiled.rows {
            if wanted.row == Row::NONE {
                continue;
            }
            let mut before = rows.get(&wanted.row.0);
            if wanted.is_new {
                before = None;
                self.inherit(wanted, &rows)?;
            }
            let relatives: Vec<&KnownRow> = relatives(wanted, &rows).map(|(_, row)| row).collect();
            let since = |class: usize| {
                let is_granted = wanted.granted.contains(ServiceClass(class as u8));
                match before {
                    Some(row) => next(row.since[class], is_granted, row.generation >= active, now),
                    None => relatives
                        .iter()
                        .map(|row| row.since[class])
                        .filter(|since| is_granted && *since != 0 && since & TAKEN == 0)
                        .min()
                        .unwrap_or(if is_granted { now } else { 0 }),
                }
            };
            let record = RowRecord {
                identity: wanted.identity,
                family: wanted.family,
                generation,
                since: std::array::from_fn(since),
                systems: names::padded(&wanted.systems),
                peers: names::padded(&wanted.peers),
            };
            let number = wanted.row.0.into();
            self.rows
                .set(number, record, 0)
                .context("writing what a row of rights stands for")?;
        }
        Ok(())
    }

    /// Begins a row: with when its relatives were used last, or with nothing.
    fn inherit(&mut self, wanted: &WantedRow, rows: &KnownRows) -> Result<()> {
        let mut begin = [Use::default(); CLASSES];
        for (number, row) in relatives(wanted, rows) {
            let values = self.uses.get(&u32::from(number), 0)?;
            for (class, used) in summed(&values).into_iter().enumerate() {
                let is_given = row.since[class] != 0 && row.since[class] & TAKEN == 0;
                if is_given && wanted.granted.contains(ServiceClass(class as u8)) {
                    begin[class].last = begin[class].last.max(used.last);
                }
            }
        }
        let cpus = nr_cpus().map_err(|(path, error)| anyhow!("{path}: {error}"))?;
        let mut values = vec![[Use::default(); CLASSES]; cpus];
        if let Some(first) = values.first_mut() {
            *first = begin;
        }
        let values = PerCpuValues::try_from(values)?;
        let number = wanted.row.0.into();
        self.uses
            .set(number, values, 0)
            .context("beginning a row of rights")
    }

    /// The rights of the active policy.
    ///
    /// # Errors
    /// The kernel refuses a read.
    pub fn rights(&self) -> Result<Rights> {
        let policy = self.policy()?;
        let (clock, names) = (Clock::read()?, self.service_names()?);
        let (mut rights, mut uncounted) = (Vec::new(), 0);
        for ((row, direction), granted) in granted(&policy) {
            let record = self.rows.get(&u32::from(row.0), 0)?;
            let uses = summed(&self.uses.get(&u32::from(row.0), 0)?);
            let all = (0..=u8::MAX).filter(|class| granted.contains(ServiceClass(*class)));
            uncounted += all.count() - counted(granted).count();
            for class in counted(granted) {
                let index = usize::from(class.0);
                let (used, since) = (uses[index], record.since[index] & !TAKEN);
                let Some(service) = names.get(class).filter(|_| since != 0) else {
                    continue;
                };
                rights.push(Right {
                    direction,
                    systems: names::text(&record.systems),
                    peers: names::text(&record.peers),
                    class,
                    service: service.clone(),
                    row,
                    packets: used.packets,
                    last: u32::try_from(used.last)
                        .ok()
                        .filter(|last| *last != 0)
                        .map(|last| clock.unix(last)),
                    since,
                });
            }
        }
        Ok(Rights {
            counted: rights,
            uncounted,
            policy,
        })
    }
}

/// The rows of a policy, and what their pairs may open.
fn granted(policy: &Policy) -> BTreeMap<(Row, Direction), ServiceSet> {
    let mut granted: BTreeMap<_, ServiceSet> = BTreeMap::new();
    for pair in 0..MAX_PAIRS {
        let (rows, access) = (policy.rows[pair], policy.access[pair]);
        for (row, direction, set) in [
            (rows.inbound, Direction::Inbound, access.inbound),
            (rows.outbound, Direction::Outbound, access.outbound),
        ] {
            if row != Row::NONE {
                let known = granted.entry((row, direction)).or_default();
                *known = known.union(set);
            }
        }
    }
    granted
}

/// Rows that say the same but for rules, in a bank now.
fn relatives<'a>(
    wanted: &'a WantedRow,
    rows: &'a KnownRows,
) -> impl Iterator<Item = (u16, &'a KnownRow)> {
    let related = move |(_, row): &(&u16, &KnownRow)| row.family == wanted.family && !row.is_free;
    rows.iter()
        .filter(related)
        .map(|(number, row)| (*number, row))
}

/// Since when a right is counted under the next policy. `was_active`: the active policy has its row.
const fn next(before: u64, is_granted: bool, was_active: bool, now: u64) -> u64 {
    match (is_granted, before) {
        (true, before) if was_active && before != 0 && before & TAKEN == 0 => before,
        (true, _) => now,
        (false, before) if was_active && before & TAKEN == 0 && before != 0 => before | TAKEN,
        (false, _) => 0,
    }
}

fn known(record: &RowRecord, oldest: u64) -> KnownRow {
    KnownRow {
        identity: record.identity,
        family: record.family,
        generation: record.generation,
        since: record.since.to_vec(),
        systems: names::text(&record.systems),
        peers: names::text(&record.peers),
        is_free: record.generation < oldest,
    }
}

fn summed(values: &[Uses]) -> Vec<Use> {
    let mut total = vec![Use::default(); CLASSES];
    for cpu in values {
        for (sum, used) in total.iter_mut().zip(cpu) {
            *sum = sum.with(*used);
        }
    }
    total
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_right_is_counted_since_it_was_given_without_a_break() {
        const NOW: u64 = 1_700_000_000;
        assert_eq!(next(0, true, true, NOW), NOW, "new");
        assert_eq!(next(5, true, true, NOW), 5, "stays");
        let taken = next(5, false, true, NOW);
        assert_eq!(taken & !TAKEN, 5, "the other bank may return");
        assert_eq!(next(taken, true, true, NOW), NOW, "comes back");
        assert_eq!(next(taken, false, true, NOW), 0, "is gone");
        assert_eq!(next(5, true, false, NOW), NOW, "its row comes back");
        assert_eq!(next(0, false, true, NOW), 0, "never was");
    }
}
