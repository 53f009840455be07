//! One log line for each newly blocked flow, and never more than a person can follow.
//!
//! The kernel tells of a flow once, and of few in a second; still a scan of every port
//! would fill a disk. What is left out is counted and said, and `sccm-agent blocked`
//! has it. Events are taken from the kernel also when nobody wants to read of them, so
//! that what is lost means just that.

use super::{Explainer, Names, Refused};
use crate::kernel::{Clock, Events, SharedMaps};
use anyhow::{Error, Result};
use sccm_common::blocked::{BlockedKey, Event};
use std::collections::HashMap;
use std::convert::Infallible;
use std::time::Duration;
use tokio::time::{Instant, sleep, sleep_until};

/// Lines in a [`WINDOW`].
const LINES: u32 = 20;

const WINDOW: Duration = Duration::from_secs(1);

/// How often it is tried to log some events, and the pause between two tries.
const TRIES: u32 = 3;
const PAUSE: Duration = Duration::from_millis(100);

/// Events that are taken at once.
const BATCH: usize = 64;

/// Seconds after which an event is news of the past: the agent was not there.
const LATE: u64 = 3;

/// Seconds for which a flow that was told is not told again.
const AGAIN: u32 = 600;

/// Flows that are remembered for that.
const REMEMBERED: usize = 8192;

/// When flows were logged last. Every CPU has a table of its own, and tells of a flow that
/// is new to it.
#[derive(Debug, Default)]
struct Told(HashMap<BlockedKey, u32>);

impl Told {
    /// Whether the flow is news, and no more from now on.
    fn is_new(&mut self, event: &Event) -> bool {
        let is_fresh = |at: u32| event.at.abs_diff(at) < AGAIN;
        if self.0.get(&event.key).is_some_and(|at| is_fresh(*at)) {
            return false;
        }
        if self.0.len() == REMEMBERED {
            self.0.retain(|_, at| is_fresh(*at));
        }
        if self.0.len() == REMEMBERED {
            self.0.clear();
        }
        self.0.insert(event.key, event.at);
        true
    }
}

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

/// Takes events until the process ends; `wanted`: and logs them. `inform` tells the explainer of
/// the running policy, `failed` is told of every error.
pub async fn follow(
    mut events: Events,
    maps: &SharedMaps,
    wanted: bool,
    inform: impl AsyncFn(&mut Explainer),
    failed: impl Fn(&Error),
) -> Infallible {
    let (mut window, mut told) = (Window::default(), Told::default());
    let mut explainer = Explainer::default();
    let mut end = Instant::now();
    loop {
        tokio::select! {
            taken = events.take(BATCH) => {
                if window == Window::default() {
                    end = Instant::now() + WINDOW;
                }
                let mut taken = match taken {
                    Ok(taken) => taken,
                    Err(error) => {
                        failed(&error);
                        sleep(PAUSE).await;
                        continue;
                    }
                };
                if wanted {
                    taken.retain(|event| told.is_new(event) && window.admits());
                    inform(&mut explainer).await;
                    for _ in 0..TRIES {
                        match tell(maps, &taken, &mut explainer) {
                            Ok(()) => break,
                            Err(error) => failed(&error),
                        }
                        sleep(PAUSE).await;
                    }
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

/// Logs all of them, or none.
fn tell(maps: &SharedMaps, events: &[Event], explainer: &mut Explainer) -> Result<()> {
    if events.is_empty() {
        return Ok(());
    }
    let names = {
        let maps = maps.lock();
        explainer.set_policy(&maps.info()?);
        Names::read(&maps, explainer.labels())?
    };
    let clock = Clock::read()?;
    for event in events {
        let seconds_ago = clock.age(event.at);
        let advice = explainer.advise(&event.key, &names);
        let lines = advice.lines();
        line(
            &names.of(&event.key),
            (seconds_ago > LATE).then_some(seconds_ago),
            lines.first().map(String::as_str),
        );
    }
    Ok(())
}

fn line(refused: &Refused, seconds_ago: Option<u64>, would_allow: Option<&str>) {
    tracing::info!(
        target: "blocked",
        source = %refused.source,
        destination = %refused.destination,
        source_name = refused.source_name,
        destination_name = refused.destination_name,
        protocol = refused.protocol,
        port = refused.port,
        icmp_type = refused.icmp_type,
        ethertype = refused.ethertype,
        snap = refused.snap,
        llc = refused.llc,
        service = refused.service,
        reason = refused.reason,
        interface = refused.interface,
        direction = refused.direction,
        seconds_ago,
        would_allow,
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
    #[test]
    fn a_flow_is_told_again_only_after_a_while() {
        let event = |port, at| Event {
            key: BlockedKey {
                port,
                ..BlockedKey::NONE
            },
            length: 60,
            at,
        };
        let mut told = Told::default();
        assert!(told.is_new(&event(445, 1000)));
        // From another CPU, whose event may be the older one.
        assert!(!told.is_new(&event(445, 999)));
        assert!(!told.is_new(&event(445, 1599)));
        assert!(told.is_new(&event(446, 1000)));
        assert!(told.is_new(&event(445, 1600)));
        assert!(!told.is_new(&event(445, 1601)));
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let mut told = Told::default();
        for at in 0..3 * REMEMBERED as u32 {
            let key = BlockedKey {
                source: sccm_common::Address::v4(at.to_be_bytes()),
                ..BlockedKey::NONE
            };
            assert!(told.is_new(&Event {
                key,
                length: 60,
                at
            }));
            assert!(told.0.len() <= REMEMBERED);
        }
    }
}
