//! A frame that a gateway forwards was judged where it came in. Where the machine translates
//! addresses (NAT), it is remembered once more where it goes out, as it is by then.

use aya_ebpf::bindings::__sk_buff;
use aya_ebpf::programs::TcContext;
use sccm_common::policy::SHADOW_BANK;
use sccm_common::{Hook, Place, verdict};

use crate::cursor::Bytes;
use crate::heard;
use crate::interface::Interface;
use crate::judge::{self, turn};
use crate::parse::{self, End};
use crate::rpc;
use crate::tables::Bank;

/// Remembers a frame if it crosses from one side to the other and the machine translates.
/// `entrance`: what the map of entrances says of where it came in. `interface`: where it goes out.
#[inline(always)]
pub fn remember<I: Interface>(
    ctx: &TcContext,
    entrance: u32,
    interface: impl FnOnce() -> Option<I>,
    parse: impl FnOnce(*mut __sk_buff) -> End,
) {
    if entrance == 0 {
        return;
    }
    let Some(interface) = interface() else {
        return;
    };
    let by_uplink = match (Place::from_number(entrance), interface.place()) {
        (Place::Segment, Place::Uplink) => true,
        (Place::Uplink, Place::Segment) => false,
        _ => return,
    };
    let ctx = ctx.skb.skb;
    remember_crossing(ctx, by_uplink.into(), parse(ctx).0);
}

#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn remember_crossing(ctx: *mut __sk_buff, by_uplink: u32, end: u32) -> u32 {
    let Some(tables) = Bank::active() else {
        return 0;
    };
    let end = End(end);
    if end.reason().is_some() {
        return 0;
    }
    if by_uplink != 0 {
        return leave_by_uplink(ctx, tables.number());
    }
    // A candidate must see the answers to what it would let in.
    if tables.is_shadowed() {
        judge::remember_passing(ctx, SHADOW_BANK, end);
    }
    judge::remember_passing(ctx, tables.number(), end);
    rpc::read(&tables, Hook::Egress, |marks| {
        heard::tell_egress(ctx, marks)
    });
    0
}

#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn leave_by_uplink(ctx: *mut __sk_buff, bank: u32) -> u32 {
    let ctx = TcContext::new(ctx);
    if let (Some(turn), Some(packet)) = (turn(bank, Hook::Egress), parse::packet(Hook::Egress)) {
        verdict::leaves_by_uplink(&turn, packet, &Bytes(&ctx, Hook::Egress));
    }
    0
}
