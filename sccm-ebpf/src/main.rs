//! The programs that the kernel runs: one judges what arrives, one what leaves.
//!
//! All decisions are in `sccm-common`; here are only the packet cursor, the
//! maps, and the accounting of each verdict.
#![no_std]
#![no_main]

mod account;
mod blocked;
mod capture;
mod cursor;
mod maps;
mod seat;
mod settle;
mod shadow;
mod tables;

use aya_ebpf::bindings::{TC_ACT_SHOT, TC_ACT_UNSPEC, xdp_action, xdp_md};
use aya_ebpf::macros::{classifier, map, xdp};
use aya_ebpf::maps::Array;
use aya_ebpf::programs::{TcContext, XdpContext};
use aya_log_ebpf::error;
use sccm_common::abi::map;
use sccm_common::counter::Direction;
use sccm_common::verdict::{self, Arriving, Verdict};
use sccm_common::wire::plain;
use sccm_common::{Peer, Place, Reason, ServiceClass, wire};

use crate::cursor::{Bytes, Linear, PacketCursor, length};
use crate::maps::array;
use crate::seat::{OfCard, OfVlan, Seat};
use crate::settle::{settle, settle_reason, settle_verdict};
use crate::tables::Active;

/// Read by agents only: which layout these maps have.
#[map]
static ABI: Array<u32> = array(&map::ABI);

/// Judges a frame that arrives: a plain packet here, what is unusual elsewhere.
#[xdp(frags)]
#[inline(always)]
fn sccm_arriving(ctx: XdpContext) -> u32 {
    let place = OfCard.place();
    if place != Place::Segment
        && let Some(tables) = Active::load_unshadowed()
    {
        let judge = Arriving {
            tables: &tables,
            payload: &Bytes(&ctx),
            place,
        };
        if let Some(Some(verdict)) = plain::visit(Linear::of_xdp(&ctx), judge) {
            let observing = tables.observing();
            let (slot, direction, length) = (OfCard.slot(), Direction::Inbound, length(&ctx));
            if verdict.reason.passes() {
                // Only what is refused is asked for its peer.
                let peer = Peer::NOT_KNOWN;
                let verdict = Verdict { peer, ..verdict };
                account::count(slot, direction, observing, verdict, length);
                return xdp_action::XDP_PASS;
            }
            account::count(slot, direction, observing, verdict, length);
            let noting = tables.noting();
            if noting || capture::is_ordered() {
                let (reason, service) = (verdict.reason, verdict.service);
                report_plain(ctx.ctx, reason, service, observing, noting);
            }
            return refused(observing);
        }
    }
    unusual(ctx.ctx)
}

/// Tells of a plain packet that was refused, and counted: reads it once more to note its flow.
/// Not inlined, so that it costs one that passes nothing, not even a register.
#[inline(never)]
fn report_plain(
    ctx: *mut xdp_md,
    reason: Reason,
    service: ServiceClass,
    observing: bool,
    noting: bool,
) {
    let verdict = Verdict::of_service(reason, service);
    let ctx = XdpContext::new(ctx);
    let (slot, direction) = (OfCard.slot(), Direction::Inbound);
    if noting && let Some(packet) = plain::packet(Linear::of_xdp(&ctx)) {
        let length = length(&ctx) as u32;
        blocked::note(&packet, verdict, slot, direction, observing, length);
    }
    capture::arrived(ctx.ctx, verdict, (slot, direction), observing);
}

/// Judges a frame that arrives, whatever it is. Not inlined, so that the plain packet has all
/// registers to itself; the call costs about 7 ns.
#[inline(never)]
fn unusual(ctx: *mut xdp_md) -> u32 {
    arriving(&XdpContext::new(ctx), &OfCard)
}

/// Judges a frame that arrives where VLAN ids decide.
#[xdp(frags)]
#[inline(always)]
fn sccm_arriving_trunk(ctx: XdpContext) -> u32 {
    let Some(seat) = OfVlan::of_xdp(&ctx) else {
        let slot = OfCard.slot();
        account::count(slot, Direction::Inbound, false, OTHER_VLAN, length(&ctx));
        return xdp_action::XDP_PASS;
    };
    arriving(&ctx, &seat)
}

/// Judges a frame that leaves: a host's own, or a gateway's own.
#[classifier]
#[inline(always)]
fn sccm_leaving(ctx: TcContext) -> i32 {
    if seat::was_judged_on_arrival(&ctx) {
        return TC_ACT_UNSPEC;
    }
    leaving(&ctx, &OfCard)
}

