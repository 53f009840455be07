//! Sizes of files, as operators write them: `65536`, `64K`, `16M`, `1G`.

/// What a file's head and one packet surely need.
const SMALLEST: u64 = 4096;

const UNITS: [(&str, u64); 4] = [("", 1), ("K", 1 << 10), ("M", 1 << 20), ("G", 1 << 30)];

/// A whole number, and a unit of 1024 if any.
///
/// # Errors
/// Another form, or a file that would hold nothing.
pub fn parse(text: &str) -> Result<u64, String> {
    let wrong = || format!("`{text}` is no size: write it like 65536, 64K, 16M or 1G");
    let digits = text
        .find(|letter: char| !letter.is_ascii_digit())
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let number: u64 = number.parse().map_err(|_| wrong())?;
    let known = UNITS.iter().find(|(name, _)| *name == unit);
    let (_, factor) = known.ok_or_else(wrong)?;
    let size = number.checked_mul(*factor).ok_or_else(wrong)?;
    if size < SMALLEST {
        return Err(format!("{text} is no room for a packet: give at least 4K"));
    }
    Ok(size)
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn sizes_have_a_number_and_perhaps_a_unit() {
        for (text, size) in [
            ("4096", 4096),
            ("4K", 4096),
            ("16M", 16 << 20),
            ("2G", 2 << 30),
        ] {
            assert_eq!(parse(text), Ok(size));
        }
        for text in [
            "",
            "K",
            "-1",
            "1.5M",
            "4095",
            "16m",
            "16MB",
            "99999999999G",
            " 8K",
        ] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
