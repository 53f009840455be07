//! A compiled policy that decides in this process, as the kernel would.
//!
//! It runs the same functions over the same tables; only the maps are vectors.

use super::{Compiled, Target};
use sccm_common::address::{self, Address, Family, Trie};
use sccm_common::flow::{FlowKey, FlowSlot, FlowState};
use sccm_common::fragment::{FragmentKey, FragmentState};
use sccm_common::policy::Access;
use sccm_common::tftp::{TransferKey, TransferState};
use sccm_common::verdict::{self, Tables};
use sccm_common::{Place, Policy, ServiceClass, SliceCursor, Verdict, wire};
use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::net::IpAddr;
use std::rc::Rc;

/// Tables for [`sccm_common::verdict`], with flows and a clock of their own.
pub struct Native<'a> {
    compiled: &'a Compiled,
    /// What it remembers of each flow.
    pub flows: RefCell<HashMap<FlowKey, Rc<Cell<FlowState>>>>,
    /// What became of the first fragments.
    pub fragments: RefCell<HashMap<FragmentKey, FragmentState>>,
    /// The file transfers that were asked for.
    pub transfers: RefCell<HashMap<TransferKey, TransferState>>,
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
            fragments: RefCell::default(),
            transfers: RefCell::default(),
            now: Cell::new(0),
        }
    }

    /// Judges a frame that arrives at `place`.
    pub fn arriving(&self, frame: &[u8], place: Place) -> Verdict {
        match wire::parse(&mut SliceCursor::new(frame)) {
            Ok(packet) => verdict::arriving(self, &packet, frame, place),
            Err(reason) => verdict::arriving_unparsed(self, reason),
        }
    }

    /// Judges a frame that leaves at `place`; `None` for one that a gateway
    /// forwards.
    pub fn leaving(&self, frame: &[u8], place: Place) -> Option<Verdict> {
        match wire::parse(&mut SliceCursor::new(frame)) {
            Ok(packet) => verdict::leaving(self, &packet, frame, place),
            Err(_) => verdict::leaving_unparsed(place),
        }
    }

    /// How many flows are known.
    pub fn flows(&self) -> usize {
        self.flows.borrow().len()
    }
}

impl Compiled {
    /// What a protected system at `local` and a peer may open to each other.
    #[must_use]
    pub fn access(&self, local: IpAddr, peer: IpAddr) -> &Access {
        let class = |address| {
            let (family, address) = address_of(address);
            address::classify(self.addresses.trie(), family, &address)
        };
        let pair = self.policy.pair(class(local).local, class(peer).peer);
        self.policy.access(pair)
    }

    /// The service class of a target; of its first port where there are several.
    #[must_use]
    pub fn class_of(&self, target: &Target) -> ServiceClass {
        match target {
            Target::Tcp(ports) => self.policy.tcp[usize::from(*ports.start())],
            Target::Udp(ports) => self.policy.udp[usize::from(*ports.start())],
            Target::Icmp(kind) => self.policy.icmp[usize::from(*kind)],
            Target::Icmpv6(kind) => self.policy.icmpv6[usize::from(*kind)],
            Target::Protocol(number) => self.policy.protocol[usize::from(*number)],
        }
    }

    /// Whether `peer` may open TCP connections to `port` at `local`.
    #[must_use]
    pub fn admits_tcp(&self, peer: IpAddr, local: IpAddr, port: u16) -> bool {
        let service = self.class_of(&Target::Tcp(port..=port));
        self.access(local, peer).inbound.contains(service)
    }
}

fn address_of(address: IpAddr) -> (Family, Address) {
    match address {
        IpAddr::V4(address) => (Family::V4, Address::v4(address.octets())),
        IpAddr::V6(address) => {
            let (high, low) = (address.to_bits() >> 64, address.to_bits());
            let (high, low) = (high as u64, low as u64);
            (Family::V6, Address { high, low })
        }
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

    fn trie(&self) -> Option<&Trie> {
        Some(self.compiled.addresses.trie())
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
