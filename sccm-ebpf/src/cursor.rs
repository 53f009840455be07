//! The packet cursor: the one module that reads through packet pointers.
//!
//! The verifier allows a read through a packet pointer only behind a
//! comparison of that same pointer with the end. A cursor that moves forward
//! and is compared before every read satisfies it without unrolling.

use aya_ebpf::helpers::{bpf_skb_load_bytes, bpf_xdp_get_buff_len, bpf_xdp_load_bytes};
use aya_ebpf::macros::map;
use aya_ebpf::maps::PerCpuArray;
use aya_ebpf::programs::{TcContext, XdpContext};
use core::hint::assert_unchecked;
use sccm_common::cursor::{Contiguous, Cursor, MAX_SKIP, Payload};
use sccm_common::rpc::room::{self, Room};
use sccm_common::{Hook, as_written};

/// Headers of every protocol that is parsed, in the longest form that occurs.
const PULL: u32 = 256;

/// The longest frame that is surely in one buffer: standard MTU, two VLAN tags.
/// Asking for the length costs as much as all the parsing, so only longer ones pay.
const LONGEST_COMMON: u32 = 1522;

/// Payloads that begin before this byte are read directly, if they are in the first buffer: a call
/// costs more than everything else. A power of two, so that the verifier can bound it by a mask.
const DIRECT: u32 = 512;

/// No headers are longer: two VLAN tags, IPv6 and six extension headers are 12,350 bytes. A power
/// of two less one, so that the verifier can bound it by a mask.
const LAST_HEADER: u32 = (1 << 14) - 1;

/// No link header on the fast path is longer: a mask as above.
const LAST_LINK: usize = 31;

/// A frame in the kernel's hands.
pub trait Frame {
    /// Where it begins.
    fn start(&self) -> usize;

    /// Its length in bytes, further buffers included.
    fn length(&self) -> u32;

    /// Copies bytes from `offset` on, further buffers included.
    fn copy<const N: usize>(&self, offset: u32) -> Option<[u8; N]>;

    /// Copies `count` bytes from `offset` on, at most as many as there is room for.
    fn copy_part<const N: usize>(&self, room: &mut [u8; N], offset: u32, count: u32) -> bool;

    /// The VLAN tag that is beside it, as it would stand in it; 0 if there is none.
    fn tag(&self) -> u32;

    /// What the kernel takes for its ethertype; 0 where it has not looked yet.
    fn ethertype(&self) -> u16;
}

/// A frame's bytes behind its headers, at a hook.
pub struct Bytes<'a, F>(pub &'a F, pub Hook);

impl<F: Frame> Payload for Bytes<'_, F> {
    #[inline(always)]
    fn load<const N: usize>(&self, offset: u32) -> Option<[u8; N]> {
        self.0.copy(offset)
    }

    #[inline(always)]
    fn show(&self, offset: u32, count: u32, to: impl FnOnce(&Room)) {
        let Some(room) = ROOMS.get_ptr_mut(self.1 as u32) else {
            return;
        };
        // SAFETY: the element is this CPU's, and only this program's on it.
        let room = unsafe { &mut *room };
        // Of nothing, any one byte, which nobody reads: to remember which it was, there is no room.
        let (offset, count) = match count {
            0 => (0, 1),
            count => (offset, count),
        };
        // From 1 to all that there is room for, in a form that every verifier can follow.
        let count = if count < room::BYTES {
            count
        } else {
            room::BYTES
        };
        let count = as_written::and::<{ room::BYTES - 1 }>(count.wrapping_sub(1).into()) as u32 + 1;
        if self.0.copy_part(&mut room.bytes, offset, count) {
            room.number = self.1 as u32;
            to(room);
        }
    }
}

/// The payload of one segment, for each hook.
#[map]
static ROOMS: PerCpuArray<Room> = PerCpuArray::with_max_entries(Hook::COUNT, 0);

/// What the last segment at a hook was.
#[inline(always)]
pub fn room(number: u32) -> Option<&'static mut Room> {
    let room = ROOMS.get_ptr_mut(number)?;
    // SAFETY: the element is this CPU's, and only this program's on it.
    Some(unsafe { &mut *room })
}

/// Orders that it be read after the decision, as what, and for whom.
#[inline(always)]
pub fn order_rpc(number: u32, order: u32, for_candidate: bool) {
    if let Some(room) = room(number) {
        room.order(order, for_candidate);
    }
}

/// Whether something was ordered for the active policy.
#[inline(always)]
pub fn is_ordered(hook: Hook) -> bool {
    room(hook as u32).is_some_and(|room| room.ordered(false) != Room::NOTHING)
}

