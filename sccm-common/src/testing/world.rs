//! Tables in memory.

use super::{GATEWAY, Host};
use crate::address::trie::{self, Entry, Next, Trie};
use crate::address::{AddressClass, Family, LOCAL_SELF};
use crate::flow::{FlowKey, FlowSlot, FlowState};
use crate::fragment::{FragmentKey, FragmentState};
use crate::policy::{Access, flag};
use crate::service::ServiceSet;
use crate::tftp::{TransferKey, TransferState};
use crate::verdict::{self, Arriving, Tables};
use crate::{Place, Policy, Reason, ServiceClass, SliceCursor, Verdict, wire};
use std::boxed::Box;
use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;
use std::vec::Vec;
use std::{format, vec};

/// The services that the policies of these tests know.
pub mod class {
    use crate::ServiceClass;

    pub const HTTP: ServiceClass = ServiceClass(16);
    pub const SMB: ServiceClass = ServiceClass(17);
    pub const TFTP: ServiceClass = ServiceClass(18);
    pub const DNS: ServiceClass = ServiceClass(19);
    pub const ECHO: ServiceClass = ServiceClass(20);
    pub const PPTP: ServiceClass = ServiceClass(21);
    pub const SSH: ServiceClass = ServiceClass(22);
}

/// Seconds since boot at which every test begins.
const START: u32 = 1_000_000;

/// A policy, what it remembers, and a clock.
pub struct World {
    pub policy: Box<Policy>,
    pub now: Cell<u32>,
    place: Place,
    trie: Box<Trie>,
    flows: RefCell<HashMap<FlowKey, Rc<Cell<FlowState>>>>,
    fragments: RefCell<HashMap<FragmentKey, FragmentState>>,
    transfers: RefCell<HashMap<TransferKey, TransferState>>,
}

impl World {
    /// A protected host whose policy knows the services of [`class`] and lets
    /// nobody open anything.
    pub fn host() -> Self {
        let mut policy = Box::new(Policy::EMPTY);
        for (port, class) in [
            (80, class::HTTP),
            (445, class::SMB),
            (1723, class::PPTP),
            (22, class::SSH),
        ] {
            policy.tcp[port] = class;
        }
        policy.udp[53] = class::DNS;
        policy.udp[69] = class::TFTP;
        policy.icmp[8] = class::ECHO;
        policy.icmpv6[128] = class::ECHO;
        policy.protocol[47] = ServiceClass::GRE;
        Self {
            policy,
            now: Cell::new(START),
            place: Place::Host,
            // Never on the stack, which is too small for it.
            trie: vec![0; trie::WORDS].try_into().unwrap(),
            flows: RefCell::default(),
            fragments: RefCell::default(),
            transfers: RefCell::default(),
        }
    }

    /// The same on a gateway that has the address of [`GATEWAY`] and may open
    /// everything.
    pub fn gateway(place: Place) -> Self {
        let mut world = Self::host();
        world.place = place;
        world.policy.flags |= flag::ADDRESSES;
        let own = AddressClass {
            local: LOCAL_SELF,
            peer: 0,
        };
        for (family, first) in GATEWAY.first_bits() {
            let place = trie::root(family) + usize::from(first);
            world.trie[place] = Entry::encode(Next::Class(own)).0;
        }
        world.access(LOCAL_SELF).outbound = ServiceSet::ALL;
        world
    }

    /// Lets peers open `services` at the protected systems.
    pub fn inbound(mut self, services: &[ServiceClass]) -> Self {
        let set = &mut self.access(0).inbound;
        services.iter().for_each(|class| set.insert(*class));
        self
    }

    /// Lets peers open `services` at the gateway.
    pub fn manage(mut self, services: &[ServiceClass]) -> Self {
        let set = &mut self.access(LOCAL_SELF).inbound;
        services.iter().for_each(|class| set.insert(*class));
        self
    }

