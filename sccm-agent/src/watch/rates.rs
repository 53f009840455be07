//! From two snapshots to what happens in a second.
//!
//! Counters only grow. One that is smaller than before began anew (its interface gave its
//! slot away, or all was detached and attached again), and then all of it is new.

use super::{Series, Snapshot};
use crate::policy::ServiceName;
use sccm_common::Reason;
use sccm_common::blocked::BlockedFlow;
use sccm_common::counter::{Counter, Direction};
use std::collections::BTreeMap;
use std::ops::AddAssign;

/// How much happens in a second.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Pace {
    /// Packets.
    pub packets: f64,
    /// Bytes of them.
    pub bytes: f64,
}

/// What became of packets. What was not let through comes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Outcome {
    /// Dropped.
    Dropped,
    /// Let through by observe mode.
    WouldDrop,
    /// Let through.
    Passed,
}

impl Outcome {
    /// All, in their order.
    pub const ALL: [Self; 3] = [Self::Dropped, Self::WouldDrop, Self::Passed];

    /// Its name on the screen.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Dropped => "dropped",
            Self::WouldDrop => "would drop",
            Self::Passed => "passed",
        }
    }

    const fn of(series: &Series) -> Self {
        match (series.reason.passes(), series.observing) {
            (true, _) => Self::Passed,
            (false, true) => Self::WouldDrop,
            (false, false) => Self::Dropped,
        }
    }
}

/// How many there are, and how many more each second.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Flowing {
    /// All so far.
    pub total: Counter,
    /// In a second; 0 as long as that is unknown.
    pub pace: Pace,
}

impl AddAssign for Flowing {
    fn add_assign(&mut self, other: Self) {
        self.total.packets += other.total.packets;
        self.total.bytes += other.total.bytes;
        self.pace.packets += other.pace.packets;
        self.pace.bytes += other.pace.bytes;
    }
}

/// All packets that ended in one way, on all interfaces.
#[derive(Debug, Clone, PartialEq)]
pub struct SeriesRate {
    /// What became of them.
    pub outcome: Outcome,
    /// Which way they went.
    pub direction: Direction,
    /// Why.
    pub reason: Reason,
    /// What they wanted, where the reason speaks of a service.
    pub service: Option<ServiceName>,
    /// How many.
    pub flowing: Flowing,
}

/// A blocked flow.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct FlowRate {
    /// The entry of the table.
    pub flow: BlockedFlow,
    /// How many packets.
    pub flowing: Flowing,
}

/// What happens now.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Rates {
    /// The time that they were measured over; `None`: there is one snapshot yet.
    pub seconds: Option<f64>,
    /// By outcome, direction, reason and service.
    pub series: Vec<SeriesRate>,
    /// By interface and outcome.
    pub interfaces: BTreeMap<(String, Outcome), Flowing>,
    /// By outcome.
    pub totals: BTreeMap<Outcome, Flowing>,
    /// Every blocked flow.
    pub flows: Vec<FlowRate>,
}

impl Rates {
    /// What happened from `before` to `now`; nothing is known of that without `before`.
    #[must_use]
    pub fn between(before: Option<&Snapshot>, now: &Snapshot) -> Self {
        let seconds = before.map(|before| now.at.duration_since(before.at).as_secs_f64());
        let seconds = seconds.filter(|seconds| *seconds > 0.0);
        let pace = |before: Option<Counter>, now: Counter| match seconds {
            Some(seconds) => pace(before.unwrap_or_default(), now, seconds),
            _ => Pace::default(),
        };
        let mut rates = Self {
            seconds,
            ..Self::default()
        };
        let mut series = BTreeMap::<_, Flowing>::new();
        for (one, total) in &now.counters {
            let known = before.and_then(|before| before.counters.get(one).copied());
            let flowing = Flowing {
                total: *total,
                pace: pace(known, *total),
            };
            let outcome = Outcome::of(one);
            let key = (outcome, one.direction, one.reason, one.service.clone());
            *series.entry(key).or_default() += flowing;
            let interface = (one.interface.clone(), outcome);
            *rates.interfaces.entry(interface).or_default() += flowing;
            *rates.totals.entry(outcome).or_default() += flowing;
        }
        let series = series.into_iter();
        rates.series = series
            .map(
                |((outcome, direction, reason, service), flowing)| SeriesRate {
                    outcome,
                    direction,
                    reason,
                    service,
                    flowing,
                },
            )
            .collect();
        rates.flows = now
            .flows
            .values()
            .map(|flow| {
                let known = before.and_then(|before| before.flows.get(&flow.key));
                let total = counter(flow);
                FlowRate {
                    flow: *flow,
                    flowing: Flowing {
                        total,
                        pace: pace(known.map(counter), total),
                    },
                }
            })
            .collect();
        rates
    }
}

const fn counter(flow: &BlockedFlow) -> Counter {
    Counter {
        packets: flow.packets,
        bytes: flow.bytes,
    }
}

fn pace(before: Counter, now: Counter, seconds: f64) -> Pace {
    let new = |before: u64, now: u64| match now.checked_sub(before) {
        Some(more) => more as f64,
        None => now as f64,
    };
    Pace {
        packets: new(before.packets, now.packets) / seconds,
        bytes: new(before.bytes, now.bytes) / seconds,
    }
}
