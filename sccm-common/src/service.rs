//! Service classes: the number that names what a packet wants.
//!
//! Every port of TCP and of UDP, every ICMP type and every other IP protocol
//! belongs to exactly one class. The numbers below 16 are fixed and mean "this
//! protocol, but no service that the policy knows"; the compiler hands out the
//! others. The same number indexes the access bits, the counters and the names.

/// A service class.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(transparent)]
pub struct ServiceClass(pub u8);

impl ServiceClass {
    /// No service: not an IP packet, or one that did not parse.
    pub const NONE: Self = Self(0);
    /// A TCP port of no known service.
    pub const TCP: Self = Self(1);
    /// A UDP port of no known service.
    pub const UDP: Self = Self(2);
    /// An ICMP type of no known service.
    pub const ICMP: Self = Self(3);
    /// An ICMPv6 type of no known service.
    pub const ICMPV6: Self = Self(4);
    /// Generic routing encapsulation.
    pub const GRE: Self = Self(5);
    /// IPsec encapsulating security payload.
    pub const ESP: Self = Self(6);
    /// IPsec authentication header.
    pub const AH: Self = Self(7);
    /// Internet group management.
    pub const IGMP: Self = Self(8);
    /// Any other IP protocol.
    pub const OTHER: Self = Self(9);
    /// No packet's service: the ports that the endpoint mapper of RPC hands out, each to whom it is
    /// handed. Only rights have it.
    pub const HANDED_OUT: Self = Self(14);
    /// No packet's service: whom a protected DHCP server may answer because a relay says so. Only
    /// outbound rights have it.
    pub const RELAYED: Self = Self(15);
    /// The first number that the policy compiler hands out.
    pub const FIRST_NAMED: u8 = 16;
    /// How many classes there can be.
    pub const COUNT: usize = 256;
}

/// A set of service classes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[repr(transparent)]
pub struct ServiceSet(pub [u64; 4]);

impl ServiceSet {
    /// Every class.
    pub const ALL: Self = Self([u64::MAX; 4]);

    /// The classes of both.
    #[must_use]
    pub const fn union(self, other: Self) -> Self {
        let ([a0, a1, a2, a3], [b0, b1, b2, b3]) = (self.0, other.0);
        Self([a0 | b0, a1 | b1, a2 | b2, a3 | b3])
    }

    /// The classes that are in both.
    #[must_use]
    pub const fn intersection(self, other: Self) -> Self {
        let ([a0, a1, a2, a3], [b0, b1, b2, b3]) = (self.0, other.0);
        Self([a0 & b0, a1 & b1, a2 & b2, a3 & b3])
    }

    /// Adds `class`.
    pub const fn insert(&mut self, class: ServiceClass) {
        self.0[(class.0 >> 6) as usize] |= 1 << (class.0 & 63);
    }

    /// Whether `class` is in the set.
    #[inline(always)]
    pub const fn contains(&self, class: ServiceClass) -> bool {
        self.0[(class.0 >> 6) as usize] >> (class.0 & 63) & 1 == 1
    }
}