    /// Lets the protected systems open `services`, and nothing else.
    pub fn enforcing(mut self, services: &[ServiceClass]) -> Self {
        self.policy.flags |= flag::OUTBOUND_ENFORCE;
        let set = &mut self.access(0).outbound;
        services.iter().for_each(|class| set.insert(*class));
        self
    }

    /// Sets bits of [`flag`].
    pub fn with(mut self, flags: u32) -> Self {
        self.policy.flags |= flags;
        self
    }

    /// What becomes of a frame that arrives.
    pub fn arrives(&self, frame: &[u8]) -> Reason {
        self.judge_arriving(frame).reason
    }

    /// The same, with the service. Where the plain packet suffices, the parsed one must agree:
    /// judging twice at the same moment changes nothing.
    pub fn judge_arriving(&self, frame: &[u8]) -> Verdict {
        let plain = self.judge_plain(frame);
        let verdict = self.judge_parsed(frame);
        assert!(
            plain.is_none_or(|plain| plain == verdict),
            "{plain:?} {verdict:?} {frame:x?}"
        );
        verdict
    }

    /// What is said of a plain packet, where one is enough.
    pub fn judge_plain(&self, frame: &[u8]) -> Option<Verdict> {
        let judge = Arriving {
            tables: self,
            payload: frame,
            place: self.place,
        };
        match self.place {
            Place::Host | Place::Uplink => wire::plain::visit(frame, judge)?,
            Place::Segment => None,
        }
    }

    fn judge_parsed(&self, frame: &[u8]) -> Verdict {
        match wire::parse(&mut SliceCursor::new(frame)) {
            Ok(packet) => verdict::arriving(self, &packet, frame, self.place),
            Err(reason) => verdict::arriving_unparsed(self, reason),
        }
    }

    /// What becomes of a frame that leaves.
    pub fn leaves(&self, frame: &[u8]) -> Reason {
        self.judge_leaving(frame)
            .expect("not a forwarded one")
            .reason
    }

    /// The same, with the service; `None` for a forwarded frame.
    pub fn judge_leaving(&self, frame: &[u8]) -> Option<Verdict> {
        match wire::parse(&mut SliceCursor::new(frame)) {
            Ok(packet) => verdict::leaving(self, &packet, frame, self.place),
            Err(_) => verdict::leaving_unparsed(self.place),
        }
    }

    /// Lets time pass.
    pub fn wait(&self, seconds: u32) {
        self.now.set(self.now.get() + seconds);
    }

    /// How many flows, first fragments and transfers are remembered.
    pub fn remembered(&self) -> (usize, usize, usize) {
        (
            self.flows(),
            self.fragments.borrow().len(),
            self.transfers.borrow().len(),
        )
    }

    /// What is remembered of each flow, in the order of its keys.
    pub fn flow_states(&self) -> Vec<(FlowKey, FlowState)> {
        let flows = self.flows.borrow();
        let mut states: Vec<_> = flows.iter().map(|(key, flow)| (*key, flow.get())).collect();
        states.sort_by_key(|(key, _)| format!("{key:?}"));
        states
    }

    /// How many flows are remembered.
    pub fn flows(&self) -> usize {
        self.flows.borrow().len()
    }

    /// Sees the world from elsewhere on the same gateway: the tables stay.
    pub fn at(mut self, place: Place) -> Self {
        self.place = place;
        self
    }

    fn access(&mut self, local: u16) -> &mut Access {
        &mut self.policy.access[usize::from(local)]
    }
}

impl Host {
    fn first_bits(self) -> [(Family, u16); 2] {
        super::FAMILIES.map(|family| {
            let bytes = self.address(family);
            (family, u16::from_be_bytes([bytes[0], bytes[1]]))
        })
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

impl Tables for World {
    type Flow = Slot;

    fn policy(&self) -> &Policy {
        &self.policy
    }

    fn trie(&self) -> Option<&Trie> {
        Some(&self.trie)
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
