//! The ring buffer of newly refused flows.

use super::{Lock, PinDir, maps};
use anyhow::{Context as _, Result};
use aya::maps::{MapData, RingBuf};
use sccm_common::abi::map;
use sccm_common::blocked::Event;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// Reads a pin directory's events.
pub struct Events(AsyncFd<RingBuf<MapData>>);

impl Events {
    /// Opens the pin. Must be called within a tokio runtime. A ring buffer can have one reader,
    /// because all readers share one position; the lock proves that this is the only one.
    pub fn open(pins: &PinDir, _lock: &Lock) -> Result<Self> {
        let ring = maps::open(pins, map::EVENTS)?;
        // SAFETY: the ring owns its descriptor, which stays the same and open for as long
        // as the ring lives.
        let watched = unsafe { AsyncFd::register_with_interest(ring, Interest::READABLE) };
        Ok(Self(watched.context("watching the kernel's events")?))
    }

    /// Waits for events, and takes at most so many. Loses none if the future is dropped.
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

/// Reads a record; `None` if it has another size. Our program writes no other.
fn event(bytes: &[u8]) -> Option<Event> {
    if bytes.len() != size_of::<Event>() {
        return None;
    }
    // SAFETY: the bytes are as many as the event's, and any bytes are an event.
    Some(unsafe { bytes.as_ptr().cast::<Event>().read_unaligned() })
}
