//! Questions to a compiled policy, answered in this process.

use super::{Compiled, Target};
use sccm_common::ServiceClass;
use sccm_common::address::{self, Address, AddressClass, Family};
use sccm_common::memory::MemoryTables;
use sccm_common::policy::Access;
use std::net::IpAddr;

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
        match target {
            Target::Tcp(ports) => self.policy.tcp[usize::from(*ports.start())],
            Target::Udp(ports) => self.policy.udp[usize::from(*ports.start())],
            Target::Icmp(kind) => self.policy.icmp[usize::from(*kind)],
            Target::Icmpv6(kind) => self.policy.icmpv6[usize::from(*kind)],
            Target::Protocol(number) => self.policy.protocol[usize::from(*number)],
        }
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
}

pub(super) fn address_of(address: IpAddr) -> (Family, Address) {
    match address {
        IpAddr::V4(address) => (Family::V4, Address::v4(address.octets())),
        IpAddr::V6(address) => {
            let (high, low) = (address.to_bits() >> 64, address.to_bits());
            let (high, low) = (high as u64, low as u64);
            (Family::V6, Address { high, low })
        }
    }
}
