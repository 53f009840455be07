//! The programs that the kernel runs: one judges what comes in at a card, one what goes out.
//!
//! All decisions are in `sccm-common`; this crate has the packet cursor and the
//! maps, and carries out, counts and notes each verdict.
#![no_std]
#![no_main]

mod account;
mod blocked;
mod capture;
mod cursor;
mod interface;
mod maps;
mod opaque;
mod shadow;
mod tables;

use aya_ebpf::bindings::{__sk_buff, TC_ACT_SHOT, TC_ACT_UNSPEC, xdp_action, xdp_md};
use aya_ebpf::macros::{classifier, map, xdp};
use aya_ebpf::maps::Array;
use aya_ebpf::programs::{TcContext, XdpContext};
use aya_log_ebpf::error;
use core::ops::ControlFlow::{Break, Continue};
use sccm_common::abi::map;
use sccm_common::counter::Direction;
use sccm_common::verdict::{self, Verdict};
use sccm_common::wire::{self, fast};
use sccm_common::{Hook, Judgement, Peer, Reason};

use crate::cursor::{Bytes, Linear, PacketCursor, length};
use crate::interface::{Card, Interface, Vlan};
use crate::maps::array;
use crate::tables::Bank;

/// Read by agents only: which layout these maps have.
#[map]
static ABI: Array<u32> = array(&map::ABI);

/// The ingress program of a card: the fast path here, the slow path in a function of its own.
#[xdp(frags)]
#[inline(always)]
fn sccm_xdp(ctx: XdpContext) -> u32 {
    let place = Card.place();
    if place.has_fast_path()
        && let Some(tables) = Bank::active_unshadowed()
        && let Some(verdict) =
            verdict::fast_ingress(&tables, Linear::of_xdp(&ctx), &Bytes(&ctx), place)
    {
        let judgement = Judgement {
            slot: Card.slot(),
            direction: Direction::Inbound,
            observing: tables.observing(),
            verdict,
            length: length(&ctx),
        };
        if verdict.reason.passes() {
            // Only a packet that is refused has a peer.
            let peer = Peer::NOT_KNOWN;
            account::count(&Judgement {
                verdict: Verdict { peer, ..verdict },
                ..judgement
            });
            return xdp_action::XDP_PASS;
        }
        account::count(&judgement);
        let noting = tables.noting();
        if noting || capture::is_ordered() {
            report_fast(ctx.ctx, noting, opaque::pack(&judgement));
        }
        return refused(judgement.observing);
    }
    slow_path(ctx.ctx)
}

/// Notes and captures a packet that the fast path refused and counted. Reads the packet once more.
/// Not inlined, so that a packet that passes pays nothing for it, not even a register.
#[inline(never)]
fn report_fast(ctx: *mut xdp_md, noting: bool, judgement: u64) {
    let ctx = XdpContext::new(ctx);
    let judgement = opaque::unpack(judgement, length(&ctx));
    if noting && let Some(packet) = fast::parse(Linear::of_xdp(&ctx)) {
        blocked::note(&packet, &judgement);
    }
    capture::ingress(ctx.ctx, &judgement);
}

/// Judges any frame. Not inlined, so that the fast path has all registers to itself; the call
/// costs about 7 ns.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn slow_path(ctx: *mut xdp_md) -> u32 {
    ingress(&XdpContext::new(ctx), &Card)
}

/// The ingress program of a trunk.
#[xdp(frags)]
#[inline(always)]
fn sccm_xdp_trunk(ctx: XdpContext) -> u32 {
    let Some(vlan) = Vlan::of_xdp(&ctx) else {
        account::count(&other_vlan(Direction::Inbound, length(&ctx)));
        return xdp_action::XDP_PASS;
    };
    ingress(&ctx, &vlan)
}

/// The egress program of a card: judges what a host, or a gateway itself, sends.
#[classifier]
#[inline(always)]
fn sccm_egress(ctx: TcContext) -> i32 {
    if interface::was_judged_at_ingress(&ctx) {
        return TC_ACT_UNSPEC;
    }
    egress(&ctx, &Card)
}

/// The egress program of a trunk.
#[classifier]
#[inline(always)]
fn sccm_egress_trunk(ctx: TcContext) -> i32 {
    if interface::was_judged_at_ingress(&ctx) {
        return TC_ACT_UNSPEC;
    }
    let Some(vlan) = Vlan::of_skb(&ctx) else {
        account::count(&other_vlan(Direction::Outbound, ctx.len().into()));
        return TC_ACT_UNSPEC;
    };
    egress(&ctx, &vlan)
}

