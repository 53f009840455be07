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
mod desk;
mod flows;
mod heard;
mod incoming;
mod interface;
mod judge;
mod maps;
mod parse;
mod rpc;
mod shadow;
mod tables;
mod translated;
mod word;

use aya_ebpf::bindings::{__sk_buff, TC_ACT_SHOT, TC_ACT_UNSPEC, xdp_md};
use aya_ebpf::macros::{classifier, map, xdp};
use aya_ebpf::maps::Array;
use aya_ebpf::programs::{TcContext, XdpContext};
use aya_log_ebpf::error;
use sccm_common::abi::map;
use sccm_common::counter::Direction;
use sccm_common::verdict::{self, Verdict};
use sccm_common::wire::fast;
use sccm_common::{Hook, Judgement, Peer, Place, Reason};

use crate::cursor::{Bytes, Linear};
use crate::incoming::Incoming;
use crate::interface::{Card, Interface, Tunnel, Vlan};
use crate::maps::array;
use crate::parse::End;
use crate::tables::Bank;
use crate::word::Word;

/// Read by agents only: which layout these maps have.
#[map]
static ABI: Array<u32> = array(&map::ABI);

/// The ingress program of a card, at XDP.
#[xdp(frags)]
#[inline(always)]
fn sccm_xdp(ctx: XdpContext) -> u32 {
    card(ctx).cast_unsigned()
}

/// The ingress program of a card, at TC: it sees the large packets that the kernel has put together.
#[classifier]
#[inline(always)]
fn sccm_tc(ctx: TcContext) -> i32 {
    card(ctx)
}

/// The ingress program of a trunk, at XDP.
#[xdp(frags)]
#[inline(always)]
fn sccm_xdp_trunk(ctx: XdpContext) -> u32 {
    trunk(ctx).cast_unsigned()
}

/// The ingress program of a trunk, at TC.
#[classifier]
#[inline(always)]
fn sccm_tc_trunk(ctx: TcContext) -> i32 {
    trunk(ctx)
}

/// The ingress program of a card whose frames have no Ethernet header. It has no fast path.
#[classifier]
#[inline(always)]
fn sccm_tc_ip(ctx: TcContext) -> i32 {
    let parse = |ctx| parse::ip(ctx, Hook::Ingress);
    ingress::<TcContext, _>(ctx.skb.skb, &Tunnel, parse)
}

/// The fast path here, the slow path in a function of its own.
#[inline(always)]
fn card<F: Incoming>(ctx: F) -> i32 {
    let place = Card.place();
    if place.has_fast_path()
        && let Some(tables) = Bank::active_unshadowed()
        && let Some(verdict) = match place {
            Place::Segment => Word(fast_segment::<F>(ctx.raw(), tables.number())).verdict(),
            _ => verdict::fast_ingress(&tables, ctx.linear(), &Bytes(&ctx, Hook::Ingress), place),
        }
    {
        let judgement = Judgement {
            slot: Card.slot(),
            direction: Hook::Ingress.direction(place),
            observing: tables.observing(),
            verdict,
            length: ctx.bytes(),
        };
        if verdict.reason.passes() {
            // Only a packet that is refused has a peer.
            let peer = Peer::NOT_KNOWN;
            account::count(&Judgement {
                verdict: Verdict { peer, ..verdict },
                ..judgement
            });
            return F::PASS;
        }
        account::count(&judgement);
        let noting = tables.noting();
        if noting || capture::is_ordered() {
            let said = Word::of(verdict, true)
                .headed(judgement.direction)
                .at(judgement.slot)
                .observed(judgement.observing);
            report_fast::<F>(ctx.raw(), noting, said.0);
        }
        return refused::<F>(judgement.observing);
    }
    F::slow_path(ctx.raw())
}

/// The fast path of a segment. Not inlined: with its part of the stack, the slow path would have too
/// little.
#[inline(never)]
fn fast_segment<F: Incoming>(ctx: *mut F::Raw, bank: u32) -> u64 {
    let frame = F::of(ctx);
    let Some(tables) = Bank::of(bank) else {
        return Word::NOT_JUDGED.0;
    };
    let verdict = verdict::fast_segment(&tables, frame.linear(), &Bytes(&frame, Hook::Ingress));
    verdict
        .map_or(Word::NOT_JUDGED, |verdict| Word::of(verdict, true))
        .0
}

