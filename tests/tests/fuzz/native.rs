//! The verdict of `sccm-common` in this process, over tables in memory.
//!
//! It is asked as the kernel's programs ask: what is plain by the short way first. Where both ways
//! speak, they must agree, which a test of `sccm-common` also holds for its own packets.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;

use sccm_agent::policy::Compiled;
use sccm_common::address::Trie;
use sccm_common::counter::Direction;
use sccm_common::flow::{FlowKey, FlowSlot, FlowState};
use sccm_common::fragment::{FragmentKey, FragmentState};
use sccm_common::tftp::{TransferKey, TransferState};
use sccm_common::trunk::VlanTable;
use sccm_common::verdict::{self, Arriving, Tables};
use sccm_common::wire::{self, plain, vlan};
use sccm_common::{Place, Policy, Reason, SliceCursor, Verdict};

use crate::case::{Spot, Step};
use crate::slots::Slots;

/// Seconds at which every case begins.
const START: u32 = 1_000_000;

/// Tables with a clock of their own.
pub struct Native<'a> {
    compiled: &'a Compiled,
    slots: &'a Slots,
    vlans: Box<VlanTable>,
    now: Cell<u32>,
    pub flows: RefCell<HashMap<FlowKey, Rc<Cell<FlowState>>>>,
    pub fragments: RefCell<HashMap<FragmentKey, FragmentState>>,
    pub transfers: RefCell<HashMap<TransferKey, TransferState>>,
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
        Self {
            compiled,
            slots,
            vlans: slots.vlans(),
            now: Cell::new(START),
            flows: RefCell::default(),
            fragments: RefCell::default(),
            transfers: RefCell::default(),
        }
    }

    /// What becomes of a frame; `None` for one that is not judged here, and for no frame.
    pub fn judge(&self, step: &Step) -> Option<Counted> {
        let (spot, frame, hook) = match step {
            Step::Waits(seconds) => {
                self.now.set(self.now.get() + seconds);
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
            tables: self,
            payload: frame,
            place,
        };
        let short = match place {
            Place::Host | Place::Uplink => plain::visit(frame, judge).flatten(),
            Place::Segment => None,
        };
        // Judging twice at the same moment changes nothing.
        let verdict = match wire::parse(&mut SliceCursor::new(frame)) {
            Ok(packet) => verdict::arriving(self, &packet, frame, place),
            Err(reason) => verdict::arriving_unparsed(self, reason),
        };
        assert!(
            short.is_none_or(|short| short == verdict),
            "by the short way {short:?}, by the long one {verdict:?}"
        );
        verdict
    }

    fn leaving(&self, frame: &[u8], place: Place) -> Option<Verdict> {
        let parsed = wire::parse(&mut SliceCursor::new(frame));
        if let Some(short) = plain::packet(frame) {
            assert_eq!(Ok(short), parsed, "by the short way and by the long one");
        }
        match parsed {
            Ok(packet) => verdict::leaving(self, &packet, frame, place),
            Err(_) => verdict::leaving_unparsed(place),
        }
    }
}

/// A word of the flow table.
pub struct Slot(Rc<Cell<FlowState>>);

impl FlowSlot for Slot {
    fn load(&self) -> FlowState {
        self.0.get()
    }

    fn store(&self, state: FlowState) {
        self.0.set(state);
    }
}

impl Tables for Native<'_> {
    type Flow = Slot;

    fn policy(&self) -> &Policy {
        &self.compiled.policy
    }

    fn trie(&self) -> Option<&Trie> {
        Some(self.compiled.addresses.trie())
    }

    fn flow(&self, key: &FlowKey) -> Option<Slot> {
        self.flows.borrow().get(key).cloned().map(Slot)
    }

    fn open_flow(&self, key: &FlowKey, state: FlowState) {
        let slot = Rc::new(Cell::new(state));
        self.flows.borrow_mut().insert(*key, slot);
    }

    fn fragment(&self, key: &FragmentKey) -> Option<FragmentState> {
        self.fragments.borrow().get(key).copied()
    }

    fn note_fragment(&self, key: &FragmentKey, state: FragmentState) {
        self.fragments.borrow_mut().insert(*key, state);
    }

    fn transfer(&self, key: &TransferKey) -> Option<TransferState> {
        self.transfers.borrow().get(key).copied()
    }

    fn note_transfer(&self, key: &TransferKey, state: TransferState) {
        self.transfers.borrow_mut().insert(*key, state);
    }

    fn now(&self) -> u32 {
        self.now.get()
    }
}
