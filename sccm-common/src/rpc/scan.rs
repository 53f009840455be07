//! Finds the TCP port of string bindings (MS-DCOM, 2.2.19.3) without reading what is around them: a
//! word 7, a text that ends in `[port]`, and a null. Letters are words of two bytes.
//!
//! The kernel's program reads an answer of DCOM so; [`Named`](super::Named) reads the whole of it.

use super::bytes::Order;
use super::room::Room;

/// Bytes of the words that [`some`] reads.
pub const BYTES: u32 = 32;

/// How far a scan has come. From the lowest bit on: 20 of the number that is read, 4 of the
/// [`phase`], 16 of the port that was found, one of whether one was, one of whether another was, too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Scan(pub u64);

mod phase {
    /// Between bindings.
    pub(super) const OUTSIDE: u64 = 0;
    /// In the text of one of TCP.
    pub(super) const TEXT: u64 = 1;
    /// In the brackets.
    pub(super) const NUMBER: u64 = 2;
    /// Behind them.
    pub(super) const CLOSED: u64 = 3;
}

const NUMBER: u64 = (1 << 20) - 1;
const PHASE_SHIFT: u32 = 20;
const FOUND_SHIFT: u32 = 24;
const FOUND: u64 = 0xffff << FOUND_SHIFT;
const HAS_FOUND: u64 = 1 << 40;
const DISAGREES: u64 = 1 << 41;

/// The protocol of a binding: TCP (MS-DCOM, 2.2.19.3.1).
const TCP: u16 = 7;

impl Scan {
    /// Nothing was read.
    pub const BEGIN: Self = Self(0);

    /// The port, if one was found.
    #[inline(always)]
    #[must_use]
    pub const fn port(self) -> Option<u16> {
        match self.0 & HAS_FOUND {
            0 => None,
            _ => Some((self.0 >> FOUND_SHIFT) as u16),
        }
    }

    /// Whether bindings named different ports.
    #[inline(always)]
    #[must_use]
    pub const fn disagrees(self) -> bool {
        self.0 & DISAGREES != 0
    }

    #[inline(always)]
    const fn in_phase(self, phase: u64, number: u64) -> Self {
        Self(self.0 & (FOUND | HAS_FOUND | DISAGREES) | phase << PHASE_SHIFT | number & NUMBER)
    }

    /// The scan after another word.
    #[inline(always)]
    const fn after(self, word: u16) -> Self {
        const OPEN: u16 = b'[' as u16;
        const CLOSE: u16 = b']' as u16;
        let (phase, number) = (self.0 >> PHASE_SHIFT & 0xf, self.0 & NUMBER);
        if phase == phase::OUTSIDE {
            return match word {
                TCP => self.in_phase(phase::TEXT, 0),
                _ => self,
            };
        }
        let digit = word.wrapping_sub(b'0' as u16);
        match word {
            0 if phase == phase::CLOSED && number <= 0xffff => {
                self.with(number).in_phase(phase::OUTSIDE, 0)
            }
            0 => self.in_phase(phase::OUTSIDE, 0),
            OPEN => self.in_phase(phase::NUMBER, 0),
            CLOSE if phase == phase::NUMBER => self.in_phase(phase::CLOSED, number),
            _ if phase == phase::NUMBER && digit < 10 && number <= 0xffff => {
                self.in_phase(phase::NUMBER, 10 * number + digit as u64)
            }
            _ => self.in_phase(phase::TEXT, 0),
        }
    }

    #[inline(always)]
    const fn with(self, port: u64) -> Self {
        let other = self.0 & HAS_FOUND != 0 && self.0 >> FOUND_SHIFT & 0xffff != port;
        let disagrees = if other { DISAGREES } else { 0 };
        Self(self.0 & !FOUND | port << FOUND_SHIFT | HAS_FOUND | disagrees)
    }
}

/// The scan after a few more words, as far as they lie before `end`. `opaque` is that of the tables.
#[inline(always)]
pub fn some(room: &Room, at: u32, end: u32, scan: Scan, opaque: impl Fn(u64) -> u64) -> Scan {
    let mut scan = scan;
    for word in 0..BYTES / 2 {
        let place = at + 2 * word;
        if place + 2 <= end {
            scan = scan.after(room.u16(place, Order::Little));
        }
        scan = Scan(opaque(scan.0));
    }
    scan
}
