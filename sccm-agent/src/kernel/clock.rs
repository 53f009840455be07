//! The clock of the kernel program.
//!
//! It counts ticks (`jiffies`), because reading those is one load, where every
//! other clock is a call. How long a tick is depends on how the kernel was built
//! (`CONFIG_HZ`); the resolution of the coarse clocks is just that
//! (`LOW_RES_NSEC`, include/linux/time.h), whoever asks and wherever it runs.

use anyhow::{Context as _, Result};
use nix::time::ClockId;
use sccm_common::abi::TICK_FRACTION_BITS;

const NANOSECONDS: u64 = 1_000_000_000;

/// Seconds in a tick, as [`abi::TICK_GLOBAL`](sccm_common::abi::TICK_GLOBAL) says.
///
/// # Errors
/// The kernel does not tell, or tells nonsense.
pub(super) fn tick() -> Result<u64> {
    let length = ClockId::CLOCK_MONOTONIC_COARSE
        .res()
        .context("asking for the length of a tick (CLOCK_MONOTONIC_COARSE)")?;
    let nanoseconds = u64::try_from(length.tv_nsec())?;
    fixed_point(nanoseconds).with_context(|| {
        format!("a tick of {nanoseconds} ns: is CLOCK_MONOTONIC_COARSE emulated here?")
    })
}

/// From 20 to 10,000 ticks in a second; kernels are built for 24 (MIPS) to 1200 (Alpha).
fn fixed_point(nanoseconds: u64) -> Option<u64> {
    let plausible = NANOSECONDS / 10_000..=NANOSECONDS / 20;
    let rounded = ((nanoseconds << TICK_FRACTION_BITS) + NANOSECONDS / 2) / NANOSECONDS;
    plausible.contains(&nanoseconds).then_some(rounded)
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
    fn nonsense_is_refused() {
        for nanoseconds in [0, 1, NANOSECONDS] {
            assert_eq!(fixed_point(nanoseconds), None);
        }
    }

    #[test]
    fn this_kernel_tells() {
        assert!(tick().unwrap() > 0);
    }
}
