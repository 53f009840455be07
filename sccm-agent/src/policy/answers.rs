//! Questions to a compiled policy, answered in this process.

use super::{Compiled, Target};
use sccm_common::address::{self, Address, AddressClass, Family};
use sccm_common::memory::MemoryTables;
use sccm_common::policy::{Access, flag};
use sccm_common::{Policy, ServiceClass};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

impl Target {
    /// Its service class in a policy's tables; of its first port where there are several.
    pub(super) fn class_in(&self, policy: &Policy) -> ServiceClass {
        match self {
            Self::Tcp(ports) => policy.tcp[usize::from(*ports.start())],
            Self::Udp(ports) => policy.udp[usize::from(*ports.start())],
            Self::Icmp(kind) => policy.icmp[usize::from(*kind)],
            Self::Icmpv6(kind) => policy.icmpv6[usize::from(*kind)],
            Self::Protocol(number) => policy.protocol[usize::from(*number)],
        }
    }
}

impl Compiled {
    /// The tables in memory: what the kernel would do with a frame under this policy.
    #[must_use]
    pub fn in_memory(&self) -> MemoryTables<'_> {
        MemoryTables::new(&self.policy, self.addresses.trie())
    }

    /// What a protected system at `local` and a peer may open to each other.
    #[must_use]
    pub fn access(&self, local: IpAddr, peer: IpAddr) -> &Access {
        let (local, peer) = (self.class_at(local), self.class_at(peer));
        self.policy.access(self.policy.pair(local.local, peer.peer))
    }

    /// The class of an address.
    pub(super) fn class_at(&self, address: IpAddr) -> AddressClass {
        let (family, address) = address_of(address);
        address::classify(self.addresses.trie(), family, &address)
    }

    /// The service class of a target; of its first port where there are several.
    #[must_use]
    pub fn class_of(&self, target: &Target) -> ServiceClass {
        target.class_in(&self.policy)
    }

    /// Whether packets from `peer` are dropped for their source alone, where they come in.
    #[must_use]
    pub fn refuses_source(&self, peer: IpAddr, from_segment: bool) -> bool {
        let class = self.class_at(peer);
        class.is_marked(AddressClass::NOBODY)
            || !from_segment && class.is_marked(AddressClass::INSIDE)
    }

    /// Whether `peer` may open TCP connections to `port` at `local`.
    #[must_use]
    pub fn admits_tcp(&self, peer: IpAddr, local: IpAddr, port: u16) -> bool {
        let service = self.class_of(&Target::Tcp(port..=port));
        self.access(local, peer).inbound.contains(service)
    }

    /// Lets packets pass whatever the verdict until these times, by the program's clock and in
    /// seconds since 1970.
    pub fn warm_up(&mut self, until: u32, wall: u64) {
        self.policy.flags |= flag::WARM_UP;
        self.policy.until = until;
        self.info.flags |= flag::WARM_UP;
        self.info.until = until.into();
        self.info.warm_up_until = wall;
    }

    /// Lets probes pass until this time, by the program's clock, if they may at all. A warm-up tells
    /// what is under way without them.
    pub fn probe(&mut self, until: u32) {
        if !self.policy.has(flag::WARM_UP) && until > self.policy.until {
            self.policy.until = until;
            self.info.until = until.into();
        }
    }
}

/// An address as people write it.
#[must_use]
pub fn ip_of(family: Family, address: Address) -> IpAddr {
    match family {
        Family::V4 => IpAddr::V4(Ipv4Addr::from_bits(address.low as u32)),
        Family::V6 => {
            let bits = u128::from(address.high) << 64 | u128::from(address.low);
            IpAddr::V6(Ipv6Addr::from_bits(bits))
        }
    }
}

/// An address as the programs know it.
#[must_use]
pub fn address_of(address: IpAddr) -> (Family, Address) {
    match address {
        IpAddr::V4(address) => (Family::V4, Address::v4(address.octets())),
        IpAddr::V6(address) => {
            let (high, low) = (address.to_bits() >> 64, address.to_bits());
            let (high, low) = (high as u64, low as u64);
            (Family::V6, Address { high, low })
        }
    }
}
