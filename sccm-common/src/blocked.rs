//! Blocked flows: who was refused what, in a table of fixed size that a flood cannot make slow.
//!
//! Each CPU has a table of its own. A hash of the flow chooses a set of two entries. A flow that
//! is in the set already is only counted. A new flow needs a token from the bucket of its reason.
//! With a token it replaces the entry that was silent for longer, and the agent is told by an
//! event. Without one it is counted as suppressed, and nothing else is touched: most packets of a
//! flood from made-up addresses end so. The counters of `counter.rs` count every packet anyhow.
//!
//! The flows that a shadow judges otherwise are in a second table of the same kind, under the reason
//! of whichever of the two policies refuses them.

use crate::address::{Address, Family};
use crate::counter::Direction;
use crate::judgement::Judgement;
use crate::packet::Packet;
use crate::wire::ethernet::Header;

/// Sets of a table.
pub const SETS: u32 = 2048;

/// Entries of a set.
pub const WAYS: usize = 2;

/// New flows that each reason may note in a second, on each CPU.
pub const RATE: u32 = 64;

/// New flows that it may note at once.
pub const BURST: u32 = 256;

/// One bucket for each reason number.
pub const BUCKETS: u32 = 256;

/// Bytes of the ring buffer: 4,681 events with their headers.
pub const EVENTS_BYTES: u32 = 256 * 1024;

/// What tells blocked flows apart. All zero: no flow.
///
/// A frame in which no IP packet was found has [`mark::LINK`], its hardware addresses in the last
/// six bytes of both addresses, and its ethertype as port. The port of an 802.3 frame is 0; the
/// first half of its destination is the LLC header, with the SNAP id if it has one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(C)]
pub struct BlockedKey {
    /// The sender.
    pub source: Address,
    /// The receiver.
    pub destination: Address,
    /// Destination port, type of an ICMP message, or ethertype.
    pub port: u16,
    /// IP protocol number; 0 with [`mark::LINK`].
    pub protocol: u8,
    /// Number of the [`Reason`](crate::Reason); never 0, which is no reason to block.
    pub reason: u8,
    /// Number of the service class.
    pub service: u8,
    /// Slot of the interface.
    pub slot: u8,
    /// Number of the [`Family`].
    pub family: u8,
    /// Bits of [`mark`].
    pub marks: u8,
}

/// Bits of [`BlockedKey::marks`].
pub mod mark {
    /// From the protected system.
    pub const OUTBOUND: u8 = 1 << 0;
    /// Observe mode: it was let pass.
    pub const OBSERVED: u8 = 1 << 1;
    /// No IP packet was found: the addresses are hardware addresses.
    pub const LINK: u8 = 1 << 2;
    /// In the shadow's table: the active policy refuses it, and the candidate would let it pass. Without
    /// this, the candidate would refuse it.
    pub const WOULD_PASS: u8 = 1 << 3;
}

const _: () = assert!(size_of::<BlockedKey>() == 40);

impl BlockedKey {
    /// No flow.
    pub const NONE: Self = Self {
        source: Address { high: 0, low: 0 },
        destination: Address { high: 0, low: 0 },
        port: 0,
        protocol: 0,
        reason: 0,
        service: 0,
        slot: 0,
        family: 0,
        marks: 0,
    };

    /// The flow of a packet that was refused.
    #[inline(always)]
    pub const fn of(packet: &Packet, judgement: &Judgement) -> Self {
        Self {
            source: packet.source,
            destination: packet.destination,
            // The identifier of an echo would make each another flow.
            port: match packet.icmp_type {
                0 => packet.destination_port,
                kind => kind as u16,
            },
            protocol: packet.protocol.0,
            family: packet.family as u8,
            ..Self::of_frame(judgement)
        }
    }

    /// The same for a frame in which no IP packet was found, before [`BlockedKey::set_link`].
    #[inline(always)]
    pub const fn of_frame(judgement: &Judgement) -> Self {
        let outbound = match judgement.direction {
            Direction::Inbound => 0,
            Direction::Outbound => mark::OUTBOUND,
        };
        let observed = match judgement.observing {
            true => mark::OBSERVED,
            false => 0,
        };
        Self {
            reason: judgement.verdict.reason as u8,
            service: judgement.verdict.service.0,
            slot: judgement.slot as u8,
            marks: outbound | observed,
            ..Self::NONE
        }
    }

    /// Takes addresses and type from the link header.
    #[inline(always)]
    pub const fn set_link(&mut self, header: &Header) {
        self.source.low = header.source;
        self.destination = Address {
            high: header.llc,
            low: header.destination,
        };
        self.port = header.ethertype;
        self.marks |= mark::LINK;
    }

    /// The link header; `None` unless [`mark::LINK`] is set.
    #[must_use]
    pub const fn link(&self) -> Option<Header> {
        if self.marks & mark::LINK == 0 {
            return None;
        }
        Some(Header {
            destination: self.destination.low,
            source: self.source.low,
            ethertype: self.port,
            llc: self.destination.high,
        })
    }

