//! Whose address the other end of a refused packet has, as a number.
//!
//! The policy compiler gives every set of roles that an address may have a number, and keeps
//! the name of a number for ever, because counters outlive policies.

/// Number of the roles of a peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(transparent)]
pub struct Peer(pub u8);

impl Peer {
    /// Nobody asked: the policy names no peers, or the packet ended before.
    pub const NOT_KNOWN: Self = Self(0);
    /// An address that holds no role.
    pub const OTHER: Self = Self(1);
    /// The first number that the policy compiler hands out.
    pub const FIRST_NAMED: u8 = 2;
    /// How many numbers there can be.
    pub const COUNT: usize = 22;
}