/// Notes and captures a packet that the fast path refused and counted. Reads the packet once more.
/// Not inlined, so that a packet that passes pays nothing for it, not even a register.
#[inline(never)]
fn report_fast<F: Incoming>(ctx: *mut F::Raw, noting: bool, said: u64) {
    let frame = F::of(ctx);
    let judgement = Word(said).judgement(frame.bytes());
    if noting && let Some(packet) = fast::parse(frame.linear()) {
        blocked::note(&packet, &judgement);
    }
    capture::ingress::<F>(ctx, &judgement, true);
}

/// Judges any frame. Not inlined, so that the fast path has all registers to itself; the call
/// costs about 7 ns.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn slow_path_xdp(ctx: *mut xdp_md) -> i32 {
    ingress::<XdpContext, _>(ctx, &Card, parsed::<XdpContext>)
}

/// The same at TC.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn slow_path_tc(ctx: *mut __sk_buff) -> i32 {
    ingress::<TcContext, _>(ctx, &Card, parsed::<TcContext>)
}

#[inline(always)]
fn trunk<F: Incoming>(ctx: F) -> i32 {
    let Some(vlan) = ctx.vlan() else {
        account::count(&other_vlan(Direction::Inbound, ctx.bytes()));
        return F::PASS;
    };
    ingress::<F, _>(ctx.raw(), &vlan, parsed::<F>)
}

/// The egress program of a card: judges what a host, or a gateway itself, sends, and what a gateway
/// lets into its segment from where nobody judges.
#[classifier]
#[inline(always)]
fn sccm_egress(ctx: TcContext) -> i32 {
    if let Some(entrance) = interface::judged_at_ingress(&ctx) {
        translated::remember(&ctx, entrance, || Some(Card), parse::egress);
        return TC_ACT_UNSPEC;
    }
    if Card.place() == Place::Host
        && let Some(tables) = Bank::active_unshadowed()
        && let Some(verdict) = Word(fast_departure(ctx.skb.skb, tables.number())).verdict()
    {
        account::count(&Judgement {
            slot: Card.slot(),
            direction: Direction::Outbound,
            observing: tables.observing(),
            verdict,
            length: ctx.len().into(),
        });
        return TC_ACT_UNSPEC;
    }
    egress(&ctx, &Card, parse::egress)
}

/// The fast path of what a host sends and may send; what is refused takes the slow path. Not inlined:
/// its part of the stack is then its own.
#[inline(never)]
fn fast_departure(ctx: *mut __sk_buff, bank: u32) -> u64 {
    let frame = TcContext::new(ctx);
    let Some(tables) = Bank::of(bank) else {
        return Word::NOT_JUDGED.0;
    };
    verdict::fast_departure(
        &tables,
        Linear::of_skb(&frame),
        &Bytes(&frame, Hook::Egress),
    )
    .filter(|verdict| verdict.reason.passes())
    .map_or(Word::NOT_JUDGED, |verdict| Word::of(verdict, true))
    .0
}

/// The egress program of a card whose frames have no Ethernet header.
#[classifier]
#[inline(always)]
fn sccm_egress_ip(ctx: TcContext) -> i32 {
    let parse = |ctx| parse::ip(ctx, Hook::Egress);
    if let Some(entrance) = interface::judged_at_ingress(&ctx) {
        translated::remember(&ctx, entrance, || Some(Tunnel), parse);
        return TC_ACT_UNSPEC;
    }
    egress(&ctx, &Tunnel, parse)
}

/// The egress program of a trunk.
#[classifier]
#[inline(always)]
fn sccm_egress_trunk(ctx: TcContext) -> i32 {
    if let Some(entrance) = interface::judged_at_ingress(&ctx) {
        translated::remember(&ctx, entrance, || Vlan::of_skb(&ctx), parse::egress);
        return TC_ACT_UNSPEC;
    }
    let Some(vlan) = Vlan::of_skb(&ctx) else {
        account::count(&other_vlan(Direction::Outbound, ctx.len().into()));
        return TC_ACT_UNSPEC;
    };
    egress(&ctx, &vlan, parse::egress)
}

#[inline(always)]
fn parsed<F: Incoming>(ctx: *mut F::Raw) -> End {
    End(F::parse(ctx))
}

