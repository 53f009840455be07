//! Under which number each card and VLAN counts.

use anyhow::Result;
use sccm_agent::kernel::Maps;
use sccm_common::Place;
use sccm_common::trunk::{IDS, Lane, VlanTable};

use crate::case::{HOST_ID, SEGMENT_ID, Spot, UPLINK_ID};
use crate::oracle::Seat;

/// The numbers that the kernel's maps gave out.
#[derive(Debug, Clone, Copy)]
pub struct Slots {
    host: u32,
    uplink: u32,
    segment: u32,
    trunk: u32,
    host_lane: u32,
    uplink_lane: u32,
    segment_lane: u32,
}

impl Slots {
    /// Asks for them.
    pub fn claim(maps: &mut Maps) -> Result<Self> {
        // Not slot 0, so that a program that ignores its slot counts in the wrong place.
        maps.claim_slot("other0", 1)?;
        let trunk = maps.claim_slot("trunk0", 5)?;
        Ok(Self {
            host: maps.claim_slot("host0", 2)?,
            uplink: maps.claim_slot("uplink0", 3)?,
            segment: maps.claim_slot("segment0", 4)?,
            trunk,
            host_lane: maps.claim_vlan("trunk0.10", 5, trunk)?,
            uplink_lane: maps.claim_vlan("trunk0.20", 5, trunk)?,
            segment_lane: maps.claim_vlan("trunk0.30", 5, trunk)?,
        })
    }

    /// That of a card.
    pub fn of(&self, spot: Spot) -> u32 {
        match spot {
            Spot::Host => self.host,
            Spot::Uplink => self.uplink,
            Spot::Segment => self.segment,
            Spot::Trunk => self.trunk,
        }
    }

    /// That of a card or VLAN.
    pub fn of_seat(&self, seat: Seat) -> u32 {
        match seat {
            Seat::Card(spot) => self.of(spot),
            Seat::Lane(Spot::Host) => self.host_lane,
            Seat::Lane(Spot::Uplink) => self.uplink_lane,
            Seat::Lane(_) => self.segment_lane,
        }
    }

    /// The table of the trunk.
    pub fn vlans(&self) -> Box<VlanTable> {
        let mut table = Box::new([Lane::OTHER; IDS]);
        table[usize::from(HOST_ID)] = Lane::new(self.host_lane, Place::Host);
        table[usize::from(UPLINK_ID)] = Lane::new(self.uplink_lane, Place::Uplink);
        table[usize::from(SEGMENT_ID)] = Lane::new(self.segment_lane, Place::Segment);
        table
    }

    /// Every number.
    pub fn all(&self) -> [u32; 7] {
        let cards = [self.host, self.uplink, self.segment, self.trunk];
        let [a, b, c, d] = cards;
        [
            a,
            b,
            c,
            d,
            self.host_lane,
            self.uplink_lane,
            self.segment_lane,
        ]
    }
}
