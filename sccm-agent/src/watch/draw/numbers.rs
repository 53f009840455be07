//! Numbers in few columns.

use crate::watch::{Pace, Rates};

/// A pace, or `-` as long as it is unknown.
pub(crate) fn pace(rates: &Rates, per_second: f64) -> String {
    match rates.seconds {
        Some(_) => short(per_second),
        None => "-".to_owned(),
    }
}

/// Bits in a second of a pace, in the same manner.
pub(crate) fn bits(rates: &Rates, pace: Pace) -> String {
    self::pace(rates, pace.bytes * 8.0)
}

/// At most six columns: `0`, `0.4`, `12`, `1.2k`, `345M`.
fn short(number: f64) -> String {
    let units = [(1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")];
    // What would be rounded to 1000 is the next unit's 1.
    let unit = units.iter().find(|(size, _)| number >= size * 0.9995);
    let (number, unit) = unit.map_or((number, ""), |(size, unit)| (number / size, *unit));
    if number == 0.0 || number >= 9.95 {
        format!("{number:.0}{unit}")
    } else if number < 0.05 {
        "<0.1".to_owned()
    } else {
        format!("{number:.1}{unit}")
    }
}

#[cfg(test)]
mod tests {
    use super::short;

    #[test]
    fn numbers_keep_to_their_columns() {
        for (number, text) in [
            (0.0, "0"),
            (0.01, "<0.1"),
            (0.4, "0.4"),
            (9.94, "9.9"),
            (9.96, "10"),
            (999.4, "999"),
            (999.6, "1.0k"),
            (1234.0, "1.2k"),
            (345e6, "345M"),
            (148_809_524.0, "149M"),
            (9.9996e8, "1.0G"),
            (4e14, "400T"),
        ] {
            assert_eq!(short(number), text, "{number}");
        }
    }
}
