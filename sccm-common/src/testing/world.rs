//! A policy for unit tests, and tables in memory over it.

use super::{GATEWAY, Host};
use crate::address::trie::{self, Entry, Next, Trie};
use crate::address::{AddressClass, Family, LOCAL_SELF};
use crate::flow::{FlowKey, FlowState};
use crate::memory::{MemoryTables, State};
use crate::policy::{Access, flag};
use crate::service::ServiceSet;
use crate::{Place, Policy, Reason, ServiceClass, Verdict};
use std::boxed::Box;
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
    pub state: Rc<State>,
    place: Place,
    trie: Box<Trie>,
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
            state: Rc::new(State::at(START)),
            place: Place::Host,
            // Never on the stack, which is too small for it.
            trie: vec![0; trie::WORDS].try_into().unwrap(),
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
            let index = trie::root(family) + usize::from(first);
            world.trie[index] = Entry::encode(Next::Class(own)).0;
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

    /// The tables that judge.
    pub fn tables(&self) -> MemoryTables<'_> {
        MemoryTables {
            policy: &self.policy,
            trie: &self.trie,
            state: Rc::clone(&self.state),
        }
    }

    /// What becomes of a frame that comes in.
    pub fn arrives(&self, frame: &[u8]) -> Reason {
        self.ingress(frame).reason
    }

    /// The same, with the service. Where the fast path decides, the slow one must agree: judging
    /// twice at the same moment changes nothing.
    pub fn ingress(&self, frame: &[u8]) -> Verdict {
        let fast = self.fast_ingress(frame);
        let slow = self.tables().slow_ingress(frame, self.place);
        assert!(
            fast.is_none_or(|fast| fast == slow),
            "{fast:?} {slow:?} {frame:x?}"
        );
        slow
    }

    /// What the fast path says of a frame that comes in, if it decides.
    pub fn fast_ingress(&self, frame: &[u8]) -> Option<Verdict> {
        self.tables().fast_ingress(frame, self.place)
    }

    /// What becomes of a frame that goes out.
    pub fn leaves(&self, frame: &[u8]) -> Reason {
        self.egress(frame).expect("not a forwarded one").reason
    }

    /// The same, with the service; `None` for a forwarded frame.
    pub fn egress(&self, frame: &[u8]) -> Option<Verdict> {
        self.tables().egress(frame, self.place)
    }

    /// Lets time pass.
    pub fn wait(&self, seconds: u32) {
        self.state.wait(seconds);
    }

    /// How many flows, first fragments and transfers are remembered.
    pub fn remembered(&self) -> (usize, usize, usize) {
        let State {
            fragments,
            transfers,
            ..
        } = &*self.state;
        let (fragments, transfers) = (fragments.borrow(), transfers.borrow());
        (self.flows(), fragments.len(), transfers.len())
    }

    /// What is remembered of each flow, in the order of its keys.
    pub fn flow_states(&self) -> Vec<(FlowKey, FlowState)> {
        let flows = self.state.flows.borrow();
        let mut states: Vec<_> = flows.iter().map(|(key, flow)| (*key, flow.get())).collect();
        states.sort_by_key(|(key, _)| format!("{key:?}"));
        states
    }

    /// How many flows are remembered.
    pub fn flows(&self) -> usize {
        self.state.flow_count()
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
