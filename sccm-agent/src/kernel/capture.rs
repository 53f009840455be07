//! The order for refused packets, and the ring buffer that they come through.

use super::{Clock, PinDir, maps};
use anyhow::{Context as _, Result, bail};
use aya::maps::{Array, MapData, PerCpuArray, RingBuf};
use sccm_common::abi::map;
use sccm_common::capture::{Desk, HEADER, Header, Order};
use std::fs::{File, TryLockError};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// Seconds for which an order holds: it is renewed each second, and a busy machine may be late.
const LEASE: u32 = 5;

/// A refused packet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dropped {
    /// When and where it was refused, and why.
    pub header: Header,
    /// Its first bytes.
    pub bytes: Vec<u8>,
}

/// The one capture of a pin directory. Dropping it cancels the order; if the process is killed,
/// the order runs out after [`LEASE`].
pub struct Capture {
    order: Array<MapData, Order>,
    desks: PerCpuArray<MapData, Desk>,
    ring: AsyncFd<RingBuf<MapData>>,
    wanted: Order,
    /// How many records had been lost when the capture began.
    lost_before: u64,
    /// The kernel's number of the map `ORDER`: another one is made after a `detach`.
    map: u32,
    pins: PinDir,
    _lock: File,
}

impl Capture {
    /// Orders packets. Must be called within a tokio runtime. Sets `wanted.until` and `wanted.id`.
    ///
    /// # Errors
    /// Another capture is running, or nothing is pinned.
    pub fn begin(pins: &PinDir, wanted: Order) -> Result<Self> {
        let lock = lock(pins)?;
        let ring = maps::open(pins, map::CAPTURED)?;
        // SAFETY: the ring owns its descriptor, which stays the same and open for as long
        // as the ring lives.
        let ring = unsafe { AsyncFd::register_with_interest(ring, Interest::READABLE) };
        let mut capture = Self {
            order: maps::open(pins, map::ORDER)?,
            desks: maps::open(pins, map::DESK)?,
            ring: ring.context("watching the ring buffer")?,
            wanted: Order {
                id: std::process::id(),
                ..wanted
            },
            lost_before: 0,
            map: number(pins)?,
            pins: pins.clone(),
            _lock: lock,
        };
        // Records for a capture that was killed.
        while capture.ring.get_mut().next().is_some() {}
        capture.lost_before = capture.lost_ever()?;
        capture.renew()?;
        Ok(capture)
    }

    /// Extends the order by [`LEASE`]; false if the programs that had it were detached.
    pub fn renew(&mut self) -> Result<bool> {
        if !number(&self.pins).is_ok_and(|number| number == self.map) {
            return Ok(false);
        }
        let until = Clock::read()?.program() + LEASE;
        let order = Order {
            until,
            ..self.wanted
        };
        self.order
            .set(0, order, 0)
            .context("starting the capture")?;
        Ok(true)
    }

    /// Cancels the order. Records stay in the ring buffer.
    pub fn end(&mut self) -> Result<()> {
        let nothing = Order::default();
        self.order.set(0, nothing, 0).context("ending the capture")
    }

    /// Waits for packets, and takes at most so many. Loses none if the future is dropped.
    pub async fn take(&mut self, most: usize) -> Result<Vec<Dropped>> {
        loop {
            let mut guard = self.ring.readable_mut().await?;
            let ring = guard.get_inner_mut();
            let dropped = taken(ring, self.wanted.id, most);
            if dropped.len() < most {
                guard.clear_ready();
            }
            if !dropped.is_empty() {
                return Ok(dropped);
            }
        }
    }

    /// Takes at most so many packets, without waiting.
    pub fn take_rest(&mut self, most: usize) -> Vec<Dropped> {
        taken(self.ring.get_mut(), self.wanted.id, most)
    }

    /// How many packets did not fit into the ring buffer since the capture began.
    pub fn lost(&self) -> Result<u64> {
        Ok(self.lost_ever()? - self.lost_before)
    }

    fn lost_ever(&self) -> Result<u64> {
        let mut lost = 0;
        for desks in self.desks.iter() {
            lost += desks?.iter().map(|desk| desk.lost).sum::<u64>();
        }
        Ok(lost)
    }
}

impl Drop for Capture {
    fn drop(&mut self) {
        // If the kernel refuses, the order still runs out.
        let _ = self.end();
    }
}

/// Admits one capture at a time: the ring buffer can have one reader, and there is one order.
fn lock(pins: &PinDir) -> Result<File> {
    let path = pins.maps();
    let directory = File::open(&path).with_context(|| format!("opening {}", path.display()))?;
    match directory.try_lock() {
        Ok(()) => Ok(directory),
        Err(TryLockError::WouldBlock) => bail!(
            "another `sccm-agent capture` is running on {}: wait for it, or stop it",
            pins.path().display()
        ),
        Err(TryLockError::Error(error)) => {
            Err(error).with_context(|| format!("locking {}", path.display()))
        }
    }
}

fn number(pins: &PinDir) -> Result<u32> {
    Ok(maps::info(pins, map::ORDER.name)?.id())
}

fn taken(ring: &mut RingBuf<MapData>, id: u32, most: usize) -> Vec<Dropped> {
    let mut dropped = Vec::new();
    while dropped.len() < most
        && let Some(item) = ring.next()
    {
        dropped.extend(record(&item).filter(|one| one.header.id == id));
    }
    dropped
}

/// Reads a record; `None` if it has no whole header. Our program always writes one.
fn record(bytes: &[u8]) -> Option<Dropped> {
    let (header, bytes) = bytes.split_first_chunk::<HEADER>()?;
    // SAFETY: the bytes are as many as the header's, and any bytes are a header.
    let header = unsafe { header.as_ptr().cast::<Header>().read_unaligned() };
    Some(Dropped {
        header,
        bytes: bytes.to_vec(),
    })
}
