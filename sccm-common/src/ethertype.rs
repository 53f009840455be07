//! Ethertypes that a policy lets pass by their numbers.

use crate::verdict::Place;

/// How many ethertypes a policy can name.
pub const MAX_ETHERTYPES: usize = 16;

/// An ethertype that passes, and where.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(C)]
pub struct PassedEthertype {
    /// The number; 0 in an entry that is not used.
    pub number: u16,
    /// The places where it passes: [`PassedEthertype::at`] of each.
    pub places: u16,
}

impl PassedEthertype {
    /// An entry that is not used.
    pub const NONE: Self = Self {
        number: 0,
        places: 0,
    };

    /// The bit of a place.
    #[inline(always)]
    #[must_use]
    pub const fn at(place: Place) -> u16 {
        1 << place as u16
    }
}

/// Whether the ethertype `number` passes where it came in. An 802.3 frame has the number 0, and never
/// does.
#[inline(always)]
pub(crate) fn passes(named: &[PassedEthertype; MAX_ETHERTYPES], number: u16, place: Place) -> bool {
    if number == 0 {
        return false;
    }
    // Each number is named once.
    for entry in named {
        if entry.number == number {
            return entry.places & PassedEthertype::at(place) != 0;
        }
    }
    false
}
