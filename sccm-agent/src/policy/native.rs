//! A compiled policy that decides in this process, as the kernel would.
//!
//! It runs the same functions over the same tables; only the maps are vectors.

use super::Compiled;
use sccm_common::address::{self, Address, Entry, Family};
use sccm_common::flow::{FlowKey, FlowSlot, FlowState};
use sccm_common::verdict::{self, Tables};
use sccm_common::{Policy, SliceCursor, Verdict};
use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::net::IpAddr;
use std::rc::Rc;

/// Tables for [`sccm_common::verdict`], with flows and a clock of their own.
pub struct Native<'a> {
    compiled: &'a Compiled,
    flows: RefCell<HashMap<FlowKey, Rc<Cell<FlowState>>>>,
    /// Seconds since boot, for whoever drives it.
    pub now: Cell<u32>,
}

impl<'a> Native<'a> {
    /// Tables without any flow.
    #[must_use]
    pub fn new(compiled: &'a Compiled) -> Self {
        Self {
            compiled,
            flows: RefCell::default(),
            now: Cell::new(0),
        }
    }

    /// Judges a frame that arrives.
    pub fn inbound(&self, frame: &[u8]) -> Verdict {
        verdict::inbound(self, &mut SliceCursor::new(frame))
    }

    /// Notes a frame that leaves.
    pub fn outbound(&self, frame: &[u8]) -> Verdict {
        verdict::outbound(self, &mut SliceCursor::new(frame))
    }

    /// How many flows are known.
    pub fn flows(&self) -> usize {
        self.flows.borrow().len()
    }
}

impl Compiled {
    /// Whether `peer` may open TCP connections to `port`.
    #[must_use]
    pub fn admits_tcp(&self, peer: IpAddr, port: u16) -> bool {
        let (family, address) = match peer {
            IpAddr::V4(peer) => (Family::V4, Address::v4(peer.octets())),
            IpAddr::V6(peer) => {
                let (high, low) = (peer.to_bits() >> 64, peer.to_bits());
                (
                    Family::V6,
                    Address {
                        high: high as u64,
                        low: low as u64,
                    },
                )
            }
        };
        let class = address::classify(&Native::new(self), family, &address);
        self.policy
            .inbound_services(class)
            .contains(self.policy.tcp[usize::from(port)])
    }
}

/// A word of the flow table.
pub struct SharedSlot(Rc<Cell<FlowState>>);

impl FlowSlot for SharedSlot {
    fn load(&self) -> FlowState {
        self.0.get()
    }

    fn store(&self, state: FlowState) {
        self.0.set(state);
    }
}

impl Tables for Native<'_> {
    type Flow = SharedSlot;

    fn policy(&self) -> &Policy {
        &self.compiled.policy
    }

    fn root_entry(&self, family: Family, first: u16) -> Option<Entry> {
        self.compiled
            .addresses
            .root(family)
            .get(usize::from(first))
            .copied()
    }

    fn chunk_entry(&self, chunk: u32, byte: u8) -> Option<Entry> {
        let chunk = self.compiled.addresses.chunks().get(chunk as usize)?;
        Some(chunk[usize::from(byte)])
    }

    fn flow(&self, key: &FlowKey) -> Option<SharedSlot> {
        self.flows
            .borrow()
            .get(key)
            .map(|slot| SharedSlot(Rc::clone(slot)))
    }

    fn open_flow(&self, key: &FlowKey, state: FlowState) {
        self.flows
            .borrow_mut()
            .insert(*key, Rc::new(Cell::new(state)));
    }

    fn now(&self) -> u32 {
        self.now.get()
    }
}
