//! A judgement in one word, as functions of the kernel program hand it on: in memory it would take
//! six words of a stack of 512 bytes, and the verifier knows nothing of a word that a function
//! returned.

use core::mem;

use sccm_common::counter::Direction;
use sccm_common::usage::Row;
use sccm_common::{Judgement, Peer, Reason, ServiceClass, Verdict};

/// What is known of how a frame ends: the verdict first, then where the frame was.
#[derive(Clone, Copy)]
pub struct Word(pub u64);

const SERVICE: u32 = 8;
const PEER: u32 = 16;
const SLOT: u32 = 24;
const ROW: u32 = 32;
const OUTBOUND: u64 = 1 << 56;
const OBSERVING: u64 = 1 << 57;
const HAS_PACKET: u64 = 1 << 58;
const IS_JUDGED: u64 = 1 << 59;
const NO_LINK: u64 = 1 << 60;

impl Word {
    /// The frame is not judged here.
    pub const NOT_JUDGED: Self = Self(0);

    /// A verdict, on a packet or on a frame without one.
    #[inline(always)]
    pub fn of(verdict: Verdict, has_packet: bool) -> Self {
        let Verdict {
            reason,
            service,
            peer,
            row,
        } = verdict;
        let verdict = reason as u64
            | u64::from(service.0) << SERVICE
            | u64::from(peer.0) << PEER
            | u64::from(row.0) << ROW;
        Self(IS_JUDGED | verdict | if has_packet { HAS_PACKET } else { 0 })
    }

    /// The same, with the direction of the frame.
    #[inline(always)]
    pub fn headed(self, direction: Direction) -> Self {
        let direction = match direction {
            Direction::Inbound => 0,
            Direction::Outbound => OUTBOUND,
        };
        Self(self.0 | direction)
    }

    /// The same, with the slot that counts the frame.
    #[inline(always)]
    pub fn at(self, slot: u32) -> Self {
        Self(self.0 | u64::from(slot) << SLOT)
    }

    /// The same, with whether the verdict is only observed.
    #[inline(always)]
    pub fn observed(self, observing: bool) -> Self {
        Self(self.0 | if observing { OBSERVING } else { 0 })
    }

    /// The same, with whether the frame has an Ethernet header.
    #[inline(always)]
    pub fn linked(self, has_link: bool) -> Self {
        Self(self.0 | if has_link { 0 } else { NO_LINK })
    }

    /// Whether the frame has an Ethernet header.
    #[inline(always)]
    pub fn has_link(self) -> bool {
        self.0 & NO_LINK == 0
    }

    /// The same frame, ended as another word says.
    #[inline(always)]
    pub fn ending_as(self, other: Self) -> Self {
        const WHERE: u64 = 0xff << SLOT | OUTBOUND | OBSERVING | NO_LINK;
        Self(self.0 & WHERE | other.0 & !WHERE)
    }

    /// Whether the parser found a packet.
    #[inline(always)]
    pub fn has_packet(self) -> bool {
        self.0 & HAS_PACKET != 0
    }

    /// The verdict; `None`: the frame is not judged here.
    #[inline(always)]
    pub fn verdict(self) -> Option<Verdict> {
        (self.0 & IS_JUDGED != 0).then(|| self.judgement(0).verdict)
    }

    /// The judgement on a frame of `length` bytes.
    #[inline(always)]
    pub fn judgement(self, length: u64) -> Judgement {
        let Self(word) = self;
        Judgement {
            slot: (word >> SLOT) as u32 & 0xff,
            direction: match word & OUTBOUND {
                0 => Direction::Inbound,
                _ => Direction::Outbound,
            },
            observing: word & OBSERVING != 0,
            verdict: Verdict {
                // SAFETY: it is the number that `of` found, or 0, which is a reason, too.
                reason: unsafe { mem::transmute::<u8, Reason>(word as u8) },
                service: ServiceClass((word >> SERVICE) as u8),
                peer: Peer((word >> PEER) as u8),
                row: Row((word >> ROW) as u16),
            },
            length,
        }
    }
}
