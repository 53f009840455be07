//! `sccm-agent capture`: the refused packets themselves, in a file that Wireshark opens.
//!
//! The kernel copies packets only while somebody has ordered them, and the order runs out
//! by itself ([`crate::kernel::Capture`]). What comes is written as pcapng, with the reason
//! in each packet's comment, until one of the bounds is reached; whatever ends it, the file
//! holds whole blocks only.

mod file;
mod output;
pub mod read;

pub use file::Writer;
pub use output::{Output, Target};

use crate::blocked::Names;
use crate::changed::Changed;
use crate::kernel::{Capture, Dropped, Maps, PinDir};
use crate::state;
use anyhow::{Context as _, Result, ensure};
use nix::time::ClockId;
use sccm_common::Reason;
use sccm_common::capture::{ANY_REASON, ANY_SLOT, Order};
use std::sync::Arc;
use std::time::Duration;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::{Instant, interval, sleep_until};

/// Packets that are taken at once.
const BATCH: usize = 256;

/// How often the order is renewed, and names are read that may have changed.
const RENEWAL: Duration = Duration::from_secs(1);

/// What is wanted.
#[derive(Debug, Clone)]
pub struct Wish {
    /// Bytes of each packet.
    pub snaplen: u32,
    /// Only packets refused for this reason.
    pub reason: Option<Reason>,
    /// Only packets of this interface.
    pub interface: Option<String>,
    /// What ends it.
    pub bounds: Bounds,
}

/// What ends a capture, whichever comes first.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    /// So many packets.
    pub count: u64,
    /// A file of so many bytes.
    pub size: u64,
    /// So much time.
    pub duration: Duration,
}

/// What a capture came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Summary {
    /// Packets that were written.
    pub captured: u64,
    /// Packets that were wanted and had no room in the kernel's ring buffer.
    pub missed: u64,
    /// Bytes of the file.
    pub bytes: u64,
    /// What ended it.
    pub end: End,
}

/// What ended a capture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// As many packets as wanted.
    Count,
    /// The next packet would not fit into the file.
    Size,
    /// The time is over.
    Duration,
    /// Somebody ended it.
    Signal,
    /// Nothing is enforced any more.
    Detached,
    /// Whoever read standard output has gone.
    ReaderGone,
}

impl End {
    /// For people.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Count => "as many as wanted",
            Self::Size => "the file is as large as wanted",
            Self::Duration => "the time is over",
            Self::Signal => "ended by a signal",
            Self::Detached => "nothing is enforced any more",
            Self::ReaderGone => "the reader has gone",
        }
    }
}

/// A capture that has begun: the kernel has its order, and the file has its head.
pub struct Session {
    kernel: Capture,
    maps: Maps,
    names: Names,
    writer: Writer,
    bounds: Bounds,
    captured: u64,
    /// Those that end it.
    signals: [Signal; 3],
}

impl Session {
    /// Begins one, within a tokio runtime.
    ///
    /// # Errors
    /// Nothing is enforced, an unknown interface, another capture, or an output that cannot be
    /// opened. [`Changed`] if the output was opened, and cannot be written to. The kernel has no
    /// order then.
    pub fn begin(pins: &PinDir, wish: &Wish, target: &Target) -> Result<Self> {
        let maps = state::open(pins)?;
        let names = Names::read(&maps, Arc::default())?;
        let order = order(wish, &names)?;
        let signals = [
            signal(SignalKind::terminate())?,
            signal(SignalKind::interrupt())?,
            signal(SignalKind::hangup())?,
        ];
        // The file is made when all else is known to be well.
        let kernel = Capture::begin(pins, order)?;
        Ok(Self {
            writer: Writer::begin(target.open()?, wish.snaplen).context(Changed)?,
            kernel,
            maps,
            names,
            bounds: wish.bounds,
            captured: 0,
            signals,
        })
    }

    /// Captures until a bound is reached or a signal comes.
    ///
    /// # Errors
    /// The output fails, or the kernel refuses something.
    pub async fn run(mut self) -> Result<Summary> {
        let end = self.until_the_end().await?;
        self.kernel.end()?;
        let end = self.write_rest(end)?;
        Ok(Summary {
            captured: self.captured,
            missed: self.kernel.lost()?,
            bytes: self.writer.finish()?,
            end,
        })
    }

    async fn until_the_end(&mut self) -> Result<End> {
        // At most a day, which no clock minds.
        let over = Instant::now() + self.bounds.duration;
        let mut renewal = interval(RENEWAL);
        loop {
            let [terminate, interrupt, hangup] = &mut self.signals;
            let end = tokio::select! {
                dropped = self.kernel.take(BATCH) => {
                    let dropped = dropped?;
                    self.write(&dropped)?
                }
                _ = renewal.tick() => {
                    self.names = Names::read(&self.maps, Arc::default())?;
                    (!self.kernel.renew()?).then_some(End::Detached)
                }
                () = sleep_until(over) => Some(End::Duration),
                _ = terminate.recv() => Some(End::Signal),
                _ = interrupt.recv() => Some(End::Signal),
                _ = hangup.recv() => Some(End::Signal),
            };
            if let Some(end) = end {
                return Ok(end);
            }
        }
    }

    /// Writes packets until a bound is reached.
    fn write(&mut self, dropped: &[Dropped]) -> Result<Option<End>> {
        let since_boot = since_1970()?;
        for one in dropped {
            if self.captured == self.bounds.count {
                return Ok(Some(End::Count));
            }
            let at = since_boot + Duration::from_nanos(one.header.at);
            if !self.writer.add(one, at, &self.names, self.bounds.size)? {
                return Ok(Some(End::Size));
            }
            self.captured += 1;
        }
        if !self.writer.flush()? {
            return Ok(Some(End::ReaderGone));
        }
        Ok((self.captured == self.bounds.count).then_some(End::Count))
    }

    /// Writes what was copied before the end, if that was none of the bounds.
    fn write_rest(&mut self, end: End) -> Result<End> {
        if matches!(end, End::Count | End::Size | End::ReaderGone) {
            return Ok(end);
        }
        loop {
            let rest = self.kernel.take_rest(BATCH);
            if rest.is_empty() {
                return Ok(end);
            }
            if let Some(bound) = self.write(&rest)? {
                return Ok(bound);
            }
        }
    }
}

fn order(wish: &Wish, names: &Names) -> Result<Order> {
    let slot = match &wish.interface {
        None => ANY_SLOT,
        Some(wanted) => {
            let mut known = names.interfaces.iter();
            let found = known.find(|(_, name)| *name == wanted);
            let names: Vec<&str> = names.interfaces.values().map(String::as_str).collect();
            ensure!(
                found.is_some(),
                "{wanted} is not enforced: there is {}",
                names.join(", ")
            );
            found.map_or(ANY_SLOT, |(slot, _)| *slot)
        }
    };
    Ok(Order {
        snaplen: wish.snaplen,
        slot,
        reason: wish.reason.map_or(ANY_REASON, |reason| reason as u32),
        ..Order::default()
    })
}

/// When `CLOCK_MONOTONIC` was 0, as far as the wall's clock knows now.
fn since_1970() -> Result<Duration> {
    let wall = Duration::from(ClockId::CLOCK_REALTIME.now()?);
    let uptime = Duration::from(ClockId::CLOCK_MONOTONIC.now()?);
    Ok(wall.saturating_sub(uptime))
}
