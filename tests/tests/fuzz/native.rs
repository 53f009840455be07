//! The verdict of `sccm-common` in this process, over tables in memory.
//!
//! It is asked as the kernel's programs ask: what is plain by the short way first. Where both ways
//! speak, they must agree, which a test of `sccm-common` also holds for its own packets.

use sccm_agent::policy::{self, Compiled};
use sccm_common::counter::Direction;
use sccm_common::trunk::VlanTable;
use sccm_common::verdict::Arriving;
use sccm_common::wire::{self, plain, vlan};
use sccm_common::{Place, Reason, SliceCursor, Verdict};

use crate::case::{Spot, Step};
use crate::slots::Slots;

/// Seconds at which every case begins.
const START: u32 = 1_000_000;

/// The tables, and who counts where.
pub struct Native<'a> {
    pub tables: policy::Native<'a>,
    slots: &'a Slots,
    vlans: Box<VlanTable>,
}

/// A verdict, and where it is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Counted {
    pub slot: u32,
    pub direction: Direction,
    pub verdict: Verdict,
}

impl<'a> Native<'a> {
    pub fn new(compiled: &'a Compiled, slots: &'a Slots) -> Self {
        let tables = policy::Native::new(compiled);
        tables.now.set(START);
        Self {
            tables,
            slots,
            vlans: slots.vlans(),
        }
    }

    /// What becomes of a frame; `None` for one that is not judged here, and for no frame.
    pub fn judge(&self, step: &Step) -> Option<Counted> {
        let (spot, frame, hook) = match step {
            Step::Waits(seconds) => {
                let now = &self.tables.now;
                now.set(now.get() + seconds);
                return None;
            }
            Step::Arrives(spot, frame) => (*spot, frame, Direction::Inbound),
            Step::Leaves(spot, frame) => (*spot, frame, Direction::Outbound),
        };
        let Some((slot, place)) = self.seat(spot, frame) else {
            return Some(Counted {
                slot: self.slots.of(spot),
                direction: hook,
                verdict: Verdict::without_service(Reason::OtherVlan),
            });
        };
        let verdict = match hook {
            Direction::Inbound => self.arriving(frame, place),
            Direction::Outbound => self.leaving(frame, place)?,
        };
        let direction = match place {
            Place::Segment => Direction::Outbound,
            Place::Host | Place::Uplink => hook,
        };
        Some(Counted {
            slot,
            direction,
            verdict,
        })
    }

    fn seat(&self, spot: Spot, frame: &[u8]) -> Option<(u32, Place)> {
        let place = match spot {
            Spot::Host => Place::Host,
            Spot::Segment => Place::Segment,
            Spot::Uplink | Spot::Trunk => Place::Uplink,
        };
        match spot {
            Spot::Trunk => match vlan::id(&mut SliceCursor::new(frame)) {
                None => Some((self.slots.of(spot), place)),
                Some(id) => {
                    let lane = self.vlans[usize::from(id)];
                    lane.is_judged().then(|| (lane.slot(), lane.place()))
                }
            },
            _ => Some((self.slots.of(spot), place)),
        }
    }

    fn arriving(&self, frame: &[u8], place: Place) -> Verdict {
        let judge = Arriving {
            tables: &self.tables,
            payload: frame,
            place,
        };
        let short = match place {
            Place::Host | Place::Uplink => plain::visit(frame, judge).flatten(),
            Place::Segment => None,
        };
        // Judging twice at the same moment changes nothing.
        let verdict = self.tables.arriving(frame, place);
        assert!(
            short.is_none_or(|short| short == verdict),
            "by the short way {short:?}, by the long one {verdict:?}"
        );
        verdict
    }

    fn leaving(&self, frame: &[u8], place: Place) -> Option<Verdict> {
        if let Some(short) = plain::packet(frame) {
            let long = wire::parse(&mut SliceCursor::new(frame));
            assert_eq!(Ok(short), long, "by the short way and by the long one");
        }
        self.tables.leaving(frame, place)
    }
}
