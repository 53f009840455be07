//! The clock of the kernel program.
//!
//! The program counts ticks (`jiffies`): reading them is one load, and reading any other clock
//! a call. How long a tick is depends on how the kernel was built (`CONFIG_HZ`). The kernel
//! tells it as the resolution of its coarse clocks (`LOW_RES_NSEC`, include/linux/time.h), to
//! every process.

use anyhow::{Context as _, Result};
use nix::time::ClockId;
use sccm_common::abi::TICK_FRACTION_BITS;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

const NANOSECONDS: u64 = 1_000_000_000;

/// The kernel starts to count this many seconds below 2^32 ticks (`INITIAL_JIFFIES`,
/// include/linux/jiffies.h).
const BEFORE_WRAP: u64 = 300;

/// The program's clock and the wall clock, read at the same moment.
#[derive(Debug, Clone, Copy)]
pub struct Clock {
    program: u32,
    /// Seconds since 1970.
    wall: u64,
}

impl Clock {
    /// Reads both clocks.
    ///
    /// # Errors
    /// The kernel does not tell how long a tick is, or since when it runs.
    pub fn read() -> Result<Self> {
        let (nanoseconds, tick) = (tick_nanoseconds()?, tick()?);
        let uptime = ClockId::CLOCK_MONOTONIC
            .now()
            .context("asking for the time since boot (CLOCK_MONOTONIC)")?;
        let seconds = u64::try_from(uptime.tv_sec())?;
        let uptime = seconds * NANOSECONDS + u64::try_from(uptime.tv_nsec())?;
        let wall = SystemTime::now().duration_since(UNIX_EPOCH);
        Ok(Self {
            program: program_seconds(nanoseconds, uptime, tick),
            wall: wall.unwrap_or_default().as_secs(),
        })
    }

    /// The wall clock, in seconds since 1970.
    #[must_use]
    pub const fn wall(&self) -> u64 {
        self.wall
    }

    /// The program's clock, in seconds.
    #[must_use]
    pub const fn program(&self) -> u32 {
        self.program
    }

    /// How many seconds ago the program's clock said `at`.
    #[must_use]
    pub const fn age(&self, at: u32) -> u64 {
        self.program.saturating_sub(at) as u64
    }

    /// How many seconds ago the wall clock said `unix`.
    #[must_use]
    pub const fn since(&self, unix: u64) -> u64 {
        self.wall.saturating_sub(unix)
    }

    /// The program's time `at`, in seconds since 1970.
    #[must_use]
    pub const fn unix(&self, at: u32) -> u64 {
        self.wall.saturating_sub(self.age(at))
    }
}

/// The time since the machine booted, that in suspend included. Nobody can set this clock.
#[must_use]
pub fn since_boot() -> Duration {
    // It has been there since Linux 2.6.39, and is never refused.
    ClockId::CLOCK_BOOTTIME
        .now()
        .map_or(Duration::ZERO, Duration::from)
}

/// In seconds since 1970, by the wall clock as it is now, what is so many seconds after the boot.
pub(super) fn dated(seconds_after_boot: u64) -> u64 {
    let wall = SystemTime::now().duration_since(UNIX_EPOCH);
    let then = wall.unwrap_or_default() + Duration::from_secs(seconds_after_boot);
    // The nearest, so that it is the same whenever it is asked for.
    (then.saturating_sub(since_boot()) + Duration::from_millis(500)).as_secs()
}

/// The program's clock after `uptime` nanoseconds. The first tick comes within a second.
fn program_seconds(tick_nanoseconds: u64, uptime: u64, tick: u64) -> u32 {
    let rate = (NANOSECONDS + tick_nanoseconds / 2) / tick_nanoseconds;
    let ticks = (1 << 32) - BEFORE_WRAP * rate + uptime / tick_nanoseconds;
    ((ticks * tick) >> TICK_FRACTION_BITS) as u32
}

/// The length of a tick, as [`abi::TICK_GLOBAL`](sccm_common::abi::TICK_GLOBAL) takes it.
///
/// # Errors
/// The kernel says nothing plausible.
pub(super) fn tick() -> Result<u64> {
    let nanoseconds = tick_nanoseconds()?;
    fixed_point(nanoseconds).with_context(|| {
        format!("a tick of {nanoseconds} ns: is CLOCK_MONOTONIC_COARSE emulated here?")
    })
}

fn tick_nanoseconds() -> Result<u64> {
    let length = ClockId::CLOCK_MONOTONIC_COARSE
        .res()
        .context("asking for the length of a tick (CLOCK_MONOTONIC_COARSE)")?;
    Ok(u64::try_from(length.tv_nsec())?)
}

/// From 20 to 10,000 ticks in a second; kernels are built for 24 (MIPS) to 1200 (Alpha).
fn fixed_point(nanoseconds: u64) -> Option<u64> {
    let plausible = NANOSECONDS / 10_000..=NANOSECONDS / 20;
    let rounded = ((nanoseconds << TICK_FRACTION_BITS) + NANOSECONDS / 2) / NANOSECONDS;
    plausible.contains(&nanoseconds).then_some(rounded)
}

/// Whether somebody keeps the machine's clock, as the kernel says (adjtimex(2), `STA_UNSYNC`).
#[must_use]
pub fn is_synchronized() -> bool {
    // SAFETY: all zeros are a valid `timex`, which asks and sets nothing.
    let mut clock: libc::timex = unsafe { std::mem::zeroed() };
    // SAFETY: the structure outlives the call.
    let state = unsafe { libc::adjtimex(&raw mut clock) };
    state >= 0 && clock.status & libc::STA_UNSYNC == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Linux rounds the length of a tick to whole nanoseconds (`TICK_NSEC`).
    #[test]
    fn a_day_is_a_day_at_every_rate() {
        for rate in [24, 100, 128, 250, 256, 300, 1000, 1024, 1200] {
            let tick = fixed_point((NANOSECONDS + rate / 2) / rate).unwrap();
            let day = (86_400 * rate * tick) >> TICK_FRACTION_BITS;
            assert!(day.abs_diff(86_400) <= 3, "{rate} Hz: {day} s");
            let age = (1_u64 << 32) * rate;
            assert!(age.checked_mul(tick).is_some(), "{rate} Hz overflows");
        }
    }

    #[test]
    fn an_implausible_tick_is_refused() {
        for nanoseconds in [0, 1, NANOSECONDS] {
            assert_eq!(fixed_point(nanoseconds), None);
        }
    }

    #[test]
    fn times_are_translated_to_the_wall_clock() {
        let clock = Clock {
            program: 1000,
            wall: 1_700_000_000,
        };
        assert_eq!((clock.age(940), clock.unix(940)), (60, 1_699_999_940));
        assert_eq!(clock.age(1001), 0, "a tick ahead");
    }

    #[test]
    fn the_count_begins_five_minutes_before_it_wraps() {
        for rate in [100, 250, 1000] {
            let (length, tick) = (NANOSECONDS / rate, fixed_point(NANOSECONDS / rate).unwrap());
            let at = |seconds| program_seconds(length, seconds * NANOSECONDS, tick);
            let wrap = ((1_u64 << 32) * tick) >> TICK_FRACTION_BITS;
            assert_eq!(u64::from(at(300)), wrap, "{rate} Hz");
            let day = at(86_700) - at(300);
            assert!(day.abs_diff(86_400) <= 3, "{rate} Hz: {day} s");
        }
    }

    #[test]
    fn this_kernel_says_how_long_a_tick_is() {
        assert!(tick().unwrap() > 0);
    }
}
