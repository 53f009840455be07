//! Counts the flows now and then.
//!
//! A walk through the whole table is no part of a scrape: a thread of its own does it, and takes
//! at most a hundredth of one processor.

use crate::kernel::FlowTable;
use crate::record::{Part, Record};
use anyhow::Error;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::task::spawn_blocking;
use tokio::time::timeout;

/// From one count to the next, at least.
const PAUSE: Duration = Duration::from_secs(15);

/// How long a count may take.
const PATIENCE: Duration = Duration::from_secs(120);

/// Counts until the process ends.
pub async fn follow(flows: FlowTable, record: Arc<Record>) -> Infallible {
    let flows = Arc::new(flows);
    loop {
        let (begun, flows) = (Instant::now(), Arc::clone(&flows));
        // Where no thread can be made, the count waits for the next one that can.
        let counted = timeout(PATIENCE, spawn_blocking(move || flows.count())).await;
        let counted = counted.map_err(Error::from);
        match counted
            .and_then(|counted| counted.map_err(Error::from))
            .flatten()
        {
            Ok(count) => record.flows.note(count),
            Err(error) => {
                record.errors.count(Part::FlowCount);
                tracing::warn!("counting flows: {error:#}");
            }
        }
        tokio::time::sleep(PAUSE.max(100 * begun.elapsed())).await;
    }
}