/// The same where VLAN ids decide.
#[classifier]
#[inline(always)]
fn sccm_leaving_trunk(ctx: TcContext) -> i32 {
    if seat::was_judged_on_arrival(&ctx) {
        return TC_ACT_UNSPEC;
    }
    let Some(seat) = OfVlan::of_skb(&ctx) else {
        let (slot, length) = (OfCard.slot(), ctx.len().into());
        account::count(slot, Direction::Outbound, false, OTHER_VLAN, length);
        return TC_ACT_UNSPEC;
    };
    leaving(&ctx, &seat)
}

#[inline(always)]
fn arriving(ctx: &XdpContext, seat: &impl Seat) -> u32 {
    let mut cursor = PacketCursor::of_xdp(ctx);
    let hook = Direction::Inbound;
    let Some(tables) = Active::load() else {
        error!(ctx, "no active policy: dropping");
        let (direction, length) = (direction_at(seat.place()), cursor.length());
        account::count(seat.slot(), direction, false, NO_POLICY, length.into());
        capture::arrived(ctx.ctx, NO_POLICY, (seat.slot(), direction), false);
        return xdp_action::XDP_DROP;
    };
    let parsed = match wire::parse(&mut cursor) {
        Ok(packet) => settle(packet, hook).ok_or(Reason::NoPolicy),
        Err(reason) => Err(settle_reason(reason, &tables)),
    };
    let place = seat.place();
    let verdict = shadow::in_turns(&tables, hook, |tables| match parsed {
        Ok(packet) => verdict::arriving(tables, packet, &Bytes(ctx), place),
        Err(reason) => verdict::arriving_unparsed(tables, reason),
    });
    let verdict = settle_verdict(verdict, &tables);
    let (slot, direction) = (seat.slot(), direction_at(place));
    let (observing, length) = (tables.observing(), cursor.length());
    shadow::count(hook, (slot, direction), verdict, length.into());
    account::count(slot, direction, observing, verdict, length.into());
    if verdict.reason.passes() {
        return xdp_action::XDP_PASS;
    }
    if tables.noting()
        && let Ok(packet) = parsed
    {
        blocked::note(packet, verdict, slot, direction, observing, length);
    }
    capture::arrived(ctx.ctx, verdict, (slot, direction), observing);
    refused(observing)
}

/// Which way a frame goes that arrives at a place.
#[inline(always)]
const fn direction_at(place: Place) -> Direction {
    match place {
        Place::Host | Place::Uplink => Direction::Inbound,
        Place::Segment => Direction::Outbound,
    }
}

/// What becomes of a frame that arrived and is refused.
#[inline(always)]
fn refused(observing: bool) -> u32 {
    match observing {
        true => xdp_action::XDP_PASS,
        false => xdp_action::XDP_DROP,
    }
}

#[inline(always)]
fn leaving(ctx: &TcContext, seat: &impl Seat) -> i32 {
    let mut cursor = PacketCursor::of_skb(ctx);
    let Some(tables) = Active::load() else {
        return TC_ACT_UNSPEC;
    };
    let parsed = match plain::packet(cursor.linear()) {
        Some(packet) => Ok(packet),
        None => wire::parse(&mut cursor),
    };
    let direction = Direction::Outbound;
    let parsed = match parsed {
        Ok(packet) => match settle(packet, direction) {
            Some(packet) => Some(packet),
            None => return TC_ACT_UNSPEC,
        },
        Err(_) => None,
    };
    let place = seat.place();
    let verdict = match parsed {
        Some(packet) => shadow::in_turns(&tables, direction, |tables| {
            verdict::leaving(tables, packet, &Bytes(ctx), place)
        }),
        None => verdict::leaving_unparsed(place),
    };
    let Some(verdict) = verdict else {
        return TC_ACT_UNSPEC;
    };
    let verdict = settle_verdict(verdict, &tables);
    let (slot, observing, length) = (seat.slot(), tables.observing(), cursor.length());
    shadow::count(direction, (slot, direction), verdict, length.into());
    account::count(slot, direction, observing, verdict, length.into());
    if verdict.reason.passes() {
        // The other programs on the hook decide.
        return TC_ACT_UNSPEC;
    }
    if tables.noting()
        && let Some(packet) = parsed
    {
        blocked::note(packet, verdict, slot, direction, observing, length);
    }
    capture::left(ctx.skb.skb, verdict, slot, observing);
    match observing {
        true => TC_ACT_UNSPEC,
        false => TC_ACT_SHOT,
    }
}

const OTHER_VLAN: Verdict = Verdict::without_service(Reason::OtherVlan);

const NO_POLICY: Verdict = Verdict::without_service(Reason::NoPolicy);

#[cfg(not(test))]
#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    // The verifier accepts no program in which this could be reached.
    loop {}
}
