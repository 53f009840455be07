//! Which roles the other end of a refused packet has, as a number.
//!
//! The policy compiler numbers the sets of roles that addresses have. A number keeps its name
//! for ever, because counters outlive policies.

/// Number of the roles of a peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(transparent)]
pub struct Peer(pub u8);

impl Peer {
    /// Not looked up: the policy names no peers, or the verdict did not depend on the peer.
    pub const NOT_KNOWN: Self = Self(0);
    /// An address that holds no role.
    pub const OTHER: Self = Self(1);
    /// The first number that the policy compiler hands out.
    pub const FIRST_NAMED: u8 = 2;
    /// How many numbers there can be.
    pub const COUNT: usize = 22;
}
