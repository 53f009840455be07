//! The ring buffer of newly refused flows.

use super::{Lock, PinDir, maps};
use anyhow::{Context as _, Result};
use aya::maps::{MapData, RingBuf};
use sccm_common::abi::map;
use sccm_common::blocked::Event;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// The one reader of a pin directory's events.
pub struct Events(AsyncFd<RingBuf<MapData>>);

impl Events {
    /// Opens the pin, within a tokio runtime. Two readers would spoil each other's
    /// positions: the lock proves that there is no other.
    ///
    /// # Errors
    /// The pin is missing or of another shape.
    pub fn open(pins: &PinDir, _lock: &Lock) -> Result<Self> {
        let ring = maps::open(pins, map::EVENTS)?;
        // SAFETY: the ring owns its descriptor, which stays the same and open for as long
        // as the ring lives.
        let watched = unsafe { AsyncFd::register_with_interest(ring, Interest::READABLE) };
        Ok(Self(watched.context("watching the kernel's events")?))
    }

    /// Waits for events, and takes at most so many. Those that are taken stay taken also
    /// when the wait is given up.
    ///
    /// # Errors
    /// The runtime ends.
    pub async fn take(&mut self, most: usize) -> Result<Vec<Event>> {
        loop {
            let mut guard = self.0.readable_mut().await?;
            let ring = guard.get_inner_mut();
            let mut events = Vec::new();
            while events.len() < most
                && let Some(item) = ring.next()
            {
                events.extend(event(&item));
            }
            if events.len() < most {
                guard.clear_ready();
            }
            if !events.is_empty() {
                return Ok(events);
            }
        }
    }
}

/// A record of the ring; `None` for one of another size, which this program never writes.
fn event(bytes: &[u8]) -> Option<Event> {
    if bytes.len() != size_of::<Event>() {
        return None;
    }
    // SAFETY: the bytes are as many as the event's, and any bytes are an event.
    Some(unsafe { bytes.as_ptr().cast::<Event>().read_unaligned() })
}
