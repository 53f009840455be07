//! A frame that comes in, at either hook: XDP, or TC ingress. What is done with it is the same
//! source for both.
//!
//! The verifier takes a context as an argument of a function with global linkage only by its own
//! type. So there are two of each, and here it says which.

use aya_ebpf::EbpfContext;
use aya_ebpf::bindings::{__sk_buff, TC_ACT_SHOT, TC_ACT_UNSPEC, xdp_action, xdp_md};
use aya_ebpf::programs::{TcContext, XdpContext};

use crate::cursor::{self, Frame, Linear};
use crate::interface::Vlan;
use crate::{heard, judge, parse};

/// A frame at one of these hooks.
pub trait Incoming: Frame + EbpfContext + Sized {
    /// What the kernel calls the program with.
    type Raw;

    /// Lets the frame pass: at TC, the other programs on the hook decide.
    const PASS: i32;
    /// Ends it.
    const DROP: i32;

    /// The frame behind a context.
    fn of(ctx: *mut Self::Raw) -> Self;
    /// The context.
    fn raw(&self) -> *mut Self::Raw;
    /// The part of the frame for the fast path.
    fn linear(&self) -> Linear;
    /// Bytes of the frame.
    fn bytes(&self) -> u64;
    /// Its VLAN on a trunk; `None` if nobody named it.
    fn vlan(&self) -> Option<Vlan>;

    /// Parses the frame.
    fn parse(ctx: *mut Self::Raw) -> u32;
    /// Judges it.
    fn judge(ctx: *mut Self::Raw, bank: u32, end: u32, place: u32, about: u32) -> u64;
    /// Says what it is about, if it is an ICMP error.
    fn about(ctx: *mut Self::Raw, bank: u32, place: u32) -> u32;
    /// Judges it on the slow path, and says what becomes of it.
    fn slow_path(ctx: *mut Self::Raw) -> i32;
    /// Hands its segment to the agent.
    fn tell(ctx: *mut Self::Raw, marks: u32);
    /// Carries out a verdict.
    fn conclude(ctx: *mut Self::Raw, said: u64, bank: u32) -> i32;
}

impl Incoming for XdpContext {
    type Raw = xdp_md;

    const PASS: i32 = xdp_action::XDP_PASS.cast_signed();
    const DROP: i32 = xdp_action::XDP_DROP.cast_signed();

    #[inline(always)]
    fn of(ctx: *mut xdp_md) -> Self {
        Self::new(ctx)
    }

    #[inline(always)]
    fn raw(&self) -> *mut xdp_md {
        self.ctx
    }

    #[inline(always)]
    fn linear(&self) -> Linear {
        Linear::of_xdp(self)
    }

    #[inline(always)]
    fn bytes(&self) -> u64 {
        cursor::length(self)
    }

    #[inline(always)]
    fn vlan(&self) -> Option<Vlan> {
        Vlan::of_xdp(self)
    }

    #[inline(always)]
    fn parse(ctx: *mut xdp_md) -> u32 {
        parse::parse_xdp(ctx)
    }

    #[inline(always)]
    fn judge(ctx: *mut xdp_md, bank: u32, end: u32, place: u32, about: u32) -> u64 {
        judge::judge_xdp(ctx, bank, end, place, about)
    }

    #[inline(always)]
    fn about(ctx: *mut xdp_md, bank: u32, place: u32) -> u32 {
        judge::about_xdp(ctx, bank, place)
    }

    #[inline(always)]
    fn slow_path(ctx: *mut xdp_md) -> i32 {
        crate::slow_path_xdp(ctx)
    }

    #[inline(always)]
    fn tell(ctx: *mut xdp_md, marks: u32) {
        heard::tell_xdp(ctx, marks);
    }

    #[inline(always)]
    fn conclude(ctx: *mut xdp_md, said: u64, bank: u32) -> i32 {
        crate::conclude_xdp(ctx, said, bank)
    }
}

impl Incoming for TcContext {
    type Raw = __sk_buff;

    const PASS: i32 = TC_ACT_UNSPEC;
    const DROP: i32 = TC_ACT_SHOT;

    #[inline(always)]
    fn of(ctx: *mut __sk_buff) -> Self {
        Self::new(ctx)
    }

    #[inline(always)]
    fn raw(&self) -> *mut __sk_buff {
        self.skb.skb
    }

    #[inline(always)]
    fn linear(&self) -> Linear {
        Linear::of_skb(self)
    }

    #[inline(always)]
    fn bytes(&self) -> u64 {
        self.len().into()
    }

    #[inline(always)]
    fn vlan(&self) -> Option<Vlan> {
        Vlan::of_skb(self)
    }

    #[inline(always)]
    fn parse(ctx: *mut __sk_buff) -> u32 {
        parse::parse_skb(ctx, sccm_common::Hook::Ingress as u32)
    }

    #[inline(always)]
    fn judge(ctx: *mut __sk_buff, bank: u32, end: u32, place: u32, about: u32) -> u64 {
        judge::judge_tc(ctx, bank, end, place, about)
    }

    #[inline(always)]
    fn about(ctx: *mut __sk_buff, bank: u32, place: u32) -> u32 {
        judge::about_tc(ctx, bank, place)
    }

    #[inline(always)]
    fn slow_path(ctx: *mut __sk_buff) -> i32 {
        crate::slow_path_tc(ctx)
    }

    #[inline(always)]
    fn tell(ctx: *mut __sk_buff, marks: u32) {
        heard::tell_tc(ctx, sccm_common::Hook::Ingress as u32, marks);
    }

    #[inline(always)]
    fn conclude(ctx: *mut __sk_buff, said: u64, bank: u32) -> i32 {
        crate::conclude_tc(ctx, said, bank)
    }
}
