//! How full the table of flows is, as of a moment ago.
//!
//! A walk through the whole table is no part of a scrape: it is done aside, on a thread of its
//! own, and takes at most a hundredth of one processor.

use super::Source;
use super::reference as table;
use super::series::Scrape;
use crate::kernel::{FlowCount, FlowTable};
use anyhow::Result;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::task::spawn_blocking;

/// From one count to the next, at least.
const PAUSE: Duration = Duration::from_secs(15);

/// The last count; none before the first.
#[derive(Debug, Default)]
pub struct Flows(Mutex<Option<FlowCount>>);

impl Flows {
    /// Notes a count.
    fn note(&self, count: FlowCount) {
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let before = last.map_or(0, |last| last.evicted);
        *last = Some(FlowCount {
            // Flows that came and went during a walk may hide some.
            evicted: count.evicted.max(before),
            ..count
        });
    }

    pub(super) fn tell_in(&self, scrape: &mut Scrape) -> Result<()> {
        let last = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(FlowCount { alive, evicted }) = last else {
            return Ok(());
        };
        scrape.single(&table::FLOW_ENTRIES, alive as f64)?;
        scrape.single(&table::FLOW_EVICTIONS, evicted as f64)
    }
}

/// Counts now and then, until the process ends.
///
/// # Errors
/// The thread of a count panicked.
pub async fn follow(flows: FlowTable, source: Arc<Source>) -> Result<()> {
    let flows = Arc::new(flows);
    loop {
        let (begun, flows) = (Instant::now(), Arc::clone(&flows));
        match spawn_blocking(move || flows.count()).await? {
            Ok(count) => source.flows.note(count),
            Err(error) => tracing::warn!("counting flows: {error:#}"),
        }
        tokio::time::sleep(PAUSE.max(100 * begun.elapsed())).await;
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
            assert_eq!(flows.0.lock().unwrap().unwrap().evicted, told);
        }
    }
}
