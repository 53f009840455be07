//! `--pass-ethertype`: frames that are neither IP nor an essential, and that this site needs.

use sccm_common::Place;
use sccm_common::ethertype::{MAX_ETHERTYPES, PassedEthertype};
use std::fmt;
use std::str::FromStr;

/// A side of a gateway.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// That of the peers.
    Uplink,
    /// That of the protected systems.
    Segment,
}

/// An ethertype that passes where it comes in.
///
/// Written `0x886f`, and optionally `@segment` or `@uplink` behind it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ethertype {
    /// The number in the frame.
    pub number: u16,
    /// On which side of a gateway; `None`: on both, and at a host.
    pub side: Option<Side>,
}

/// Below this the field is the length of an 802.3 frame.
const FIRST: u16 = 0x0600;

/// What is judged by what it carries: IPv4, IPv6, and the two VLAN tags.
const JUDGED: [u16; 4] = [0x0800, 0x86dd, 0x8100, 0x88a8];

const FORMS: &str =
    "write it like 0x886f, and @segment or @uplink behind it for one side of a gateway";

impl FromStr for Ethertype {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (number, side) = match text.split_once('@') {
            Some((number, "uplink")) => (number, Some(Side::Uplink)),
            Some((number, "segment")) => (number, Some(Side::Segment)),
            Some((_, side)) => return Err(format!("`{side}` is no side: {FORMS}")),
            None => (text, None),
        };
        let parsed = match number.strip_prefix("0x") {
            Some(digits) if digits.starts_with('+') => None,
            Some(digits) => u16::from_str_radix(digits, 16).ok(),
            None => number.parse().ok(),
        };
        let number = parsed.ok_or_else(|| format!("`{number}` is no ethertype: {FORMS}"))?;
        if number < FIRST {
            return Err(format!(
                "{number:#06x} is no ethertype but the length of an 802.3 frame: \
                 ethertypes begin at {FIRST:#06x}"
            ));
        }
        if JUDGED.contains(&number) {
            return Err(format!(
                "{number:#06x} cannot pass as a whole: such frames are judged by the IP packet in \
                 them, so write a rule for that"
            ));
        }
        Ok(Self { number, side })
    }
}

impl fmt::Display for Ethertype {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#06x}", self.number)?;
        match self.side {
            Some(Side::Uplink) => f.write_str("@uplink"),
            Some(Side::Segment) => f.write_str("@segment"),
            None => Ok(()),
        }
    }
}

impl Ethertype {
    fn places(self) -> u16 {
        let places: &[Place] = match self.side {
            Some(Side::Uplink) => &[Place::Uplink],
            Some(Side::Segment) => &[Place::Segment],
            None => &[Place::Host, Place::Loopback, Place::Uplink, Place::Segment],
        };
        let bits = places.iter().map(|place| PassedEthertype::at(*place));
        bits.fold(0, |all, bit| all | bit)
    }
}

/// What the kernel reads, in the order of the numbers.
///
/// # Errors
/// There are more numbers than fit.
pub(crate) fn table(passed: &[Ethertype]) -> Result<[PassedEthertype; MAX_ETHERTYPES], String> {
    let mut sorted = passed.to_vec();
    sorted.sort_by_key(|ethertype| ethertype.number);
    let mut table = [PassedEthertype::NONE; MAX_ETHERTYPES];
    let groups = sorted.chunk_by(|a, b| a.number == b.number);
    if groups.clone().count() > MAX_ETHERTYPES {
        return Err(format!(
            "more than {MAX_ETHERTYPES} ethertypes are named: take some away, or pass all others"
        ));
    }
    for (entry, group) in table.iter_mut().zip(groups) {
        for ethertype in group {
            entry.number = ethertype.number;
            entry.places |= ethertype.places();
        }
    }
    Ok(table)
}

/// The ethertypes of a table, as they are written: for comparison.
pub(crate) fn written(table: &[PassedEthertype; MAX_ETHERTYPES]) -> String {
    let used = table.iter().filter(|entry| entry.number != 0);
    let texts = used.map(|entry| {
        let sides = [None, Some(Side::Uplink), Some(Side::Segment)];
        let ethertypes = sides.map(|side| Ethertype {
            number: entry.number,
            side,
        });
        let exact = ethertypes
            .iter()
            .find(|ethertype| ethertype.places() == entry.places);
        match exact {
            Some(ethertype) => ethertype.to_string(),
            None => format!("{}, {}", ethertypes[1], ethertypes[2]),
        }
    });
    let texts: Vec<String> = texts.collect();
    match texts.is_empty() {
        true => "none".to_owned(),
        false => texts.join(", "),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(texts: &[&str]) -> Vec<Ethertype> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    #[test]
    fn what_is_written_is_read() {
        for (text, shown) in [
            ("0x886f", "0x886f"),
            ("34927", "0x886f"),
            ("0x886F@segment", "0x886f@segment"),
            ("0x600@uplink", "0x0600@uplink"),
            ("0xffff", "0xffff"),
        ] {
            assert_eq!(text.parse::<Ethertype>().unwrap().to_string(), shown);
        }
    }

    #[test]
    fn nonsense_is_refused_with_a_way_out() {
        for (text, hint) in [
            ("", "0x886f"),
            ("0x", "0x886f"),
            ("0x+886f", "0x886f"),
            ("886f", "write it like 0x886f"),
            ("0x1886f", "write it like 0x886f"),
            ("-1", "write it like 0x886f"),
            ("0x05ff", "length of an 802.3 frame"),
            ("0", "length of an 802.3 frame"),
            ("0x0800", "judged by the IP packet"),
            ("0x86dd@segment", "judged by the IP packet"),
            ("0x8100", "judged by the IP packet"),
            ("0x88a8@uplink", "judged by the IP packet"),
            ("0x886f@host", "no side"),
            ("0x886f@", "no side"),
        ] {
            let error = text.parse::<Ethertype>().unwrap_err();
            assert!(error.contains(hint), "{text}: {error}");
        }
    }

    #[test]
    fn sides_of_a_number_add_up() {
        let every = parsed(&["0x886f"])[0].places();
        let table = |texts: &[&str]| table(&parsed(texts)).unwrap();
        assert_eq!(
            table(&["0x9000@segment", "0x886f@segment", "0x886f"])[0],
            PassedEthertype {
                number: 0x886f,
                places: every
            }
        );
        for (texts, shown) in [
            (&[] as &[&str], "none"),
            (&["0x9000", "0x886f@segment"], "0x886f@segment, 0x9000"),
            (
                &["0x886f@segment", "0x886f@uplink"],
                "0x886f@uplink, 0x886f@segment",
            ),
        ] {
            assert_eq!(written(&table(texts)), shown);
        }
    }

    #[test]
    fn only_so_many_fit() {
        let many: Vec<String> = (0..17)
            .map(|number| (0x9000 + number).to_string())
            .collect();
        let texts: Vec<&str> = many.iter().map(String::as_str).collect();
        assert!(table(&parsed(&texts[..16])).is_ok());
        assert!(table(&parsed(&texts)).unwrap_err().contains("more than 16"));
    }
}
