//! A policy for unit tests, and tables in memory over it.

use super::{GATEWAY, Host};
use crate::address::trie::{self, Entry, Next, Trie};
use crate::address::{Address, AddressClass, Family, LOCAL_SELF};
use crate::counter::Direction;
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
        // Never on the stack, which is too small for it.
        let mut trie: Box<Trie> = vec![0; trie::WORDS].try_into().unwrap();
        write_martians(&mut trie);
        Self {
            policy,
            state: Rc::new(State::at(START)),
            place: Place::Host,
            trie,
        }
    }

    /// The host has the addresses of this one.
    pub(crate) fn own(mut self, host: Host) -> Self {
        let own = Entry::encode(Next::Class(marked(0, AddressClass::NOBODY))).0;
        for (family, first) in host.first_bits() {
            let address = host.parsed(family);
            self.policy.own.insert(&address);
            // The whole address, as the filter has it. Each host has a place for its nodes.
            let at = trie::NODES + (64 * (1 + family as usize) + usize::from(host.0)) * 8;
            let (length, bits) = match family {
                Family::V4 => (32, u128::from(address.low) << 96),
                Family::V6 => (
                    128,
                    u128::from(address.high) << 64 | u128::from(address.low),
                ),
            };
            let before = trie::root(family) + usize::from(first);
            write_match(&mut self.trie, (before, at), (length, bits), own);
        }
        self
    }

    /// The policy tells addresses apart.
    pub(crate) fn telling_apart(self) -> Self {
        self.with(flag::ADDRESSES | flag::LOCAL_ADDRESSES)
    }

    /// A protected system that is behind this machine.
    pub(crate) fn behind(mut self, host: Host) -> Self {
        self.classify(host, marked(0, AddressClass::INSIDE));
        self
    }

    /// Lets peers open `services` at this system alone, which the policy lists by its address.
    pub(crate) fn inbound_at(mut self, host: Host, services: &[ServiceClass]) -> Self {
        const LISTED: u16 = 3;
        self.classify(host, marked(LISTED, 0));
        let set = &mut self.access(LISTED, 0).inbound;
        services.iter().for_each(|class| set.insert(*class));
        self
    }

    fn classify(&mut self, host: Host, class: AddressClass) {
        for (family, first) in host.first_bits() {
            let index = trie::root(family) + usize::from(first);
            self.trie[index] = Entry::encode(Next::Class(class)).0;
        }
    }

    /// The same on a gateway that has the address of [`GATEWAY`] and may open
    /// everything.
    pub(crate) fn gateway(place: Place) -> Self {
        let mut world = Self::host();
        world.place = place;
        world.policy.flags |= flag::ADDRESSES;
        world.classify(GATEWAY, marked(LOCAL_SELF, AddressClass::NOBODY));
        let groups = (0xe000..0xf000)
            .chain([0xffff])
            .map(|first| (Family::V4, first));
        let groups = groups.chain((0xff00..=0xffff).map(|first| (Family::V6, first)));
        for (family, first) in groups {
            let index = trie::root(family) + first;
            let AddressClass { local, peer } = AddressClass::GROUP;
            let group = marked(local, peer | AddressClass::NOBODY);
            world.trie[index] = Entry::encode(Next::Class(group)).0;
        }
        for peer in [AddressClass::ANY.peer, AddressClass::GROUP.peer] {
            world.access(LOCAL_SELF, peer).outbound = ServiceSet::ALL;
        }
        world
    }

    /// The gateway has the addresses of this one, too.
    pub(crate) fn gateway_at(mut self, host: Host) -> Self {
        self.classify(host, marked(LOCAL_SELF, AddressClass::NOBODY));
        self
    }

    /// Lets `peer` alone open `services` at the protected systems. The site is these.
    pub(crate) fn naming(mut self, peer: Host, services: &[ServiceClass], site: &[Host]) -> Self {
        const NAMED: u16 = 3;
        // Rights have other places now.
        self.policy.access = Policy::EMPTY.access;
        self.policy.peers = u32::from(NAMED) + 1;
        site.iter()
            .for_each(|host| self.classify(*host, marked(0, NAMED - 1)));
        self.classify(peer, marked(0, NAMED));
        for class in [NAMED - 1, NAMED] {
            self.access(0, class).outbound.insert(ServiceClass::RELAYED);
        }
        let set = &mut self.access(0, NAMED).inbound;
        services.iter().for_each(|class| set.insert(*class));
        self
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

    /// The same, with the service; `None` if it is not judged here. Both paths must agree, as for what
    /// comes in.
    pub(crate) fn egress(&self, frame: &[u8]) -> Option<Verdict> {
        let fast = self.fast_egress(frame);
        let (direction, verdict) = self.tables().slow_egress(frame, self.place, false)?;
        assert!(
            fast.is_none_or(|fast| fast == verdict),
            "{fast:?} {verdict:?} {frame:x?}"
        );
        assert_eq!(direction, Direction::Outbound, "{verdict:?}");
        Some(verdict)
    }

    /// What the fast path says of a frame that goes out, if it decides.
    pub(crate) fn fast_egress(&self, frame: &[u8]) -> Option<Verdict> {
        self.tables().fast_egress(frame, self.place)
    }

    /// What becomes of a frame that came in at a card that nobody enforces, and goes out here.
    pub(crate) fn forwards(&self, frame: &[u8]) -> Option<Verdict> {
        let (direction, verdict) = self.tables().egress(frame, self.place, true)?;
        assert_eq!(direction, Direction::Inbound, "{verdict:?}");
        Some(verdict)
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

const fn marked(local: u16, peer: u16) -> AddressClass {
    AddressClass { local, peer }
}

/// Marks what stands for no single system: 0.0.0.0/8, 127.0.0.0/8, 224.0.0.0/3, `::`, `::1`,
/// ::ffff:0:0/96 and ff00::/8.
fn write_martians(trie: &mut Trie) {
    let martian = Entry::encode(Next::Class(marked(0, AddressClass::NOBODY))).0;
    let (v4, v6) = (trie::root(Family::V4), trie::root(Family::V6));
    for first in [0x0000..=0x00ff, 0x7f00..=0x7fff, 0xe000..=0xffff] {
        first.for_each(|first: usize| trie[v4 + first] = martian);
    }
    (0xff00..=0xffff).for_each(|first: usize| trie[v6 + first] = martian);
    // Three matches in a row; the first bits of all three are 0.
    let mut before = v6;
    for (number, (length, bits)) in [(128, 0_u128), (128, 1), (96, 0xffff << 32)]
        .into_iter()
        .enumerate()
    {
        let at = trie::NODES + number * 8;
        write_match(trie, (before, at), (length, bits), martian);
        before = at + 1;
    }
}

/// Writes a match at `at`, to which the entry at `before` leads; other addresses belong to no class.
fn write_match(trie: &mut Trie, (before, at): (usize, usize), prefix: (u8, u128), inside: u32) {
    let (length, bits) = prefix;
    let node = Next::Match {
        length,
        at: at as u32,
    };
    trie[before] = Entry::encode(node).0;
    trie[at] = inside;
    for (place, quarter) in [(2, 2), (3, 3), (4, 0), (5, 1)] {
        trie[at + place] = (bits >> (32 * quarter)) as u32;
    }
}

impl Host {
    /// As the program knows it.
    pub(crate) fn parsed(self, family: Family) -> Address {
        match self.address(family) {
            IpAddr::V4(address) => Address::v4(address.octets()),
            IpAddr::V6(address) => {
                let bits = address.to_bits();
                Address {
                    high: (bits >> 64) as u64,
                    low: bits as u64,
                }
            }
        }
    }

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
