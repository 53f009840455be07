//! The ring buffer of what is said to and by endpoint mappers.

use super::{Lock, PinDir, maps};
use anyhow::{Context as _, Result};
use aya::maps::{MapData, RingBuf};
use sccm_common::abi::map;
use sccm_common::rpc::heard::{HEADER, Header};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// One segment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Said {
    /// Who sent it to whom, and when.
    pub header: Header,
    /// Its first bytes, from the TCP header on.
    pub bytes: Vec<u8>,
}

/// Reads a pin directory's segments.
pub struct Heard(AsyncFd<RingBuf<MapData>>);

impl Heard {
    /// Opens the pin. Must be called within a tokio runtime. A ring buffer can have one reader,
    /// because all readers share one position; the lock proves that this is the only one.
    ///
    /// # Errors
    /// The pin is missing or has another shape.
    pub fn open(pins: &PinDir, _lock: &Lock) -> Result<Self> {
        let ring = maps::open(pins, map::HEARD)?;
        // SAFETY: the ring owns its descriptor, which stays the same and open for as long
        // as the ring lives.
        let watched = unsafe { AsyncFd::register_with_interest(ring, Interest::READABLE) };
        Ok(Self(watched.context("watching what mappers say")?))
    }

    /// Waits for segments, and takes at most so many. Loses none if the future is dropped.
    ///
    /// # Errors
    /// The kernel cannot be asked.
    pub async fn take(&mut self, most: usize) -> Result<Vec<Said>> {
        loop {
            let mut guard = self.0.readable_mut().await?;
            let taken = taken(guard.get_inner_mut(), most);
            if taken.len() < most {
                guard.clear_ready();
            }
            if !taken.is_empty() {
                return Ok(taken);
            }
        }
    }

    /// Takes at most so many segments, without waiting.
    pub fn take_now(&mut self, most: usize) -> Vec<Said> {
        taken(self.0.get_mut(), most)
    }
}

fn taken(ring: &mut RingBuf<MapData>, most: usize) -> Vec<Said> {
    let mut all = Vec::new();
    while all.len() < most
        && let Some(item) = ring.next()
    {
        all.extend(record(&item));
    }
    all
}

/// Reads a record; `None` if it has no whole header. Our program always writes one.
fn record(bytes: &[u8]) -> Option<Said> {
    let (header, bytes) = bytes.split_first_chunk::<HEADER>()?;
    // SAFETY: the bytes are as many as the header's, and any bytes are a header.
    let header = unsafe { header.as_ptr().cast::<Header>().read_unaligned() };
    Some(Said {
        header,
        bytes: bytes.to_vec(),
    })
}
