//! Names of interfaces.

use super::bytes::{Bytes, Order};
use core::fmt;
use core::str::FromStr;

/// Text that is no UUID.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NoUuid;

/// A UUID, its text read as one number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Uuid(pub u128);

impl Uuid {
    /// The first three fields are in the order of what surrounds them, the rest are bytes.
    pub(super) fn read(from: &mut Bytes<'_>) -> Option<Self> {
        let first = u128::from(from.u32()?);
        let second = u128::from(from.u16()?);
        let third = u128::from(from.u16()?);
        let rest = u128::from(u64::from_be_bytes(from.array()?));
        Some(Self(first << 96 | second << 80 | third << 64 | rest))
    }

    /// The inverse of [`little_endian`](Self::little_endian).
    #[must_use]
    pub fn to_little_endian(self) -> [u8; 16] {
        let mut bytes = self.0.to_be_bytes();
        bytes[..4].reverse();
        bytes[4..6].reverse();
        bytes[6..8].reverse();
        bytes
    }

    /// As it lies within little-endian data, such as a tower.
    #[must_use]
    pub fn little_endian(bytes: &[u8; 16]) -> Self {
        Self::read(&mut Bytes::new(bytes, Order::Little)).unwrap_or(Self(0))
    }
}

impl fmt::Display for Uuid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(all) = self;
        let (first, second) = (all >> 96, all >> 80 & 0xffff);
        let (third, fourth) = (all >> 64 & 0xffff, all >> 48 & 0xffff);
        let fifth = all & 0xffff_ffff_ffff;
        write!(
            f,
            "{first:08x}-{second:04x}-{third:04x}-{fourth:04x}-{fifth:012x}"
        )
    }
}

impl FromStr for Uuid {
    type Err = NoUuid;

    /// The inverse of [`Display`](fmt::Display), in letters of either case.
    fn from_str(text: &str) -> Result<Self, NoUuid> {
        let lengths = [8, 4, 4, 4, 12];
        let mut parts = text.split('-');
        let mut all = 0;
        for length in lengths {
            let part = parts.next().ok_or(NoUuid)?;
            // A sign would be read, too.
            let is_hex = part.bytes().all(|byte| byte.is_ascii_hexdigit());
            if part.len() != length || !is_hex {
                return Err(NoUuid);
            }
            let number = u128::from_str_radix(part, 16).map_err(|_| NoUuid)?;
            all = all << (4 * length) | number;
        }
        match parts.next() {
            None => Ok(Self(all)),
            Some(_) => Err(NoUuid),
        }
    }
}

impl fmt::Display for NoUuid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("no UUID, such as 12345678-1234-1234-1234-123456789abc")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::string::ToString as _;

    #[test]
    fn a_uuid_is_read_as_it_is_written_and_nothing_else_is() {
        let uuid = Uuid(0x0123_4567_89ab_cdef_0123_4567_89ab_cdef);
        let text = uuid.to_string();
        assert_eq!(text, "01234567-89ab-cdef-0123-456789abcdef");
        assert_eq!(text.parse(), Ok(uuid));
        assert_eq!(text.to_uppercase().parse(), Ok(uuid));
        let wrong = [
            "",
            "01234567",
            "01234567-89ab-cdef-0123-456789abcde",
            "01234567-89ab-cdef-0123-456789abcdef-",
            "+1234567-89ab-cdef-0123-456789abcdef",
            "0123456789ab-cdef-0123-4567-89abcdef",
            "é1234567-89ab-cdef-0123-456789abcdef",
        ];
        for wrong in wrong {
            assert_eq!(wrong.parse::<Uuid>(), Err(NoUuid), "{wrong}");
        }
    }
}
