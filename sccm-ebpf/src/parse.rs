//! The parser, in functions with global linkage: the verifier follows each of them once, by itself,
//! and knows nothing of what it returns. The packet is handed over in a map.
//!
//! The verifier follows every path through the parser (two families, six extension headers,
//! fragments ...). Without this, it would follow the whole decision behind each of them.

use core::hint::black_box;
use core::mem;
use core::ops::ControlFlow::{Break, Continue};

use aya_ebpf::bindings::{__sk_buff, xdp_md};
use aya_ebpf::macros::map;
use aya_ebpf::maps::PerCpuArray;
use aya_ebpf::programs::{TcContext, XdpContext};
use sccm_common::wire::{self, fast};
use sccm_common::{Hook, Packet, Reason};

use crate::cursor::{Frame as _, Linear, PacketCursor};
use crate::interface::{Card, Interface as _};

/// One element for each hook.
#[map]
static PARSED: PerCpuArray<Packet> = PerCpuArray::with_max_entries(Hook::COUNT, 0);

/// What the parser made of a frame, as a number: of the reason at which it ends, or that it is a
/// packet.
#[derive(Clone, Copy)]
pub struct End(pub u32);

impl End {
    const IS_PACKET: Self = Self(1 << 8);

    /// The reason; `None`: it is a packet.
    #[inline(always)]
    pub fn reason(self) -> Option<Reason> {
        if self.0 == Self::IS_PACKET.0 {
            return None;
        }
        // SAFETY: the number was made of a reason.
        Some(unsafe { mem::transmute::<u8, Reason>(self.0 as u8) })
    }
}

/// The packet that was parsed last, of which the compiler and the verifier know nothing.
#[inline(always)]
pub fn packet(hook: Hook) -> Option<&'static mut Packet> {
    let element = black_box(PARSED.get_ptr_mut(hook as u32)?);
    // SAFETY: the element is this CPU's, and only this program's on it. Before the first packet it
    // is all zero, which is a packet, too.
    Some(unsafe { &mut *element })
}

/// Parses a frame at the XDP hook.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn parse_xdp(ctx: *mut xdp_md) -> u32 {
    let ctx = XdpContext::new(ctx);
    let Some(packet) = packet(Hook::Ingress) else {
        return Reason::NoPolicy as u32;
    };
    // Where there is a fast path, nobody has come here whom this would recognise.
    if !Card.place().has_fast_path()
        && let Some(fast) = fast::parse(Linear::of_xdp(&ctx))
    {
        *packet = fast;
        return End::IS_PACKET.0;
    }
    match wire::parse_into(&mut PacketCursor::of_xdp(&ctx), packet) {
        Continue(()) => End::IS_PACKET.0,
        Break(reason) => reason as u32,
    }
}

/// Parses a packet buffer that goes out.
#[inline(always)]
pub fn egress(ctx: *mut __sk_buff) -> End {
    End(parse_skb(ctx, Hook::Egress as u32))
}

/// Parses one of a device without Ethernet headers.
#[inline(always)]
pub fn ip(ctx: *mut __sk_buff, hook: Hook) -> End {
    End(parse_ip(ctx, hook as u32))
}

/// Parses a packet buffer that has no Ethernet header, into the packet of a hook.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn parse_ip(ctx: *mut __sk_buff, hook: u32) -> u32 {
    let ctx = TcContext::new(ctx);
    let mut cursor = PacketCursor::of_skb(&ctx);
    let Some(packet) = packet(hook_of(hook)) else {
        return Reason::NoPolicy as u32;
    };
    match wire::parse_ip_into(&mut cursor, packet, ctx.ethertype()) {
        Continue(()) => End::IS_PACKET.0,
        Break(reason) => reason as u32,
    }
}

#[inline(always)]
pub const fn hook_of(number: u32) -> Hook {
    match number {
        0 => Hook::Ingress,
        _ => Hook::Egress,
    }
}

/// Parses a packet buffer, into the packet of a hook.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn parse_skb(ctx: *mut __sk_buff, hook: u32) -> u32 {
    let ctx = TcContext::new(ctx);
    let mut cursor = PacketCursor::of_skb(&ctx);
    let Some(packet) = packet(hook_of(hook)) else {
        return Reason::NoPolicy as u32;
    };
    if let Some(fast) = fast::parse(Linear::of_skb(&ctx)) {
        *packet = fast;
        return End::IS_PACKET.0;
    }
    match wire::parse_into(&mut cursor, packet) {
        Continue(()) => End::IS_PACKET.0,
        Break(reason) => reason as u32,
    }
}
