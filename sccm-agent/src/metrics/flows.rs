//! Counts the flows now and then.
//!
//! A walk through the whole table is no part of a scrape: a thread of its own does it, and takes
//! at most a hundredth of one processor.

use crate::kernel::FlowTable;
use crate::record::Record;
use anyhow::Result;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::task::spawn_blocking;

/// From one count to the next, at least.
const PAUSE: Duration = Duration::from_secs(15);

/// Counts until the process ends.
///
/// # Errors
/// The thread of a count panicked.
pub async fn follow(flows: FlowTable, record: Arc<Record>) -> Result<()> {
    let flows = Arc::new(flows);
    loop {
        let (begun, flows) = (Instant::now(), Arc::clone(&flows));
        match spawn_blocking(move || flows.count()).await? {
            Ok(count) => record.flows.note(count),
            Err(error) => tracing::warn!("counting flows: {error:#}"),
        }
        tokio::time::sleep(PAUSE.max(100 * begun.elapsed())).await;
    }
}
