//! Captured packets: how one process has the kernel hand it what is refused.
//!
//! An order names what is wanted and until when. The process that gave it renews it; when it
//! dies, the order runs out by itself. A packet that is wanted is copied into a record, as
//! far as the order says, and goes through a ring buffer of its own. Whatever has no room
//! there is counted and lost: that the packet is dropped does not depend on it.

/// The most bytes of a packet that are copied: more than a frame of the usual length has. A
/// power of two, so that the verifier can bound it by a mask.
pub const LONGEST: usize = 2048;

/// Bytes of the ring buffer: some 6,000 packets of 128 bytes.
pub const RING_BYTES: u32 = 1 << 20;

/// [`Order::slot`]: whatever the interface.
pub const ANY_SLOT: u32 = u32::MAX;

/// [`Order::reason`]: whatever the reason. It is the number of a reason to pass.
pub const ANY_REASON: u32 = 0;

/// What is wanted. All zero: nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[repr(C)]
pub struct Order {
    /// Until when, in seconds of the program's clock; 0: nothing is wanted, and nothing else
    /// is looked at.
    pub until: u32,
    /// Whose order it is: records carry it, so that nobody takes those of another.
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

/// Why a packet was refused, and where.
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
    /// It left through the interface, where others arrive.
    pub const LEAVING: u8 = 1 << 2;
}

/// What a record says before the packet's bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[repr(C)]
pub struct Header {
    /// When, in nanoseconds of `CLOCK_MONOTONIC`.
    pub at: u64,
    /// The order's.
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

/// A record.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct Record {
    /// What is said of the packet.
    pub header: Header,
    /// Its first bytes.
    pub bytes: [u8; LONGEST],
}

/// Where a record is put together.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct Desk {
    /// Records for which the ring buffer had no room.
    pub lost: u64,
    /// The record.
    pub record: Record,
}

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