/// Forgets what was ordered.
#[inline(always)]
pub fn forget_orders(hook: Hook) {
    if let Some(room) = room(hook as u32) {
        room.orders = Room::NOTHING;
    }
}

/// Bytes of the first buffer, from `start` to `end`; `None` if they are not there, or far behind.
#[inline(always)]
fn direct<const N: usize>(start: usize, end: usize, offset: u32) -> Option<[u8; N]> {
    let at = start + (offset & (DIRECT - 1)) as usize;
    if offset >= DIRECT || at + N > end {
        return None;
    }
    // SAFETY: `at..at + N` was just compared with the end of the packet.
    Some(unsafe { core::ptr::read_unaligned(at as *const [u8; N]) })
}

impl Frame for XdpContext {
    #[inline(always)]
    fn start(&self) -> usize {
        self.data()
    }

    #[inline(always)]
    fn length(&self) -> u32 {
        // SAFETY: the context is the one that the kernel called us with.
        unsafe { bpf_xdp_get_buff_len(self.ctx) as u32 }
    }

    #[inline(always)]
    fn copy<const N: usize>(&self, offset: u32) -> Option<[u8; N]> {
        if let Some(bytes) = direct(self.data(), self.data_end(), offset) {
            return Some(bytes);
        }
        let mut bytes = [0; N];
        // SAFETY: the context is the kernel's, and `bytes` has room for `N`.
        let result =
            unsafe { bpf_xdp_load_bytes(self.ctx, offset, bytes.as_mut_ptr().cast(), N as u32) };
        (result == 0).then_some(bytes)
    }

    #[inline(always)]
    fn copy_part<const N: usize>(&self, room: &mut [u8; N], offset: u32, count: u32) -> bool {
        // SAFETY: the context is the kernel's, whose verifier holds `count` against the room.
        unsafe { bpf_xdp_load_bytes(self.ctx, offset, room.as_mut_ptr().cast(), count) == 0 }
    }

    #[inline(always)]
    fn tag(&self) -> u32 {
        0
    }

    #[inline(always)]
    fn ethertype(&self) -> u16 {
        0
    }
}

impl Frame for TcContext {
    #[inline(always)]
    fn start(&self) -> usize {
        self.data()
    }

    #[inline(always)]
    fn length(&self) -> u32 {
        self.len()
    }

    #[inline(always)]
    fn copy<const N: usize>(&self, offset: u32) -> Option<[u8; N]> {
        if let Some(bytes) = direct(self.data(), self.data_end(), offset) {
            return Some(bytes);
        }
        let mut bytes = [0; N];
        let skb = self.skb.skb.cast();
        // SAFETY: as for XDP.
        let result =
            unsafe { bpf_skb_load_bytes(skb, offset, bytes.as_mut_ptr().cast(), N as u32) };
        (result == 0).then_some(bytes)
    }

    #[inline(always)]
    fn copy_part<const N: usize>(&self, room: &mut [u8; N], offset: u32, count: u32) -> bool {
        let skb = self.skb.skb.cast();
        // SAFETY: as for XDP.
        unsafe { bpf_skb_load_bytes(skb, offset, room.as_mut_ptr().cast(), count) == 0 }
    }

    #[inline(always)]
    fn tag(&self) -> u32 {
        // SAFETY: the context is the one that the kernel called us with.
        let present = unsafe { (*self.skb.skb).vlan_present };
        if present == 0 {
            return 0;
        }
        // SAFETY: as above.
        let protocol = unsafe { (*self.skb.skb).vlan_proto } as u16;
        // SAFETY: as above.
        let control = unsafe { (*self.skb.skb).vlan_tci } as u16;
        u32::from(u16::from_be(protocol)) << 16 | u32::from(control)
    }

    #[inline(always)]
    fn ethertype(&self) -> u16 {
        // SAFETY: the context is the one that the kernel called us with.
        u16::from_be(unsafe { (*self.skb.skb).protocol } as u16)
    }
}

/// The part of a frame that can be read directly.
pub struct Linear {
    start: usize,
    end: usize,
    /// Bytes of the frame behind that part, as far as somebody asked.
    behind: usize,
}

impl Linear {
    /// Of a frame at the XDP hook. One in several buffers has no fast path.
    #[inline(always)]
    pub fn of_xdp(ctx: &XdpContext) -> Self {
        Self {
            start: ctx.data(),
            end: ctx.data_end(),
            behind: 0,
        }
    }

