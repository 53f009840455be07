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
mod judge;
mod maps;
mod parse;
mod shadow;
mod tables;
mod translated;
mod word;

use aya_ebpf::bindings::{__sk_buff, TC_ACT_SHOT, TC_ACT_UNSPEC, xdp_action, xdp_md};
use aya_ebpf::macros::{classifier, map, xdp};
use aya_ebpf::maps::Array;
use aya_ebpf::programs::{TcContext, XdpContext};
use aya_log_ebpf::error;
use sccm_common::abi::map;
use sccm_common::counter::Direction;
use sccm_common::verdict::{self, Verdict};
use sccm_common::wire::fast;
use sccm_common::{Hook, Judgement, Peer, Place, Reason};

use crate::cursor::{Bytes, Linear, length};
use crate::interface::{Card, Interface, Vlan};
use crate::maps::array;
use crate::tables::Bank;
use crate::word::Word;

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
            let said = Word::of(verdict, true)
                .headed(judgement.direction)
                .at(judgement.slot)
                .observed(judgement.observing);
            report_fast(ctx.ctx, noting, said.0);
        }
        return refused(judgement.observing);
    }
    slow_path(ctx.ctx)
}

/// Notes and captures a packet that the fast path refused and counted. Reads the packet once more.
/// Not inlined, so that a packet that passes pays nothing for it, not even a register.
#[inline(never)]
fn report_fast(ctx: *mut xdp_md, noting: bool, said: u64) {
    let ctx = XdpContext::new(ctx);
    let judgement = Word(said).judgement(length(&ctx));
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
    ingress(ctx, &Card)
}

/// The ingress program of a trunk.
#[xdp(frags)]
#[inline(always)]
fn sccm_xdp_trunk(ctx: XdpContext) -> u32 {
    let Some(vlan) = Vlan::of_xdp(&ctx) else {
        account::count(&other_vlan(Direction::Inbound, length(&ctx)));
        return xdp_action::XDP_PASS;
    };
    ingress(ctx.ctx, &vlan)
}

/// The egress program of a card: judges what a host, or a gateway itself, sends, and what a gateway
/// lets into its segment from where nobody judges.
#[classifier]
#[inline(always)]
fn sccm_egress(ctx: TcContext) -> i32 {
    if let Some(entrance) = interface::judged_at_ingress(&ctx) {
        translated::remember(&ctx, entrance, || Some(Card));
        return TC_ACT_UNSPEC;
    }
    egress(&ctx, &Card)
}

/// The egress program of a trunk.
#[classifier]
#[inline(always)]
fn sccm_egress_trunk(ctx: TcContext) -> i32 {
    if let Some(entrance) = interface::judged_at_ingress(&ctx) {
        translated::remember(&ctx, entrance, || Vlan::of_skb(&ctx));
        return TC_ACT_UNSPEC;
    }
    let Some(vlan) = Vlan::of_skb(&ctx) else {
        account::count(&other_vlan(Direction::Outbound, ctx.len().into()));
        return TC_ACT_UNSPEC;
    };
    egress(&ctx, &vlan)
}

#[inline(always)]
fn ingress(ctx: *mut xdp_md, interface: &impl Interface) -> u32 {
    let (slot, place) = (interface.slot(), interface.place());
    let Some(tables) = Bank::active() else {
        return no_policy(ctx, slot, place as u32);
    };
    let end = parse::ingress(ctx);
    let said = shadow::in_turns(&tables, Hook::Xdp, |bank| {
        judge::ingress(ctx, bank, end, place)
    });
    let said = said.headed(Hook::Xdp.direction(place)).at(slot);
    conclude_ingress(ctx, said.0, tables.number())
}

/// Drops whatever comes in before there is a policy.
#[inline(never)]
fn no_policy(ctx: *mut xdp_md, slot: u32, place: u32) -> u32 {
    let ctx = XdpContext::new(ctx);
    error!(&ctx, "no active policy: dropping");
    let judgement = Judgement {
        slot,
        direction: Hook::Xdp.direction(Place::from_number(place)),
        observing: false,
        verdict: Verdict::without_service(Reason::NoPolicy),
        length: length(&ctx),
    };
    account::count(&judgement);
    capture::ingress(ctx.ctx, &judgement);
    xdp_action::XDP_DROP
}

/// Counts, notes and captures a frame that came in, and says what XDP does with it. Not inlined,
/// nor is what it calls: their parts of the stack are then their own.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn conclude_ingress(ctx: *mut xdp_md, said: u64, bank: u32) -> u32 {
    let Some(tables) = Bank::of(bank) else {
        return xdp_action::XDP_DROP;
    };
    let said = Word(said).observed(tables.observing());
    let frame = XdpContext::new(ctx);
    let judgement = said.judgement(length(&frame));
    shadow::compare(Hook::Xdp, &frame, said, tables.noting());
    account::count(&judgement);
    if judgement.verdict.reason.passes() {
        return xdp_action::XDP_PASS;
    }
    if tables.noting() {
        note_ingress(ctx, said.0);
    }
    capture_ingress(ctx, said.0);
    refused(judgement.observing)
}

/// Notes a frame that comes in and is refused.
#[inline(never)]
fn note_ingress(ctx: *mut xdp_md, said: u64) {
    blocked::note_either(Hook::Xdp, &XdpContext::new(ctx), Word(said));
}

/// Captures a frame that comes in and is refused.
#[inline(never)]
fn capture_ingress(ctx: *mut xdp_md, said: u64) {
    let judgement = Word(said).judgement(length(&XdpContext::new(ctx)));
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
    let Some(tables) = Bank::active() else {
        return TC_ACT_UNSPEC;
    };
    let forwarded = interface::came_in(ctx);
    let (ctx, place) = (ctx.skb.skb, interface.place());
    let end = parse::egress(ctx);
    let said = shadow::in_turns(&tables, Hook::Egress, |bank| {
        judge::egress(ctx, bank, end, place, forwarded)
    });
    if said.verdict().is_none() {
        return TC_ACT_UNSPEC;
    }
    let said = said.at(interface.slot());
    conclude_egress(ctx, said.0, tables.number())
}

/// Counts, notes and captures a frame that goes out and was judged here.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn conclude_egress(ctx: *mut __sk_buff, said: u64, bank: u32) -> i32 {
    let Some(tables) = Bank::of(bank) else {
        return TC_ACT_UNSPEC;
    };
    let said = Word(said).observed(tables.observing());
    let frame = TcContext::new(ctx);
    let judgement = said.judgement(frame.len().into());
    shadow::compare(Hook::Egress, &frame, said, tables.noting());
    account::count(&judgement);
    if judgement.verdict.reason.passes() {
        // The other programs on the hook decide.
        return TC_ACT_UNSPEC;
    }
    if tables.noting() {
        note_egress(ctx, said.0);
    }
    capture_egress(ctx, said.0);
    match judgement.observing {
        true => TC_ACT_UNSPEC,
        false => TC_ACT_SHOT,
    }
}

/// Notes a frame that goes out and is refused.
#[inline(never)]
fn note_egress(ctx: *mut __sk_buff, said: u64) {
    blocked::note_either(Hook::Egress, &TcContext::new(ctx), Word(said));
}

/// Captures a frame that goes out and is refused.
#[inline(never)]
fn capture_egress(ctx: *mut __sk_buff, said: u64) {
    let judgement = Word(said).judgement(TcContext::new(ctx).len().into());
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
