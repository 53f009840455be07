//! Names of interfaces.

use super::bytes::{Bytes, Order};
use core::fmt;

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
