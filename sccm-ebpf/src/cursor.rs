//! The packet cursor: the one place that reads through packet pointers.
//!
//! The verifier allows a read through a packet pointer only behind a
//! comparison of that same pointer with the end. A cursor that moves forward
//! and is compared before every read satisfies it without unrolling.

use aya_ebpf::helpers::bpf_xdp_get_buff_len;
use aya_ebpf::programs::{TcContext, XdpContext};
use sccm_common::cursor::{Cursor, MAX_SKIP};

/// Headers of every protocol that is parsed, in the longest form that occurs.
const PULL: u32 = 256;

/// A position in the part of a frame that can be read directly.
pub struct PacketCursor {
    at: usize,
    end: usize,
    /// Bytes of the frame from `at` on, those in further buffers included. A
    /// count of its own: the verifier refuses to add to a difference of pointers.
    remaining: u32,
}

impl PacketCursor {
    /// A cursor at the Ethernet header, and the length of the frame.
    #[inline(always)]
    pub fn of_xdp(ctx: &XdpContext) -> (Self, u32) {
        // SAFETY: the context is the one that the kernel called us with.
        let length = unsafe { bpf_xdp_get_buff_len(ctx.ctx) } as u32;
        let cursor = Self {
            at: ctx.data(),
            end: ctx.data_end(),
            remaining: length,
        };
        (cursor, length)
    }

    /// The same for a frame on its way out.
    #[inline(always)]
    pub fn of_skb(ctx: &TcContext) -> (Self, u32) {
        let length = ctx.len();
        if ctx.data_end() - ctx.data() < PULL as usize {
            // The headers may lie in a fragment of the buffer. When pulling
            // fails the packet parses as truncated, and is not noted.
            let _ = ctx.pull_data(if length < PULL { length } else { PULL });
        }
        let cursor = Self {
            at: ctx.data(),
            end: ctx.data_end(),
            remaining: length,
        };
        (cursor, length)
    }
}

impl Cursor for PacketCursor {
    #[inline(always)]
    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        if self.at + N > self.end {
            return None;
        }
        // SAFETY: `at..at + N` was just compared with the end of the packet.
        let bytes = unsafe { core::ptr::read_unaligned(self.at as *const [u8; N]) };
        self.at += N;
        self.remaining -= N as u32;
        Some(bytes)
    }

    #[inline(always)]
    fn skip(&mut self, count: u32) -> Option<()> {
        let count = count & MAX_SKIP;
        let at = self.at + count as usize;
        if at > self.end {
            return None;
        }
        self.at = at;
        self.remaining -= count;
        Some(())
    }

    #[inline(always)]
    fn remaining(&self) -> u32 {
        self.remaining
    }
}
