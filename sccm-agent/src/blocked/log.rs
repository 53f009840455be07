//! One log line for each newly blocked flow, and never more than a person can follow.
//!
//! The kernel tells of a flow once, and of few in a second; still a scan of every port
//! would fill a disk. What is left out is counted and said, and `sccm-agent blocked`
//! has it. Events are taken from the kernel also when nobody wants to read of them, so
//! that what is lost means just that.

use super::{Names, Refused};
use crate::kernel::{Clock, Events};
use crate::metrics::Source;
use crate::state::lock;
use anyhow::Result;
use sccm_common::blocked::Event;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, sleep_until};

/// Lines in a [`WINDOW`].
const LINES: u32 = 20;

const WINDOW: Duration = Duration::from_secs(1);

/// Events that are taken at once.
const BATCH: usize = 64;

/// Seconds after which an event is news of the past: the agent was not there.
const LATE: u64 = 3;

/// How many lines a window still has, and what had to be left out.
#[derive(Debug, Default, PartialEq, Eq)]
struct Window {
    lines: u32,
    left_out: u64,
}

impl Window {
    fn admits(&mut self) -> bool {
        if self.lines == LINES {
            self.left_out += 1;
            return false;
        }
        self.lines += 1;
        true
    }
}

/// Takes events until the process ends; `wanted`: and logs them.
///
/// # Errors
/// The kernel cannot be read.
pub async fn follow(mut events: Events, source: Arc<Source>, wanted: bool) -> Result<()> {
    let mut window = Window::default();
    let mut end = Instant::now();
    loop {
        tokio::select! {
            taken = events.take(BATCH) => {
                if window == Window::default() {
                    end = Instant::now() + WINDOW;
                }
                let taken = taken?;
                if wanted {
                    tell(&source, &taken, &mut window)?;
                }
            }
            () = sleep_until(end), if window != Window::default() => {
                let left_out = std::mem::take(&mut window).left_out;
                if left_out > 0 {
                    tracing::info!(
                        target: "blocked",
                        left_out,
                        "more flows were blocked: `sccm-agent blocked` lists them"
                    );
                }
            }
        }
        // A flood of events must not keep others from this thread.
        tokio::task::yield_now().await;
    }
}

fn tell(source: &Source, events: &[Event], window: &mut Window) -> Result<()> {
    let admitted: Vec<&Event> = events.iter().filter(|_| window.admits()).collect();
    if admitted.is_empty() {
        return Ok(());
    }
    let names = Names::read(&lock(&source.maps))?;
    let clock = Clock::read()?;
    for event in admitted {
        let seconds_ago = clock.age(event.at);
        line(
            &names.of(&event.key),
            (seconds_ago > LATE).then_some(seconds_ago),
        );
    }
    Ok(())
}

fn line(refused: &Refused, seconds_ago: Option<u64>) {
    tracing::info!(
        target: "blocked",
        source = %refused.source,
        destination = %refused.destination,
        protocol = refused.protocol,
        port = refused.port,
        icmp_type = refused.icmp_type,
        service = refused.service,
        reason = refused.reason,
        interface = refused.interface,
        direction = refused.direction,
        seconds_ago,
        "{}",
        if refused.observed { "would be blocked" } else { "blocked" }
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_admits_so_many_and_counts_the_others() {
        let mut window = Window::default();
        let admitted = (0..100).filter(|_| window.admits()).count();
        assert_eq!(admitted, 20);
        assert_eq!(window.left_out, 80);
    }
}
