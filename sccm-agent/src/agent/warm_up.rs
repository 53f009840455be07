//! The end of a warm-up. The programs find it by themselves; somebody must say so.

use crate::kernel::{Clock, SharedMaps};
use crate::units;
use anyhow::Result;
use std::convert::Infallible;
use std::future::pending;
use std::time::Duration;
use tokio::time::sleep;

/// From a question that failed to the next.
const AGAIN: Duration = Duration::from_secs(5);

/// Says when the warm-up ends, if there is one.
pub(super) async fn tell_end(maps: &SharedMaps) -> Infallible {
    let left = || -> Result<u64> { Ok(maps.lock().info()?.warm_up_left(Clock::read()?.wall())) };
    let left = async || loop {
        match left() {
            Ok(left) => return left,
            Err(error) => {
                tracing::warn!("reading from the kernel when the warm-up ends: {error:#}")
            }
        }
        sleep(AGAIN).await;
    };
    let mut seconds = left().await;
    if seconds == 0 {
        return pending().await;
    }
    tracing::warn!(
        "warming up: nothing is dropped for {}",
        units::describe(seconds)
    );
    while seconds > 0 {
        sleep(Duration::from_secs(seconds)).await;
        seconds = left().await;
    }
    tracing::info!("the warm-up has ended: enforcing");
    pending().await
}
