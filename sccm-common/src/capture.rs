//! Captured packets: how a process gets copies of refused packets from the kernel.
//!
//! The process writes an order: which packets it wants, how many bytes of each, and until when.
//! It renews the order every few seconds, so the order of a process that died runs out by itself.
//! The kernel copies each packet that is wanted into a record and sends it through a ring buffer.
//! A record for which the buffer has no room is lost, and counted. The packet is dropped in any
//! case.

use crate::counter::Direction;
use crate::desk;
use crate::judgement::{Hook, Judgement};

/// The most bytes of a packet that are copied: more than a frame of the usual length has.
pub const LONGEST: usize = 2048;

/// Bytes of the ring buffer: some 6,000 packets of 128 bytes.
pub const RING_BYTES: u32 = 1 << 20;

/// [`Order::slot`]: whatever the interface.
pub const ANY_SLOT: u32 = u32::MAX;

/// [`Order::reason`]: whatever the reason. No dropped packet has the reason with this number.
pub const ANY_REASON: u32 = 0;

/// What is wanted. All zero: nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[repr(C)]
pub struct Order {
    /// Until when, in seconds of the program's clock; 0: nothing is wanted, and nothing else
    /// is looked at.
    pub until: u32,
    /// Number of the order. Records carry it, so a process knows the records of its own order.
    pub id: u32,
    /// How many bytes of each packet, from 1 to [`LONGEST`].
    pub snaplen: u32,
    /// Slot of the interface, or [`ANY_SLOT`].
    pub slot: u32,
    /// Number of the reason, or [`ANY_REASON`].
    pub reason: u32,
}

const _: () = assert!(size_of::<Order>() == 20);

impl Order {
    /// Whether a packet that is refused at `now` is to be copied.
    #[inline(always)]
    pub const fn wants(&self, about: &About, now: u32) -> bool {
        now < self.until
            && (self.slot == ANY_SLOT || self.slot == about.slot as u32)
            && (self.reason == ANY_REASON || self.reason == about.reason as u32)
    }
}

/// Why a packet was dropped, and on which interface.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[repr(C)]
pub struct About {
    /// Number of the [`Reason`](crate::Reason).
    pub reason: u8,
    /// Number of the service class.
    pub service: u8,
    /// Slot of the interface.
    pub slot: u8,
    /// Bits of [`mark`].
    pub marks: u8,
}

impl About {
    /// What a record says of a frame that `hook` judged so.
    #[inline(always)]
    pub const fn of(judgement: &Judgement, hook: Hook) -> Self {
        let outbound = match judgement.direction {
            Direction::Inbound => 0,
            Direction::Outbound => mark::OUTBOUND,
        };
        let observed = match judgement.observing {
            true => mark::OBSERVED,
            false => 0,
        };
        let leaving = match hook {
            Hook::Ingress => 0,
            Hook::Egress => mark::LEAVING,
        };
        Self {
            reason: judgement.verdict.reason as u8,
            service: judgement.verdict.service.0,
            slot: judgement.slot as u8,
            marks: outbound | observed | leaving,
        }
    }

    /// The same, with whether the frame has an Ethernet header.
    #[inline(always)]
    #[must_use]
    pub const fn linked(mut self, has_link: bool) -> Self {
        if !has_link {
            self.marks |= mark::NO_LINK;
        }
        self
    }

    /// All of it in a word.
    #[inline(always)]
    pub const fn to_word(self) -> u32 {
        u32::from_le_bytes([self.reason, self.service, self.slot, self.marks])
    }

    /// The inverse.
    #[inline(always)]
    pub const fn of_word(word: u32) -> Self {
        let [reason, service, slot, marks] = word.to_le_bytes();
        Self {
            reason,
            service,
            slot,
            marks,
        }
    }
}

/// Bits of [`About::marks`].
pub mod mark {
    /// From the protected system.
    pub const OUTBOUND: u8 = 1 << 0;
    /// Observe mode: it was let pass.
    pub const OBSERVED: u8 = 1 << 1;
    /// The egress hook judged it.
    pub const LEAVING: u8 = 1 << 2;
    /// It begins with its IP header.
    pub const NO_LINK: u8 = 1 << 3;
}

/// The part of a record before the packet's bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[repr(C)]
pub struct Header {
    /// When, in nanoseconds of `CLOCK_MONOTONIC`.
    pub at: u64,
    /// [`Order::id`].
    pub id: u32,
    /// Bytes of the whole frame.
    pub length: u32,
    /// The VLAN tag that the kernel keeps beside the frame, as it would stand in it; 0: none.
    pub tag: u32,
    /// Why it was refused.
    pub about: About,
}

/// Bytes of [`Header`].
pub const HEADER: usize = 24;

const _: () = assert!(size_of::<Header>() == HEADER);

/// Where the kernel program puts a record together.
pub type Desk = desk::Desk<Header, LONGEST>;

const _: () = assert!(size_of::<Desk>() == 8 + HEADER + LONGEST);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_order_wants_what_it_names_until_it_runs_out() {
        let about = About {
            reason: 3,
            service: 1,
            slot: 2,
            marks: mark::LEAVING,
        };
        assert_eq!(About::of_word(about.to_word()), about);
        let all = Order {
            until: 100,
            slot: ANY_SLOT,
            reason: ANY_REASON,
            ..Order::default()
        };
        assert!(all.wants(&about, 99));
        assert!(!all.wants(&about, 100));
        assert!(!Order::default().wants(&about, 0));
        for (slot, reason, wanted) in [
            (2, 3, true),
            (1, 3, false),
            (2, 4, false),
            (ANY_SLOT, 3, true),
            (2, ANY_REASON, true),
        ] {
            let order = Order {
                slot,
                reason,
                ..all
            };
            assert_eq!(order.wants(&about, 0), wanted, "{order:?}");
        }
    }
}