#[inline(always)]
fn ingress<F: Incoming, I: Interface>(
    ctx: *mut F::Raw,
    interface: &I,
    parse: impl FnOnce(*mut F::Raw) -> End,
) -> i32 {
    let (slot, place) = (interface.slot(), interface.place());
    let Some(tables) = Bank::active() else {
        return no_policy::<F>(ctx, slot, place as u32, I::HAS_LINK);
    };
    let end = parse(ctx);
    let said = shadow::in_turns(&tables, Hook::Ingress, |bank| {
        judge::ingress::<F>(ctx, bank, end, place)
    });
    rpc::read(&tables, Hook::Ingress, |marks| F::tell(ctx, marks));
    let said = said.headed(Hook::Ingress.direction(place)).at(slot);
    let said = said.linked(I::HAS_LINK);
    F::conclude(ctx, said.0, tables.number())
}

/// Drops whatever comes in before there is a policy.
#[inline(never)]
fn no_policy<F: Incoming>(ctx: *mut F::Raw, slot: u32, place: u32, has_link: bool) -> i32 {
    let frame = F::of(ctx);
    error!(&frame, "no active policy: dropping");
    let judgement = Judgement {
        slot,
        direction: Hook::Ingress.direction(Place::from_number(place)),
        observing: false,
        verdict: Verdict::without_service(Reason::NoPolicy),
        length: frame.bytes(),
    };
    account::count(&judgement);
    capture::ingress::<F>(ctx, &judgement, has_link);
    F::DROP
}

/// Counts, notes and captures a frame at the XDP hook, and says what becomes of it. Not inlined,
/// nor is what it calls: their parts of the stack are then their own.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn conclude_xdp(ctx: *mut xdp_md, said: u64, bank: u32) -> i32 {
    conclude::<XdpContext>(ctx, said, bank)
}

/// The same at TC ingress.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn conclude_tc(ctx: *mut __sk_buff, said: u64, bank: u32) -> i32 {
    conclude::<TcContext>(ctx, said, bank)
}

#[inline(always)]
fn conclude<F: Incoming>(ctx: *mut F::Raw, said: u64, bank: u32) -> i32 {
    let Some(tables) = Bank::of(bank) else {
        return F::DROP;
    };
    let said = Word(said).observed(tables.observing());
    let frame = F::of(ctx);
    let judgement = said.judgement(frame.bytes());
    shadow::compare(Hook::Ingress, &frame, said, tables.noting());
    account::count(&judgement);
    if judgement.verdict.reason.passes() {
        return F::PASS;
    }
    if tables.noting() {
        note_ingress::<F>(ctx, said.0);
    }
    capture_ingress::<F>(ctx, said.0);
    refused::<F>(judgement.observing)
}

/// Notes a frame that comes in and is refused.
#[inline(never)]
fn note_ingress<F: Incoming>(ctx: *mut F::Raw, said: u64) {
    blocked::note_either(Hook::Ingress, &F::of(ctx), Word(said));
}

/// Captures a frame that comes in and is refused.
#[inline(never)]
fn capture_ingress<F: Incoming>(ctx: *mut F::Raw, said: u64) {
    let said = Word(said);
    let judgement = said.judgement(F::of(ctx).bytes());
    capture::ingress::<F>(ctx, &judgement, said.has_link());
}

/// What becomes of a frame that is refused.
#[inline(always)]
fn refused<F: Incoming>(observing: bool) -> i32 {
    match observing {
        true => F::PASS,
        false => F::DROP,
    }
}

#[inline(always)]
fn egress<I: Interface>(
    ctx: &TcContext,
    interface: &I,
    parse: impl FnOnce(*mut __sk_buff) -> End,
) -> i32 {
    let Some(tables) = Bank::active() else {
        return TC_ACT_UNSPEC;
    };
    let forwarded = interface::came_in(ctx);
    let (ctx, place) = (ctx.skb.skb, interface.place());
    let end = parse(ctx);
    let said = shadow::in_turns(&tables, Hook::Egress, |bank| {
        judge::egress(ctx, bank, end, place, forwarded)
    });
    if said.verdict().is_none() {
        return TC_ACT_UNSPEC;
    }
    rpc::read(&tables, Hook::Egress, |marks| {
        heard::tell_egress(ctx, marks)
    });
    let said = said.at(interface.slot()).linked(I::HAS_LINK);
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
    let said = Word(said);
    let judgement = said.judgement(TcContext::new(ctx).len().into());
    capture::egress(ctx, &judgement, said.has_link());
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