    /// The family of both addresses.
    #[must_use]
    pub const fn family(&self) -> Family {
        match self.family {
            0 => Family::V4,
            _ => Family::V6,
        }
    }

    /// The fields behind the addresses in one word, for the hash.
    #[inline(always)]
    const fn details(&self) -> u64 {
        (self.port as u64)
            | (self.protocol as u64) << 16
            | (self.reason as u64) << 24
            | (self.service as u64) << 32
            | (self.slot as u64) << 40
            | (self.marks as u64) << 48
    }

    /// The number of the set for the flow: a multiplicative hash (Knuth, TAOCP 6.4).
    #[inline(always)]
    const fn set(&self) -> u32 {
        const ODD: u64 = 0x9e37_79b9_7f4a_7c15;
        let mut mixed = self.source.high ^ self.source.low.rotate_left(32);
        mixed = (mixed ^ self.details()).wrapping_mul(ODD);
        mixed ^= self.destination.low ^ self.destination.high;
        mixed = mixed.wrapping_mul(ODD);
        (mixed >> 40) as u32 & (SETS - 1)
    }
}

/// An entry of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(C)]
pub struct BlockedFlow {
    /// Which flow.
    pub key: BlockedKey,
    /// Packets of it.
    pub packets: u64,
    /// Bytes of them.
    pub bytes: u64,
    /// When the first came, in seconds of the program's clock.
    pub first: u32,
    /// When the last came.
    pub last: u32,
}

const _: () = assert!(size_of::<BlockedFlow>() == 64);

impl BlockedFlow {
    /// An entry that is not taken.
    pub const NONE: Self = Self {
        key: BlockedKey::NONE,
        packets: 0,
        bytes: 0,
        first: 0,
        last: 0,
    };

    /// Counts a packet.
    #[inline(always)]
    fn add(&mut self, length: u32, now: u32) {
        self.packets += 1;
        self.bytes += length as u64;
        self.last = now;
    }
}

/// How many more flows a reason may note.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[repr(C)]
pub struct Bucket {
    /// Tokens left.
    tokens: u32,
    /// When tokens were last added; 0 before the first time.
    filled: u32,
    /// Packets for which there was none.
    pub suppressed: u64,
    /// Events that did not fit into the ring buffer.
    pub lost: u64,
}

const _: () = assert!(size_of::<Bucket>() == 24);

impl Bucket {
    /// Takes a token, if there is one at `now`.
    #[inline(always)]
    fn take(&mut self, now: u32) -> bool {
        if self.filled != now {
            let earned = match self.filled {
                0 => BURST,
                filled => now.wrapping_sub(filled).min(BURST / RATE) * RATE,
            };
            self.tokens = (self.tokens + earned).min(BURST);
            self.filled = now;
        }
        if self.tokens == 0 {
            self.suppressed += 1;
            return false;
        }
        self.tokens -= 1;
        true
    }
}

/// A new blocked flow, as the ring buffer carries it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(C)]
pub struct Event {
    /// Which flow.
    pub key: BlockedKey,
    /// Bytes of the frame.
    pub length: u32,
    /// Seconds of the program's clock.
    pub at: u32,
}

const _: () = assert!(size_of::<Event>() == 48);

/// A set of a table.
pub type Set = [BlockedFlow; WAYS];

/// Where one CPU keeps what it noted.
pub trait Notebook {
    /// A set of the table, below [`SETS`].
    fn set(&mut self, index: u32) -> Option<&mut Set>;
    /// The bucket of a reason number.
    fn bucket(&mut self, reason: u8) -> Option<&mut Bucket>;
    /// Tells the agent; false if there was no room.
    fn tell(&mut self, event: &Event) -> bool;
}

/// Notes a packet of `length` bytes that was refused.
#[inline(always)]
pub fn note<B: Notebook>(notebook: &mut B, key: &BlockedKey, length: u32, now: u32) {
    let index = key.set();
    let Some([one, two]) = notebook.set(index) else {
        return;
    };
    if one.key == *key {
        return one.add(length, now);
    }
    if two.key == *key {
        return two.add(length, now);
    }
    let older = usize::from(two.last < one.last);
    let taken = notebook.bucket(key.reason).map(|bucket| bucket.take(now));
    if taken != Some(true) {
        return;
    }
    let event = Event {
        key: *key,
        length,
        at: now,
    };
    if !notebook.tell(&event)
        && let Some(bucket) = notebook.bucket(key.reason)
    {
        bucket.lost += 1;
    }
    if let Some(entry) = notebook.set(index).and_then(|set| set.get_mut(older)) {
        *entry = BlockedFlow {
            key: *key,
            packets: 1,
            bytes: length as u64,
            first: now,
            last: now,
        };
    }
}

#[cfg(test)]
mod tests;
