//! The payload of one segment, for who reads it where no slice may be: the kernel's verifier follows
//! reads at a masked offset of a block of fixed size.

use super::bytes::Order;
use crate::as_written;

/// Bytes of a segment that are read.
pub const BYTES: u32 = 2048;

/// The longest that is read in one piece.
const SLACK: usize = 32;

/// The first bytes of a payload. What is behind its end is of no meaning.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct Room {
    /// The bytes, and what may be read beyond their end.
    pub bytes: [u8; BYTES as usize + SLACK],
    /// Which room it is, for who has several.
    pub number: u32,
    /// What is to be read of it, for who reads it later: two bits of the active policy, two of the
    /// candidate.
    pub orders: u32,
}

impl Room {
    /// Nothing.
    pub const EMPTY: Self = Self {
        bytes: [0; BYTES as usize + SLACK],
        number: 0,
        orders: Self::NOTHING,
    };

    /// Nothing is to be read.
    pub const NOTHING: u32 = 0;
    /// What a client asks.
    pub const QUESTIONS: u32 = 1;
    /// What a server answers.
    pub const ANSWERS: u32 = 2;

    /// Orders one of them.
    #[inline(always)]
    pub const fn order(&mut self, what: u32, for_candidate: bool) {
        self.orders |= what << if for_candidate { 2 } else { 0 };
    }

    /// What was ordered.
    #[inline(always)]
    #[must_use]
    pub const fn ordered(&self, for_candidate: bool) -> u32 {
        self.orders >> if for_candidate { 2 } else { 0 } & 3
    }

    /// `N` bytes, at most 32, from a place on.
    #[inline(always)]
    pub fn at<const N: usize>(&self, at: u32) -> &[u8; N] {
        const { assert!(N <= SLACK) };
        let at = as_written::and::<{ BYTES - 1 }>(at.into()) as usize;
        // As many bytes are behind every place.
        self.bytes[at..].first_chunk().unwrap_or(&[0; N])
    }

    /// One byte.
    #[inline(always)]
    pub fn u8(&self, at: u32) -> u8 {
        self.at::<1>(at)[0]
    }

    /// Two bytes.
    #[inline(always)]
    pub fn u16(&self, at: u32, order: Order) -> u16 {
        let little = u16::from_le_bytes(*self.at(at));
        little ^ (little ^ little.swap_bytes()) & if_big(order) as u16
    }

    /// Four bytes.
    #[inline(always)]
    pub fn u32(&self, at: u32, order: Order) -> u32 {
        let little = u32::from_le_bytes(*self.at(at));
        little ^ (little ^ little.swap_bytes()) & if_big(order) as u32
    }
}

/// All bits for one order and none for the other: the verifier follows arithmetic once, and a branch
/// twice, with all that comes behind it.
#[inline(always)]
fn if_big(order: Order) -> u64 {
    as_written::neg(matches!(order, Order::Big).into())
}
