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
use std::net::IpAddr;
use std::rc::Rc;
use std::vec::Vec;
use std::{format, vec};

/// The services that the policies of these tests know.
pub(crate) mod class {
    use crate::ServiceClass;

    pub(crate) const HTTP: ServiceClass = ServiceClass(16);
    pub(crate) const SMB: ServiceClass = ServiceClass(17);
    pub(crate) const TFTP: ServiceClass = ServiceClass(18);
    pub(crate) const DNS: ServiceClass = ServiceClass(19);
    pub(crate) const ECHO: ServiceClass = ServiceClass(20);
    pub(crate) const PPTP: ServiceClass = ServiceClass(21);
    pub(crate) const SSH: ServiceClass = ServiceClass(22);
}

/// Seconds since boot at which every test begins.
const START: u32 = 1_000_000;

/// A policy, what it remembers, and a clock.
pub(crate) struct World {
    pub policy: Box<Policy>,
    pub state: Rc<State>,
    place: Place,
    trie: Box<Trie>,
}

impl World {
    /// A protected host whose policy knows the services of [`class`] and lets
    /// nobody open anything.
    pub(crate) fn host() -> Self {
        let mut policy = Box::new(Policy::EMPTY);
        for (port, class) in [
            (80, class::HTTP),
            (445, class::SMB),
            (1723, class::PPTP),
            (22, class::SSH),
        ] {
            policy.tcp[port] = class;
        }
        // Groups are told apart as peers, as in every compiled policy.
        policy.peers = 2;
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
    pub(crate) fn gateway(place: Place) -> Self {
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
        let groups = (0xe000..0xf000)
            .chain([0xffff])
            .map(|first| (Family::V4, first));
        let groups = groups.chain((0xff00..=0xffff).map(|first| (Family::V6, first)));
        for (family, first) in groups {
            let index = trie::root(family) + first;
            world.trie[index] = Entry::encode(Next::Class(AddressClass::GROUP)).0;
        }
        for peer in [AddressClass::ANY.peer, AddressClass::GROUP.peer] {
            world.access(LOCAL_SELF, peer).outbound = ServiceSet::ALL;
        }
        world
    }

    /// Lets peers open `services` at the protected systems.
    pub(crate) fn inbound(mut self, services: &[ServiceClass]) -> Self {
        let set = &mut self.access(0, 0).inbound;
        services.iter().for_each(|class| set.insert(*class));
        self
    }

    /// Lets peers send `services` to groups.
    pub(crate) fn inbound_to_groups(mut self, services: &[ServiceClass]) -> Self {
        let set = &mut self.access(AddressClass::GROUP.local, 0).inbound;
        services.iter().for_each(|class| set.insert(*class));
        self
    }

    /// Lets the protected systems send `services` to groups.
    pub(crate) fn outbound_to_groups(mut self, services: &[ServiceClass]) -> Self {
        let set = &mut self.access(0, AddressClass::GROUP.peer).outbound;
        services.iter().for_each(|class| set.insert(*class));
        self
    }

    /// Lets peers open `services` at the gateway.
    pub(crate) fn manage(mut self, services: &[ServiceClass]) -> Self {
        let set = &mut self.access(LOCAL_SELF, 0).inbound;
        services.iter().for_each(|class| set.insert(*class));
        self
    }

    /// Lets the protected systems open `services`, and nothing else.
    pub(crate) fn enforcing(mut self, services: &[ServiceClass]) -> Self {
        self.policy.flags |= flag::OUTBOUND_ENFORCE;
        let set = &mut self.access(0, 0).outbound;
        services.iter().for_each(|class| set.insert(*class));
        self
    }

    /// Sets bits of [`flag`].
    pub(crate) fn with(mut self, flags: u32) -> Self {
        self.policy.flags |= flags;
        self
    }

    /// The tables that judge.
    pub(crate) fn tables(&self) -> MemoryTables<'_> {
        MemoryTables {
            policy: &self.policy,
            trie: &self.trie,
            state: Rc::clone(&self.state),
        }
    }

    /// What becomes of a frame that comes in.
    pub(crate) fn arrives(&self, frame: &[u8]) -> Reason {
        self.ingress(frame).reason
    }

    /// The same, with the service. Where the fast path decides, the slow one must agree: judging
    /// twice at the same moment changes nothing.
    pub(crate) fn ingress(&self, frame: &[u8]) -> Verdict {
        let fast = self.fast_ingress(frame);
        let slow = self.tables().slow_ingress(frame, self.place);
        assert!(
            fast.is_none_or(|fast| fast == slow),
            "{fast:?} {slow:?} {frame:x?}"
        );
        slow
    }

    /// What the fast path says of a frame that comes in, if it decides.
    pub(crate) fn fast_ingress(&self, frame: &[u8]) -> Option<Verdict> {
        self.tables().fast_ingress(frame, self.place)
    }

    /// What becomes of a frame that goes out.
    pub(crate) fn leaves(&self, frame: &[u8]) -> Reason {
        self.egress(frame).expect("not a forwarded one").reason
    }

    /// The same, with the service; `None` for a forwarded frame.
    pub(crate) fn egress(&self, frame: &[u8]) -> Option<Verdict> {
        self.tables().egress(frame, self.place)
    }

    /// Lets time pass.
    pub(crate) fn wait(&self, seconds: u32) {
        self.state.wait(seconds);
    }

    /// How many flows, first fragments and transfers are remembered.
    pub(crate) fn remembered(&self) -> (usize, usize, usize) {
        let State {
            fragments,
            transfers,
            ..
        } = &*self.state;
        let (fragments, transfers) = (fragments.borrow(), transfers.borrow());
        (self.flows(), fragments.len(), transfers.len())
    }

    /// What is remembered of each flow, in the order of its keys.
    pub(crate) fn flow_states(&self) -> Vec<(FlowKey, FlowState)> {
        let flows = self.state.flows.borrow();
        let mut states: Vec<_> = flows.iter().map(|(key, flow)| (*key, flow.get())).collect();
        states.sort_by_key(|(key, _)| format!("{key:?}"));
        states
    }

    /// How many flows are remembered.
    pub(crate) fn flows(&self) -> usize {
        self.state.flow_count()
    }

    /// Sees the world from elsewhere on the same gateway: the tables stay.
    pub(crate) fn at(mut self, place: Place) -> Self {
        self.place = place;
        self
    }

    /// From where it is seen.
    pub(crate) fn place(&self) -> Place {
        self.place
    }

    fn access(&mut self, local: u16, peer: u16) -> &mut Access {
        let pair = usize::from(local) * self.policy.peers as usize + usize::from(peer);
        &mut self.policy.access[pair]
    }
}

impl Host {
    fn first_bits(self) -> [(Family, u16); 2] {
        super::FAMILIES.map(|family| match self.address(family) {
            IpAddr::V4(address) => {
                let [a, b, ..] = address.octets();
                (family, u16::from_be_bytes([a, b]))
            }
            IpAddr::V6(address) => (family, address.segments()[0]),
        })
    }
}
