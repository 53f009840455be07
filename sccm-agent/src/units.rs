//! Times and sizes, as operators write and read them: `60s`, `5m`; `64K`, `16M`.

use std::time::Duration;

/// Seconds of each unit of time, the largest first.
const TIMES: [(&str, u64); 4] = [("d", 86_400), ("h", 3600), ("m", 60), ("s", 1)];

/// Bytes of each unit of size.
const SIZES: [(&str, u64); 4] = [("", 1), ("K", KIB), ("M", MIB), ("G", 1024 * MIB)];

/// Bytes of a kibibyte.
pub const KIB: u64 = 1024;

/// Bytes of a mebibyte.
pub const MIB: u64 = 1024 * KIB;

/// The longest that anything waits, such as a policy to be confirmed.
pub const LONGEST_WAIT: Duration = Duration::from_secs(86_400);

/// Reads a time: a whole number and a unit.
pub fn time(text: &str) -> Result<Duration, String> {
    let (number, seconds) = parts(text, &TIMES)
        .ok_or_else(|| format!("`{text}` is not a time: write it like 60s, 5m or 1h"))?;
    Ok(Duration::from_secs(number.saturating_mul(seconds)))
}

/// Reads a time of at least a second.
pub fn interval(text: &str) -> Result<Duration, String> {
    let interval = time(text)?;
    if interval.is_zero() {
        return Err(format!("{text} is too short: give at least 1s"));
    }
    Ok(interval)
}

/// Reads a time from a second to [`LONGEST_WAIT`].
pub fn wait(text: &str) -> Result<Duration, String> {
    let wait = interval(text)?;
    if wait > LONGEST_WAIT {
        return Err(format!("{text} is too long: give at most one day, 24h"));
    }
    Ok(wait)
}

/// Reads a size in bytes: a whole number, and a unit of 1024 if any.
pub fn size(text: &str) -> Result<u64, String> {
    let size = parts(text, &SIZES).and_then(|(number, bytes)| number.checked_mul(bytes));
    size.ok_or_else(|| format!("`{text}` is not a size: write it like 65536, 64K, 16M or 1G"))
}

/// A number, and what its unit stands for.
fn parts(text: &str, units: &[(&str, u64)]) -> Option<(u64, u64)> {
    let digits = text
        .find(|letter: char| !letter.is_ascii_digit())
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let (_, factor) = units.iter().find(|(name, _)| *name == unit)?;
    Some((number.parse().ok()?, *factor))
}

/// A time for people, in the two largest units: `3d 4h`, `59s`.
#[must_use]
pub fn describe(seconds: u64) -> String {
    let mut rest = seconds;
    let mut parts = Vec::new();
    for (unit, size) in TIMES {
        if rest >= size {
            parts.push(format!("{}{unit}", rest / size));
            rest %= size;
        }
    }
    if parts.is_empty() {
        return "0s".to_owned();
    }
    parts.truncate(2);
    parts.join(" ")
}

/// A duration for people, in milliseconds below a second: `152ms`, `2m 5s`.
#[must_use]
pub fn brief(duration: Duration) -> String {
    match duration.as_secs() {
        0 => format!("{}ms", duration.as_millis()),
        seconds => describe(seconds),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_are_read() {
        for (text, seconds) in [("1s", 1), ("60s", 60), ("5m", 300), ("24h", 86_400)] {
            assert_eq!(wait(text), Ok(Duration::from_secs(seconds)), "{text}");
        }
    }

    #[test]
    fn what_is_no_wait_is_refused_with_a_way_out() {
        for (text, hint) in [
            ("", "60s, 5m or 1h"),
            ("60", "60s, 5m or 1h"),
            ("s", "60s, 5m or 1h"),
            ("-5s", "60s, 5m or 1h"),
            ("1.5m", "60s, 5m or 1h"),
            ("5 m", "60s, 5m or 1h"),
            ("5min", "60s, 5m or 1h"),
            ("99999999999999999999s", "60s, 5m or 1h"),
            ("0s", "at least 1s"),
            ("25h", "at most one day"),
            ("9999999999999999999h", "at most one day"),
        ] {
            let error = wait(text).unwrap_err();
            assert!(error.contains(hint), "{text}: {error}");
        }
    }

    #[test]
    fn sizes_have_a_number_and_perhaps_a_unit() {
        for (text, bytes) in [
            ("4096", 4096),
            ("4K", 4096),
            ("16M", 16 << 20),
            ("2G", 2 << 30),
        ] {
            assert_eq!(size(text), Ok(bytes));
        }
        for text in ["", "K", "-1", "1.5M", "16m", "16MB", "99999999999G", " 8K"] {
            let error = size(text).unwrap_err();
            assert!(error.contains("64K, 16M or 1G"), "{text}: {error}");
        }
    }

    #[test]
    fn less_than_a_second_is_told_in_milliseconds() {
        assert_eq!(brief(Duration::from_micros(152_900)), "152ms");
        assert_eq!(brief(Duration::from_millis(125_300)), "2m 5s");
    }

    #[test]
    fn times_are_told_in_two_units() {
        for (seconds, text) in [
            (0, "0s"),
            (59, "59s"),
            (60, "1m"),
            (3601, "1h 1s"),
            (273_661, "3d 4h"),
        ] {
            assert_eq!(describe(seconds), text);
        }
    }
}
