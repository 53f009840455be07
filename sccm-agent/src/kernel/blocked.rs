//! The tables of refused flows, of all CPUs together.
//!
//! The program may give an entry to another flow while it is read. The kernel copies an entry
//! word by word, so that one reading may mix the two flows.

use super::Maps;
use anyhow::Result;
use sccm_common::Reason;
use sccm_common::blocked::{BlockedFlow, BlockedKey};

/// How many packets and events of a reason were not noted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unnoted {
    /// Why the packets were refused.
    pub reason: Reason,
    /// Packets of flows that got no token, since the maps were made.
    pub suppressed: u64,
    /// Events that did not fit into the ring buffer, since then.
    pub lost: u64,
}

impl Maps {
    /// Every refused flow once, in the order of their keys; times by the program's clock.
    pub fn blocked(&self) -> Result<Vec<BlockedFlow>> {
        let mut parts = Vec::new();
        self.blocked.each(|_, sets| {
            let taken = sets
                .iter()
                .flatten()
                .filter(|flow| flow.key != BlockedKey::NONE);
            parts.extend(taken.copied());
        })?;
        Ok(merged(parts))
    }

    /// What was not noted, for each reason that can refuse.
    pub fn unnoted(&self) -> Result<Vec<Unnoted>> {
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
