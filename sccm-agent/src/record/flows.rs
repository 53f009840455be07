//! How full the table of flows was when it was counted last.

use super::lock;
use crate::kernel::FlowCount;
use std::sync::Mutex;

/// The last count; none before the first.
#[derive(Debug, Default)]
pub struct Flows(Mutex<Option<FlowCount>>);

impl Flows {
    pub fn note(&self, count: FlowCount) {
        let mut last = lock(&self.0);
        let before = last.map_or(0, |last| last.evicted);
        *last = Some(FlowCount {
            // Flows that came and went during a walk may hide some.
            evicted: count.evicted.max(before),
            ..count
        });
    }

    #[must_use]
    pub fn last(&self) -> Option<FlowCount> {
        *lock(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn evictions_never_fall() {
        let flows = Flows::default();
        for (evicted, told) in [(5, 5), (3, 5), (9, 9)] {
            flows.note(FlowCount { alive: 1, evicted });
            assert_eq!(flows.last().unwrap().evicted, told);
        }
    }
}
