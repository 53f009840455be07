//! Spans of time, as operators write and read them: `60s`, `5m`, `1h`.

use std::time::Duration;

/// Seconds of each unit, the largest first.
const UNITS: [(&str, u64); 4] = [("d", 86_400), ("h", 3600), ("m", 60), ("s", 1)];

/// The longest that anything waits, such as a policy to be confirmed.
pub const LONGEST_WAIT: Duration = Duration::from_secs(86_400);

/// A whole number and a unit.
///
/// # Errors
/// Another form.
pub fn parse(text: &str) -> Result<Duration, String> {
    let wrong = || format!("`{text}` is no time: write it like 60s, 5m or 1h");
    let digits = text
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let number: u64 = number.parse().map_err(|_| wrong())?;
    let known = UNITS.iter().find(|(name, _)| *name == unit);
    let (_, seconds) = known.ok_or_else(wrong)?;
    Ok(Duration::from_secs(number.saturating_mul(*seconds)))
}

/// How long something waits, at most a day, as [`parse`] reads it.
///
/// # Errors
/// Another form, nothing at all, or more than a day.
pub fn parse_wait(text: &str) -> Result<Duration, String> {
    let wait = parse(text)?;
    if wait.is_zero() {
        return Err("no time is left: give at least 1s".to_owned());
    }
    if wait > LONGEST_WAIT {
        return Err(format!("{text} is longer than a day, the longest wait"));
    }
    Ok(wait)
}

/// For people, to the two largest units: `3d 4h`, `59s`.
#[must_use]
pub fn describe(seconds: u64) -> String {
    let mut rest = seconds;
    let mut parts = Vec::new();
    for (unit, size) in UNITS {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_are_read() {
        for (text, seconds) in [("1s", 1), ("60s", 60), ("5m", 300), ("24h", 86_400)] {
            assert_eq!(parse_wait(text), Ok(Duration::from_secs(seconds)), "{text}");
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
            ("25h", "longer than a day"),
            ("9999999999999999999h", "longer than a day"),
        ] {
            let error = parse_wait(text).unwrap_err();
            assert!(error.contains(hint), "{text}: {error}");
        }
    }

    #[test]
    fn spans_are_told_in_two_units() {
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
