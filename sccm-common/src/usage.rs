//! When each right of the policy was last used, and by how many packets.
//!
//! A right is a service class that a pair of address classes may open, in one direction. The policy
//! compiler gives each pair a row for each direction, and a row has an element for each class. Rows
//! and classes keep their numbers from policy to policy, so a right that stays goes on where it was.

use crate::service::ServiceClass;

/// Which row counts the rights of a pair in one direction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
#[repr(transparent)]
pub struct Row(pub u16);

impl Row {
    /// None: nothing is counted.
    pub const NONE: Self = Self(0);
    /// How many numbers there are, [`Row::NONE`] included.
    pub const COUNT: u32 = 512;
}

/// The rows of a pair.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[repr(C)]
pub struct Rows {
    /// What the peer may open.
    pub inbound: Row,
    /// What the protected system may open.
    pub outbound: Row,
}

/// Service classes with an element in a row: those below this number.
pub const CLASSES: usize = 128;

/// How much a right was used on one CPU.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[repr(C)]
pub struct Use {
    /// Packets.
    pub packets: u64,
    /// When the last of them passed, in seconds of the clock of
    /// [`Tables::now`](crate::Tables::now); 0: never.
    pub last: u64,
}

impl Use {
    /// Counts a packet. The time is written only when it has changed.
    #[inline(always)]
    pub fn note(&mut self, now: u32) {
        self.packets += 1;
        if self.last != u64::from(now) {
            self.last = now.into();
        }
    }

    /// What two CPUs counted.
    #[must_use]
    pub fn with(self, other: Self) -> Self {
        Self {
            packets: self.packets + other.packets,
            last: self.last.max(other.last),
        }
    }
}

/// The rights of a row.
pub type Uses = [Use; CLASSES];

const _: () = assert!(size_of::<Uses>() == 2048);
const _: () = assert!(Row::COUNT.is_power_of_two() && CLASSES.is_power_of_two());

/// Bytes of a text in [`RowRecord`].
pub const TEXT_BYTES: usize = 160;

/// What a row stands for, so that it keeps its number, and people can read it. All zero: a row that
/// was never given out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(C)]
pub struct RowRecord {
    /// Of a direction, the protected systems and the peers: one row has it.
    pub identity: [u8; 16],
    /// The same without rules: rows that have it in common inherit from each other.
    pub family: [u8; 16],
    /// The last generation with that row.
    pub generation: u64,
    /// Since when each right is counted, in seconds since 1970; 0: the policy does not give it.
    pub since: [u64; CLASSES],
    /// The protected systems, padded with zeros.
    pub systems: [u8; TEXT_BYTES],
    /// The peers, likewise.
    pub peers: [u8; TEXT_BYTES],
}

const _: () = assert!(size_of::<RowRecord>() == 32 + 8 + 8 * CLASSES + 2 * TEXT_BYTES);

/// Where in a row a class has its element; `None`: nowhere.
#[inline(always)]
#[must_use]
pub const fn column(class: ServiceClass) -> Option<usize> {
    match (class.0 as usize) < CLASSES {
        true => Some(class.0 as usize),
        false => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_use_counts_each_packet_and_the_second_of_the_last() {
        let mut used = Use::default();
        for now in [7, 7, 9] {
            used.note(now);
        }
        let other = Use {
            packets: 2,
            last: 8,
        };
        let both = Use {
            packets: 5,
            last: 9,
        };
        assert_eq!(used.with(other), both);
        assert_eq!(other.with(used), both);
    }
}
