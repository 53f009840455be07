//! Which VLANs of a card are judged, and as whose.
//!
//! A card that carries several VLANs has one hook for them all. The table of that
//! hook tells, for every VLAN id, in whose name a frame is counted and where in the
//! network it arrives: VLAN 20 of a card may be a segment and VLAN 30 its uplink.

use crate::counter::MAX_INTERFACES;
use crate::verdict::Place;

/// VLAN ids, 0 for what has no tag.
pub const IDS: usize = 4096;

/// By VLAN id.
pub type VlanTable = [Lane; IDS];

/// Slot and place of the frames of one VLAN, in one byte: bit 7 says that it is
/// judged, bits 5 and 4 are the place, the low four the slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(transparent)]
pub struct Lane(u8);

const JUDGED: u8 = 1 << 7;
const PLACE: u32 = 4;
const SLOTS: u8 = 0x0f;

const _: () = assert!(MAX_INTERFACES <= SLOTS as u32 + 1);

impl Lane {
    /// Not named: passes.
    pub const OTHER: Self = Self(0);

    /// Judged at `place`, counted at `slot` (below [`MAX_INTERFACES`]).
    #[must_use]
    pub const fn new(slot: u32, place: Place) -> Self {
        Self(JUDGED | (place as u8) << PLACE | slot as u8 & SLOTS)
    }

    /// Whether it is another than [`Lane::OTHER`].
    #[inline(always)]
    #[must_use]
    pub const fn is_judged(self) -> bool {
        self.0 & JUDGED != 0
    }

    /// The slot that counts its frames.
    #[inline(always)]
    #[must_use]
    pub const fn slot(self) -> u32 {
        (self.0 & SLOTS) as u32
    }

    /// Where they are judged.
    #[inline(always)]
    #[must_use]
    pub const fn place(self) -> Place {
        Place::from_number((self.0 & !JUDGED) as u32 >> PLACE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_slot_and_place_comes_back() {
        for slot in 0..MAX_INTERFACES {
            for place in [Place::Host, Place::Uplink, Place::Segment] {
                let lane = Lane::new(slot, place);
                assert_eq!(
                    (lane.is_judged(), lane.slot(), lane.place()),
                    (true, slot, place)
                );
            }
        }
        assert!(!Lane::OTHER.is_judged());
    }
}
