//! The counters of packets: what passed, what was dropped, and what would have been.
//!
//! Sixteen interfaces and every role are 50,000 series. The families of the prometheus crate
//! take a dozen allocations for each; so these, and only these, are written as text at once.
//! What the lines of an interface share, and what those of a service share, is made once.

use super::Format;
use super::openmetrics::{self, escape};
use super::reference::{self as table, Family, Label};
use crate::kernel::{Maps, Tally};
use crate::policy::ServiceNames;
use anyhow::{Result, ensure};
use sccm_common::counter::{
    Counter, Direction, PAGE_COUNTERS, PEER_COUNTERS, describe, describe_peer, peer_reason,
};
use sccm_common::{Disposition, Reason};
use std::collections::HashMap;

/// Labels of a tally; the others are of a label set of its pages.
const OF_TALLY: usize = 2;

/// Writes all of them, those of the shadow too.
pub(super) fn write(text: &mut String, format: Format, maps: &Maps) -> Result<()> {
    write_all(text, format, &maps.tallies()?, &maps.service_names()?)
}

fn write_all(
    text: &mut String,
    format: Format,
    tallies: &[Tally],
    names: &ServiceNames,
) -> Result<()> {
    let sets = [
        LabelSets::of(names, Direction::Inbound)?,
        LabelSets::of(names, Direction::Outbound)?,
    ];
    let sums = tallies.iter().map(|tally| Sums::of(tally, &sets));
    let sums = sums.collect::<Result<Vec<_>>>()?;
    let mut pair = |packets, bytes, disposition, count: fn(&Sums<'_>, usize) -> Counter| {
        let mut family = |family: &Family, value: fn(Counter) -> u64| {
            let by_peer = family.labels == table::REFUSED;
            write_family(text, format, family, &sums, |sums, lines| {
                for (at, set) in sums.sets.iter().enumerate() {
                    if set.reason.disposition() != disposition {
                        continue;
                    }
                    let count = count(sums, at);
                    if count.packets > 0 {
                        let peer = by_peer.then_some(set.peer.as_str());
                        lines.add(&set.labels, peer, value(count));
                    }
                }
            })
        };
        family(packets, |count| count.packets)?;
        family(bytes, |count| count.bytes)
    };
    let (passes, drops) = (Disposition::Pass, Disposition::Drop);
    let (packets, bytes) = (&table::PASSED_PACKETS, &table::PASSED_BYTES);
    pair(packets, bytes, passes, |sums, at| {
        let (obeyed, observed) = (sums.obeyed[at], sums.observed[at]);
        Counter {
            packets: obeyed.packets + observed.packets,
            bytes: obeyed.bytes + observed.bytes,
        }
    })?;
    let (packets, bytes) = (&table::DROPPED_PACKETS, &table::DROPPED_BYTES);
    pair(packets, bytes, drops, |sums, at| sums.obeyed[at])?;
    let (packets, bytes) = (&table::WOULD_DROP_PACKETS, &table::WOULD_DROP_BYTES);
    pair(packets, bytes, drops, |sums, at| sums.observed[at])?;
    let (packets, bytes) = (&table::SHADOW_PASSED_PACKETS, &table::SHADOW_PASSED_BYTES);
    pair(packets, bytes, passes, |sums, at| sums.shadow[at])?;
    let (packets, bytes) = (&table::SHADOW_DROPPED_PACKETS, &table::SHADOW_DROPPED_BYTES);
    pair(packets, bytes, drops, |sums, at| sums.shadow[at])
}

/// What all counters of a tally with the same labels come to: a reason, the classes of one
/// name, and a peer.
struct LabelSet {
    reason: Reason,
    labels: String,
    /// The label that only what is refused has.
    peer: String,
}

/// The label sets of a direction.
struct LabelSets {
    sets: Vec<LabelSet>,
    /// Of each counter of a page, the set; `None`: it has no meaning.
    of: Vec<Option<usize>>,
}

/// A tally, added up by sets.
struct Sums<'p> {
    /// Its labels.
    labels: String,
    sets: &'p [LabelSet],
    obeyed: Vec<Counter>,
    observed: Vec<Counter>,
    shadow: Vec<Counter>,
}