#[inline(always)]
fn ingress(ctx: &XdpContext, interface: &impl Interface) -> u32 {
    let hook = Hook::Xdp;
    let Some(tables) = Bank::active() else {
        error!(ctx, "no active policy: dropping");
        let judgement = Judgement {
            slot: interface.slot(),
            direction: hook.direction(interface.place()),
            observing: false,
            verdict: Verdict::without_service(Reason::NoPolicy),
            length: length(ctx),
        };
        account::count(&judgement);
        capture::ingress(ctx.ctx, &judgement);
        return xdp_action::XDP_DROP;
    };
    let Some(packet) = opaque::parsed(hook) else {
        return xdp_action::XDP_DROP;
    };
    let end = match wire::parse_into(&mut PacketCursor::of_xdp(ctx), packet) {
        Continue(()) => None,
        Break(reason) => Some(opaque::reason(reason, &tables)),
    };
    let place = interface.place();
    let verdict = shadow::in_turns(&tables, hook, |tables| {
        verdict::ingress(tables, packet, end, &Bytes(ctx), place)
    });
    let judgement = Judgement {
        verdict: opaque::verdict(verdict, &tables),
        slot: interface.slot(),
        direction: hook.direction(place),
        observing: tables.observing(),
        length: length(ctx),
    };
    shadow::count(hook, &judgement);
    account::count(&judgement);
    if judgement.verdict.reason.passes() {
        return xdp_action::XDP_PASS;
    }
    let word = opaque::pack(&judgement);
    if tables.noting() {
        note(ctx.ctx, end.is_none(), word);
    }
    capture_refused(ctx.ctx, word);
    refused(judgement.observing)
}

/// Notes a frame that comes in and is refused. Not inlined, nor is the next: their parts of the
/// stack are then their own.
#[inline(never)]
fn note(ctx: *mut xdp_md, has_packet: bool, judgement: u64) {
    let judgement = opaque::unpack(judgement, length(&XdpContext::new(ctx)));
    let packet = match has_packet {
        true => opaque::parsed(Hook::Xdp),
        false => None,
    };
    blocked::note_either(packet.as_deref(), ctx, &judgement);
}

/// Captures a frame that comes in and is refused.
#[inline(never)]
fn capture_refused(ctx: *mut xdp_md, judgement: u64) {
    let judgement = opaque::unpack(judgement, length(&XdpContext::new(ctx)));
    capture::ingress(ctx, &judgement);
}

/// What XDP does with a frame that is refused.
#[inline(always)]
fn refused(observing: bool) -> u32 {
    match observing {
        true => xdp_action::XDP_PASS,
        false => xdp_action::XDP_DROP,
    }
}

#[inline(always)]
fn egress(ctx: &TcContext, interface: &impl Interface) -> i32 {
    let hook = Hook::Egress;
    let mut cursor = PacketCursor::of_skb(ctx);
    let Some(tables) = Bank::active() else {
        return TC_ACT_UNSPEC;
    };
    let Some(packet) = opaque::parsed(hook) else {
        return TC_ACT_UNSPEC;
    };
    let parsed = match fast::parse(cursor.linear()) {
        Some(fast) => {
            *packet = fast;
            Continue(())
        }
        None => wire::parse_into(&mut cursor, packet),
    };
    let packet = match parsed {
        Continue(()) => opaque::parsed(hook).map(|packet| &*packet),
        Break(_) => None,
    };
    let place = interface.place();
    // A frame without a packet is decided apart, so that the verifier follows the turns for packets
    // only. Each side returns by itself: merged, the two would pass on a verdict without a value.
    let verdict = match packet {
        Some(packet) => {
            let outgoing = shadow::in_turns(&tables, hook, |tables| {
                verdict::egress(tables, packet, &Bytes(ctx), place)
            });
            if !outgoing.is_judged {
                return TC_ACT_UNSPEC;
            }
            outgoing.verdict
        }
        None => match verdict::egress_ended(place) {
            Some(verdict) => verdict,
            None => return TC_ACT_UNSPEC,
        },
    };
    let judgement = Judgement {
        verdict: opaque::verdict(verdict, &tables),
        slot: interface.slot(),
        direction: hook.direction(place),
        observing: tables.observing(),
        length: cursor.length().into(),
    };
    shadow::count(hook, &judgement);
    account::count(&judgement);
    if judgement.verdict.reason.passes() {
        // The other programs on the hook decide.
        return TC_ACT_UNSPEC;
    }
    let word = opaque::pack(&judgement);
    if packet.is_some() && tables.noting() {
        note_egress(ctx.skb.skb, word);
    }
    capture_egress(ctx.skb.skb, word);
    match judgement.observing {
        true => TC_ACT_UNSPEC,
        false => TC_ACT_SHOT,
    }
}

/// Notes a frame that goes out and is refused.
#[inline(never)]
fn note_egress(ctx: *mut __sk_buff, judgement: u64) {
    let judgement = opaque::unpack(judgement, TcContext::new(ctx).len().into());
    if let Some(packet) = opaque::parsed(Hook::Egress) {
        blocked::note(packet, &judgement);
    }
}

/// Captures a frame that goes out and is refused.
#[inline(never)]
fn capture_egress(ctx: *mut __sk_buff, judgement: u64) {
    let judgement = opaque::unpack(judgement, TcContext::new(ctx).len().into());
    capture::egress(ctx, &judgement);
}

/// A frame of a VLAN that nobody named: it passes, and is counted under its card.
#[inline(always)]
fn other_vlan(direction: Direction, length: u64) -> Judgement {
    Judgement {
        slot: Card.slot(),
        direction,
        observing: false,
        verdict: Verdict::without_service(Reason::OtherVlan),
        length,
    }
}

#[cfg(not(test))]
#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    // The verifier accepts no program in which this could be reached.
    loop {}
}
