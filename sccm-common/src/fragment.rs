//! What became of the first fragment of a datagram, so that the others follow.
//!
//! Only a first fragment that passed is remembered, in a small table of its own
//! that evicts its oldest: filling it from outside costs other fragmented
//! datagrams, never a flow.

use crate::address::{Address, Family};
use crate::packet::Packet;

/// Datagrams that are remembered at once.
pub const CAPACITY: u32 = 16_384;

/// Seconds for which later fragments follow, as long as Linux reassembles
/// (`IP_FRAG_TIME`, include/net/ip.h).
const LIFETIME: u32 = 30;

/// What all fragments of a datagram share (RFC 791, 3.2; RFC 8200, 4.5).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(C)]
pub struct FragmentKey {
    /// The sender.
    pub source: Address,
    /// The receiver.
    pub destination: Address,
    /// The identification.
    pub id: u32,
    /// IPv4: the protocol. IPv6: [`V6`], because later fragments need not say.
    pub protocol: u32,
}

/// In place of a protocol, a number that no protocol has.
pub const V6: u32 = 256;

const _: () = assert!(size_of::<FragmentKey>() == 40);

impl FragmentKey {
    /// The datagram that a fragment belongs to.
    #[inline(always)]
    pub const fn of(packet: &Packet) -> Self {
        Self {
            source: packet.source,
            destination: packet.destination,
            id: packet.fragment_id,
            protocol: match packet.family {
                Family::V4 => packet.protocol.0 as u32,
                Family::V6 => V6,
            },
        }
    }
}

/// When the first fragment passed, in seconds since boot, and above that where in the datagram
/// its transport header ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(transparent)]
pub struct FragmentState(u64);

impl FragmentState {
    /// A first fragment that passed at `now`; its transport header ends at byte `header_end`.
    #[inline(always)]
    pub const fn new(now: u32, header_end: u16) -> Self {
        Self((header_end as u64) << 32 | now as u64)
    }

    /// The byte of the datagram before which a later fragment would overwrite the header.
    #[inline(always)]
    pub const fn header_end(self) -> u16 {
        (self.0 >> 32) as u16
    }

    /// Whether later fragments still follow it at `now`.
    #[inline(always)]
    pub const fn is_fresh(self, now: u32) -> bool {
        now.saturating_sub(self.0 as u32) <= LIFETIME
    }
}
