//! The verdict of `sccm-common` in this process, over tables in memory.
//!
//! Every frame that comes in takes the slow path, and the fast path if it can; both must agree. A
//! test of `sccm-common` says the same of its own packets.

use std::ops::ControlFlow::Continue;

use sccm_agent::policy::Compiled;
use sccm_common::counter::Direction;
use sccm_common::memory::MemoryTables;
use sccm_common::trunk::VlanTable;
use sccm_common::wire::{self, fast, vlan};
use sccm_common::{Hook, Place, Reason, SliceCursor, Verdict};

use crate::case::{Spot, Step};
use crate::slots::Slots;

/// Seconds at which every case begins.
const START: u32 = 1_000_000;

/// The tables, and who counts where.
pub struct Native<'a> {
    pub tables: MemoryTables<'a>,
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
        let tables = compiled.in_memory();
        tables.state.now.set(START);
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
                self.tables.state.wait(*seconds);
                return None;
            }
            Step::Arrives(spot, frame) => (*spot, frame, Hook::Ingress),
            Step::Leaves(spot, frame) => (*spot, frame, Hook::Egress),
        };
        let Some((slot, place)) = self.seat(spot, frame) else {
            return Some(Counted {
                slot: self.slots.of(spot),
                direction: hook.direction(place_of(spot)),
                verdict: Verdict::without_service(Reason::OtherVlan),
            });
        };
        let (direction, verdict) = match hook {
            Hook::Ingress => (hook.direction(place), self.ingress(frame, place)),
            Hook::Egress => self.egress(frame, place)?,
        };
        Some(Counted {
            slot,
            direction,
            verdict,
        })
    }

    fn seat(&self, spot: Spot, frame: &[u8]) -> Option<(u32, Place)> {
        let place = place_of(spot);
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

    /// Takes both paths: where the fast one decides, the slow one must agree. Judging twice at the
    /// same moment changes nothing.
    fn ingress(&self, frame: &[u8], place: Place) -> Verdict {
        let fast = self.tables.fast_ingress(frame, place);
        let slow = self.tables.slow_ingress(frame, place);
        assert!(
            fast.is_none_or(|fast| fast == slow),
            "on the fast path {fast:?}, on the slow one {slow:?}"
        );
        slow
    }

    fn egress(&self, frame: &[u8], place: Place) -> Option<(Direction, Verdict)> {
        if let Some(packet) = fast::parse(frame) {
            let parsed = wire::parse(&mut SliceCursor::new(frame));
            assert_eq!(
                Continue(packet),
                parsed,
                "on the fast path and on the slow one"
            );
        }
        let fast = self.tables.fast_egress(frame, place);
        // A test run comes in at no interface.
        let slow = self.tables.slow_egress(frame, place, false);
        let agree = |fast| slow == Some((Direction::Outbound, fast));
        assert!(
            fast.is_none_or(agree),
            "on the fast path {fast:?}, on the slow one {slow:?}"
        );
        slow
    }
}

const fn place_of(spot: Spot) -> Place {
    match spot {
        Spot::Host => Place::Host,
        Spot::Segment => Place::Segment,
        Spot::Uplink | Spot::Trunk => Place::Uplink,
    }
}
