//! The tables of refused flows, and of those that the shadow judges otherwise, of all CPUs together.
//!
//! The program may give an entry to another flow while it is read. The kernel copies an entry
//! word by word, so that one reading may mix the two flows.

use super::batch::Table;
use super::{Maps, PinDir};
use anyhow::Result;
use sccm_common::Reason;
use sccm_common::abi::map::{Map, PerCpuArray};
use sccm_common::blocked::{BlockedFlow, BlockedKey, Bucket, Set};

/// How many packets and events of a reason were not noted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unnoted {
    /// Why the packets were refused.
    pub reason: Reason,
    /// Packets of flows that got no token, since the maps were made; of the shadow's, since it began.
    pub suppressed: u64,
    /// Events that did not fit into the ring buffer, since then.
    pub lost: u64,
}

/// One of the two tables, with the buckets of its reasons.
pub(super) struct Notes {
    sets: Table<u32, Set>,
    buckets: Table<u32, Bucket>,
}

impl Maps {
    /// Every refused flow once, in the order of their keys; times by the program's clock.
    pub fn blocked(&self) -> Result<Vec<BlockedFlow>> {
        self.blocked.flows()
    }

    /// What was not noted, for each reason that can refuse.
    pub fn unnoted(&self) -> Result<Vec<Unnoted>> {
        self.blocked.unnoted()
    }

    /// As [`Maps::blocked`]: every flow that the shadow judges otherwise.
    pub fn shadow_flows(&self) -> Result<Vec<BlockedFlow>> {
        self.shadow_notes.flows()
    }

    /// As [`Maps::unnoted`], of those flows.
    pub fn shadow_unnoted(&self) -> Result<Vec<Unnoted>> {
        self.shadow_notes.unnoted()
    }
}

impl Notes {
    pub(super) fn open(
        pins: &PinDir,
        sets: Map<PerCpuArray<Set>>,
        buckets: Map<PerCpuArray<Bucket>>,
    ) -> Result<Self> {
        Ok(Self {
            sets: Table::open(pins, sets)?,
            buckets: Table::open(pins, buckets)?,
        })
    }

    fn flows(&self) -> Result<Vec<BlockedFlow>> {
        let mut parts = Vec::new();
        self.sets.each(|_, sets| {
            let taken = sets
                .iter()
                .flatten()
                .filter(|flow| flow.key != BlockedKey::NONE);
            parts.extend(taken.copied());
        })?;
        Ok(merged(parts))
    }

    fn unnoted(&self) -> Result<Vec<Unnoted>> {
        let refuses = |number: u32| {
            let reason = u8::try_from(number).ok().and_then(Reason::from_number);
            reason.filter(|reason| !reason.passes())
        };
        let mut unnoted = Vec::new();
        self.buckets.each(|number, buckets| {
            unnoted.extend(refuses(*number).map(|reason| Unnoted {
                reason,
                suppressed: buckets.iter().map(|bucket| bucket.suppressed).sum(),
                lost: buckets.iter().map(|bucket| bucket.lost).sum(),
            }));
        })?;
        Ok(unnoted)
    }
}

/// Adds up the entries that several CPUs have of one flow.
fn merged(mut parts: Vec<BlockedFlow>) -> Vec<BlockedFlow> {
    parts.sort_unstable_by_key(|part| part.key);
    parts.dedup_by(|part, flow| {
        let is_same = part.key == flow.key;
        if is_same {
            flow.packets += part.packets;
            flow.bytes += part.bytes;
            flow.first = flow.first.min(part.first);
            flow.last = flow.last.max(part.last);
        }
        is_same
    });
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_parts_of_a_flow_become_one() {
        let part = |port, packets, first, last| BlockedFlow {
            key: BlockedKey {
                port,
                reason: Reason::NotAllowed as u8,
                ..BlockedKey::NONE
            },
            packets,
            bytes: packets * 60,
            first,
            last,
        };
        let parts = vec![
            part(445, 2, 20, 30),
            part(22, 1, 5, 5),
            part(445, 3, 10, 25),
        ];
        assert_eq!(merged(parts), [part(22, 1, 5, 5), part(445, 5, 10, 30)]);
    }
}
