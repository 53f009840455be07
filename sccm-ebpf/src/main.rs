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

use aya_ebpf::bindings::{TC_ACT_SHOT, TC_ACT_UNSPEC, xdp_action, xdp_md};
use aya_ebpf::macros::{classifier, map, xdp};
use aya_ebpf::maps::Array;
use aya_ebpf::programs::{TcContext, XdpContext};
use aya_log_ebpf::error;
use core::ops::ControlFlow::{Break, Continue};
use sccm_common::abi::map;
use sccm_common::counter::Direction;
use sccm_common::verdict::{self, Verdict};
use sccm_common::wire::{self, fast};
use sccm_common::{Hook, Judgement, Peer, Reason, ServiceClass};

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
        let observing = judgement.observing;
        let noting = tables.noting();
        if noting || capture::is_ordered() {
            report_fast(ctx.ctx, verdict.reason, verdict.service, observing, noting);
        }
        return refused(observing);
    }
    slow_path(ctx.ctx)
}

/// Notes and captures a packet that the fast path refused and counted. Reads the packet once more.
/// Not inlined, so that a packet that passes pays nothing for it, not even a register.
#[inline(never)]
fn report_fast(
    ctx: *mut xdp_md,
    reason: Reason,
    service: ServiceClass,
    observing: bool,
    noting: bool,
) {
    let ctx = XdpContext::new(ctx);
    let judgement = Judgement {
        slot: Card.slot(),
        direction: Direction::Inbound,
        observing,
        verdict: Verdict::of_service(reason, service),
        length: length(&ctx),
    };
    if noting && let Some(packet) = fast::parse(Linear::of_xdp(&ctx)) {
        blocked::note(&packet, &judgement);
    }
    capture::ingress(ctx.ctx, &judgement);
}

/// Judges any frame. Not inlined, so that the fast path has all registers to itself; the call
/// costs about 7 ns.
#[inline(never)]
fn slow_path(ctx: *mut xdp_md) -> u32 {
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
    let mut cursor = PacketCursor::of_xdp(ctx);
    let Some(tables) = Bank::active() else {
        error!(ctx, "no active policy: dropping");
        let judgement = Judgement {
            slot: interface.slot(),
            direction: hook.direction(interface.place()),
            observing: false,
            verdict: Verdict::without_service(Reason::NoPolicy),
            length: cursor.length().into(),
        };
        account::count(&judgement);
        capture::ingress(ctx.ctx, &judgement);
        return xdp_action::XDP_DROP;
    };
    let parsed = match wire::parse(&mut cursor) {
        Continue(packet) => match opaque::packet(packet, hook) {
            Some(packet) => Continue(packet),
            None => Break(Reason::NoPolicy),
        },
        Break(reason) => Break(opaque::reason(reason, &tables)),
    };
    let place = interface.place();
    let verdict = shadow::in_turns(&tables, hook, |tables| {
        verdict::ingress(tables, parsed, &Bytes(ctx), place)
    });
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
        return xdp_action::XDP_PASS;
    }
    if tables.noting() {
        blocked::note_either(parsed.continue_value(), ctx.ctx, &judgement);
    }
    capture::ingress(ctx.ctx, &judgement);
    refused(judgement.observing)
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
    let parsed = match fast::parse(cursor.linear()) {
        Some(packet) => Continue(packet),
        None => wire::parse(&mut cursor),
    };
    let packet = match parsed {
        Continue(packet) => match opaque::packet(packet, hook) {
            Some(packet) => Some(packet),
            None => return TC_ACT_UNSPEC,
        },
        Break(_) => None,
    };
    let place = interface.place();
    // A frame without a packet is decided apart, so that the verifier follows the turns for packets
    // only. Each side returns by itself: merged, the two would pass on a verdict without a value.
    let verdict = match packet {
        Some(packet) => {
            let verdict = shadow::in_turns(&tables, hook, |tables| {
                verdict::egress(tables, packet, &Bytes(ctx), place)
            });
            match verdict {
                Some(verdict) => verdict,
                None => return TC_ACT_UNSPEC,
            }
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
    if tables.noting()
        && let Some(packet) = packet
    {
        blocked::note(packet, &judgement);
    }
    capture::egress(ctx.skb.skb, &judgement);
    match judgement.observing {
        true => TC_ACT_UNSPEC,
        false => TC_ACT_SHOT,
    }
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
