//! The counters of the last five minutes, for pages that have just been opened.

use crate::state::Count;
use serde::Serialize;
use std::collections::{BTreeMap, VecDeque};

/// Milliseconds between two readings.
pub(super) const PERIOD: u64 = 10_000;

/// How far back the first reading is that is kept.
const WINDOW: u64 = 300_000;

/// Readings, the oldest first. As JSON it is the event `past` of `/events`.
#[derive(Debug, Default, Serialize)]
#[serde(transparent)]
pub(super) struct Past(VecDeque<Moment>);

#[derive(Debug, Serialize)]
struct Moment {
    /// Milliseconds since 1970.
    taken: u64,
    counts: Vec<Sum>,
}

/// Packets of all interfaces that ended alike.
#[derive(Debug, Serialize)]
struct Sum {
    outcome: &'static str,
    reason: &'static str,
    /// Decimal digits, as in a snapshot.
    packets: String,
}

impl Past {
    /// Whether the last reading is long enough ago. After a step of the clock it is, too.
    pub(super) fn is_due(&self, now: u64) -> bool {
        let last = self.0.back().map(|moment| moment.taken);
        last.is_none_or(|last| !(last..last + PERIOD).contains(&now))
    }

    /// Keeps a reading, and forgets those that are too old.
    pub(super) fn note(&mut self, now: u64, counts: &[Count]) {
        let mut sums = BTreeMap::new();
        for count in counts {
            *sums.entry((count.outcome, count.reason)).or_insert(0) += count.packets;
        }
        let sums = sums.into_iter();
        let counts = sums.map(|((outcome, reason), packets)| Sum {
            outcome,
            reason,
            packets: packets.to_string(),
        });
        self.0.push_back(Moment {
            taken: now,
            counts: counts.collect(),
        });
        let in_window =
            |moment: &Moment| (now.saturating_sub(WINDOW)..=now).contains(&moment.taken);
        self.0.retain(in_window);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn count(interface: &str, reason: &'static str, packets: u64) -> Count {
        Count {
            interface: interface.to_owned(),
            direction: "inbound",
            outcome: "dropped",
            reason,
            why: "",
            packets,
            bytes: 0,
        }
    }

    #[test]
    fn five_minutes_are_kept() {
        let mut past = Past::default();
        for second in 0..1000 {
            let now = 1_000_000 + second * 1000;
            if past.is_due(now) {
                past.note(now, &[count("a", "arp", second), count("b", "arp", 1)]);
            }
        }
        let taken: Vec<u64> = past.0.iter().map(|moment| moment.taken).collect();
        assert_eq!(taken.len(), 31);
        assert_eq!((taken[0], taken[30]), (1_690_000, 1_990_000));
        let json = serde_json::to_value(&past).unwrap();
        assert_eq!(json[30]["counts"][0]["packets"], "991");
        assert_eq!(json[30]["counts"].as_array().unwrap().len(), 1);
    }

    #[test]
    fn a_clock_that_is_set_back_begins_anew() {
        let mut past = Past::default();
        past.note(1_000_000, &[]);
        assert!(!past.is_due(1_009_999));
        assert!(past.is_due(500_000));
        past.note(500_000, &[]);
        assert_eq!(past.0.len(), 1);
    }
}