    /// Of a packet buffer: the kernel keeps most of a large packet behind the first part.
    #[inline(always)]
    pub fn of_skb(ctx: &TcContext) -> Self {
        let (start, end) = (ctx.data(), ctx.data_end());
        Self {
            start,
            end,
            behind: ctx.len() as usize - (end - start),
        }
    }
}

impl Contiguous for Linear {
    #[inline(always)]
    fn at<const N: usize>(&self, offset: usize) -> Option<&[u8; N]> {
        let at = self.start + offset;
        if at + N > self.end {
            return None;
        }
        // SAFETY: no packet lies at address 0. Otherwise the compiler would compare with 0.
        unsafe { assert_unchecked(at != 0) };
        // SAFETY: `at..at + N` was just compared with the end of the packet, and
        // nobody writes to a packet while the program runs.
        Some(unsafe { &*(at as *const [u8; N]) })
    }

    #[inline(always)]
    fn holds(&self, count: usize) -> bool {
        // Linux 6.1 and 6.12 know no bounds of what was converted from big endian, and
        // let nothing without bounds be added to a packet pointer; 6.18 does.
        count <= self.end - self.start + self.behind
    }

    #[inline(always)]
    fn opaque(&self, count: usize) -> usize {
        // The verifier knows nothing of the difference of two addresses.
        let length = (self.end - self.start) as u64;
        as_written::opaque(count as u64, length) as usize & LAST_LINK
    }

    #[inline(always)]
    fn skip(&self, count: usize) -> Self {
        Self {
            start: self.start + count,
            ..*self
        }
    }
}

/// The length of a frame at the XDP hook, in bytes.
#[inline(always)]
pub fn length(ctx: &XdpContext) -> u64 {
    let length = (ctx.data_end() - ctx.data()) as u64;
    if length > u64::from(LONGEST_COMMON) {
        return ctx.length().into();
    }
    length
}

/// A position in the part of a frame that can be read directly.
pub struct PacketCursor<'a, F> {
    frame: &'a F,
    at: usize,
    end: usize,
    /// Bytes from the first on, as far as they are known to be there.
    length: u32,
    /// The same from `at` on.
    remaining: u32,
}

impl<'a> PacketCursor<'a, XdpContext> {
    /// A cursor at the Ethernet header of a frame at the XDP hook.
    #[inline(always)]
    pub fn of_xdp(ctx: &'a XdpContext) -> Self {
        Self::new(ctx, ctx.data(), ctx.data_end())
    }
}

impl<'a> PacketCursor<'a, TcContext> {
    /// A cursor at the first byte of a packet buffer.
    #[inline(always)]
    pub fn of_skb(ctx: &'a TcContext) -> Self {
        let length = ctx.len();
        let wanted = if length < PULL { length } else { PULL };
        if ctx.data_end() - ctx.data() < wanted as usize {
            // The headers may lie in a fragment of the buffer. When pulling
            // fails the packet parses as truncated, and is not noted.
            let _ = ctx.pull_data(wanted);
        }
        Self::new(ctx, ctx.data(), ctx.data_end())
    }
}

impl<'a, F: Frame> PacketCursor<'a, F> {
    #[inline(always)]
    fn new(frame: &'a F, at: usize, end: usize) -> Self {
        let mut length = (end - at) as u32;
        if length > LONGEST_COMMON {
            length = frame.length();
        }
        Self {
            frame,
            at,
            end,
            length,
            remaining: length,
        }
    }
}

impl<F: Frame> Cursor for PacketCursor<'_, F> {
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
    fn holds(&mut self, count: u32) -> bool {
        count <= self.remaining || count <= self.left()
    }

    #[inline(always)]
    fn left(&mut self) -> u32 {
        let length = self.frame.length();
        self.remaining += length - self.length;
        self.length = length;
        self.remaining
    }

    #[inline(always)]
    fn position(&self) -> u32 {
        self.length - self.remaining
    }

    #[inline(always)]
    fn tags_beside(&self) -> u32 {
        (self.frame.tag() != 0).into()
    }

    #[inline(always)]
    fn forget_path(&mut self) {
        // The verifier knows nothing of the difference of two addresses.
        let start = self.frame.start();
        let position = as_written::and::<LAST_HEADER>((self.at - start) as u64);
        self.at = start + position as usize;
        // What is left tells the same.
        self.remaining = as_written::opaque(self.remaining.into(), self.length.into()) as u32;
    }

    #[inline(always)]
    fn opaque(&self, word: u32) -> u32 {
        as_written::opaque(word.into(), self.remaining.into()) as u32
    }
}