impl<'p> Sums<'p> {
    fn of(tally: &Tally, [inbound, outbound]: &'p [LabelSets; 2]) -> Result<Self> {
        let (direction, sets) = match tally.direction {
            Direction::Inbound => ("inbound", inbound),
            Direction::Outbound => ("outbound", outbound),
        };
        let (labels, _) = table::COUNTED.split_at(OF_TALLY);
        Ok(Self {
            labels: rendered(labels, &[&tally.interface, direction])?,
            sets: &sets.sets,
            obeyed: sets.sum(&tally.obeyed),
            observed: sets.sum(&tally.observed),
            shadow: sets.sum(&tally.shadow),
        })
    }
}

impl LabelSets {
    /// Those of every page of a direction, and behind them those of the peers.
    fn of(names: &ServiceNames, direction: Direction) -> Result<Self> {
        let counters = (0..PAGE_COUNTERS).map(|index| {
            let (reason, class) = describe(index)?;
            Some((reason, class, None))
        });
        let by_peer = (0..PEER_COUNTERS).map(|index| {
            let (peer, class) = describe_peer(index);
            Some((peer_reason(direction), Some(class), Some(peer)))
        });
        let mut known = HashMap::new();
        let (mut sets, mut of) = (Vec::new(), Vec::new());
        for meaning in counters.chain(by_peer) {
            let Some((reason, class, peer)) = meaning else {
                of.push(None);
                continue;
            };
            let service = class.and_then(|class| names.get(class));
            let peer = peer.and_then(|peer| names.peers.get(peer)).unwrap_or("");
            let set = *known.entry((reason, service, peer)).or_insert(sets.len());
            of.push(Some(set));
            if set < sets.len() {
                continue;
            }
            let (protocol, service) = match service {
                Some(name) => (name.protocol.as_str(), name.service.as_str()),
                None => ("", ""),
            };
            let (_, labels) = table::COUNTED.split_at(OF_TALLY);
            sets.push(LabelSet {
                reason,
                labels: rendered(labels, &[reason.label(), protocol, service])?,
                peer: rendered(&[&table::PEER], &[peer])?,
            });
        }
        Ok(Self { sets, of })
    }

    /// Adds up a page, by sets.
    fn sum(&self, page: &[Counter]) -> Vec<Counter> {
        let mut sums = vec![Counter::default(); self.sets.len()];
        for (set, counter) in self.of.iter().zip(page) {
            if let Some(sum) = set.and_then(|set| sums.get_mut(set)) {
                sum.packets += counter.packets;
                sum.bytes += counter.bytes;
            }
        }
        sums
    }
}

/// Where the lines of one tally go.
struct Lines<'s> {
    text: &'s mut String,
    /// What they begin with.
    head: String,
}

impl Lines<'_> {
    fn add(&mut self, labels: &str, peer: Option<&str>, value: u64) {
        self.text.push_str(&self.head);
        self.text.push_str(labels);
        if let Some(peer) = peer {
            self.text.push(',');
            self.text.push_str(peer);
        }
        self.text.push_str("} ");
        push_decimal(self.text, value);
        self.text.push('\n');
    }
}

/// What `write!` would write, in a third of its time.
fn push_decimal(text: &mut String, mut value: u64) {
    // 2^64 has twenty.
    let mut digits = [b'0'; 20];
    let mut unused = digits.len();
    for digit in digits.iter_mut().rev() {
        *digit = b'0' + (value % 10) as u8;
        value /= 10;
        unused -= 1;
        if value == 0 {
            break;
        }
    }
    let digits = digits.get(unused..).map(str::from_utf8);
    text.push_str(digits.and_then(Result::ok).unwrap_or_default());
}

/// Writes a family, unless it has no series.
fn write_family(
    text: &mut String,
    format: Format,
    family: &Family,
    sums: &[Sums<'_>],
    add: impl Fn(&Sums<'_>, &mut Lines<'_>),
) -> Result<()> {
    ensure!(
        family.labels.starts_with(table::COUNTED),
        "{} has other labels",
        family.name
    );
    let before = text.len();
    openmetrics::head(text, format, family)?;
    let begun = text.len();
    for sums in sums {
        let head = format!("{}{{{},", family.name, sums.labels);
        add(sums, &mut Lines { text, head });
    }
    if text.len() == begun {
        text.truncate(before);
    }
    Ok(())
}

/// `a="b",c="d"`
fn rendered(labels: &[&Label], values: &[&str]) -> Result<String> {
    ensure!(
        labels.len() == values.len(),
        "{labels:?} are not {values:?}"
    );
    let pairs = labels.iter().zip(values);
    let pairs: Vec<String> = pairs
        .map(|(label, value)| format!("{}=\"{}\"", label.name, escape(value)))
        .collect();
    Ok(pairs.join(","))
}

#[cfg(test)]
mod tests;
