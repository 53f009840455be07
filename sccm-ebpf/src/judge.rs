//! The decision on a parsed packet, in functions with global linkage: the verifier follows each of
//! them once, by itself, however many ways lead there, and knows nothing of what it returns. The
//! packet is handed over in a map, all else in words. Where one of them finds no bank or no packet,
//! which its caller has found already, it is only the verifier that must be told what then.

use aya_ebpf::bindings::{__sk_buff, xdp_md};
use aya_ebpf::programs::{TcContext, XdpContext};
use sccm_common::counter::Direction;
use sccm_common::policy::SHADOW_BANK;
use sccm_common::verdict::{self, About, Departure, Place, Turn, Verdict};
use sccm_common::{Hook, Reason};

use crate::cursor::{Bytes, Frame};
use crate::incoming::Incoming;
use crate::interface;
use crate::parse::{self, End};
use crate::tables::Bank;
use crate::word::Word;

/// Judges what came in: what the parser found, or the reason at which it ended.
#[inline(always)]
pub fn ingress<F: Incoming>(ctx: *mut F::Raw, bank: u32, end: End, place: Place) -> Word {
    let about = match end.reason().is_none() && is_icmp_error(Hook::Ingress) {
        true => F::about(ctx, bank, place as u32),
        false => About::NOTHING.number(),
    };
    Word(F::judge(ctx, bank, end.0, place as u32, about))
}

/// Judges a frame at the XDP hook.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn judge_xdp(ctx: *mut xdp_md, bank: u32, end: u32, place: u32, about: u32) -> u64 {
    judge_incoming(&XdpContext::new(ctx), bank, end, place, about)
}

/// Judges a packet buffer at TC ingress.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn judge_tc(
    ctx: *mut __sk_buff,
    bank: u32,
    end: u32,
    place: u32,
    about: u32,
) -> u64 {
    judge_incoming(&TcContext::new(ctx), bank, end, place, about)
}

#[inline(always)]
fn judge_incoming(frame: &impl Frame, bank: u32, end: u32, place: u32, about: u32) -> u64 {
    let (Some(turn), Some(packet)) = (turn(bank, Hook::Ingress), parse::packet(Hook::Ingress))
    else {
        return Word::of(Verdict::without_service(Reason::NoPolicy), false).0;
    };
    let (end, place) = (End(end).reason(), interface::place_of(place));
    let about = About::from_number(about);
    let verdict = verdict::ingress(
        &turn,
        packet,
        end,
        &Bytes(frame, Hook::Ingress),
        place,
        about,
    );
    Word::of(verdict, end.is_none()).0
}

/// Judges a frame that goes out, if it is judged here. Says the direction with the verdict.
#[inline(always)]
pub fn egress(ctx: *mut __sk_buff, bank: u32, end: End, place: Place, forwarded: bool) -> Word {
    let (Some(turn), Some(packet)) = (turn(bank, Hook::Egress), parse::packet(Hook::Egress)) else {
        return Word::NOT_JUDGED;
    };
    let about = |direction| match end.reason().is_none() && is_icmp_error(Hook::Egress) {
        true => about_egress(ctx, bank, direction as u32),
        false => About::NOTHING.number(),
    };
    match verdict::departure(&turn, packet, end.reason(), place, forwarded) {
        Departure::Unjudged => Word::NOT_JUDGED,
        Departure::Inbound => {
            let about = about(Direction::Inbound);
            Word(judge_passing(ctx, bank, end.0, about)).headed(Direction::Inbound)
        }
        Departure::Outbound(local) => {
            let about = about(Direction::Outbound);
            Word(judge_outgoing(ctx, bank, local.into(), about)).headed(Direction::Outbound)
        }
        Departure::Passes => {
            let passes = Verdict::without_service(Reason::Outbound);
            Word::of(passes, false).headed(Direction::Outbound)
        }
    }
}

#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn judge_outgoing(ctx: *mut __sk_buff, bank: u32, local: u32, about: u32) -> u64 {
    let ctx = TcContext::new(ctx);
    let (Some(turn), Some(packet)) = (turn(bank, Hook::Egress), parse::packet(Hook::Egress)) else {
        return Word::NOT_JUDGED.0;
    };
    let about = About::from_number(about);
    let verdict = verdict::outgoing(
        &turn,
        packet,
        &Bytes(&ctx, Hook::Egress),
        local as u16,
        about,
    );
    Word::of(verdict, true).0
}

/// Remembers what leaves into a segment as if it had come in at the uplink; the verdict does not
/// matter.
#[inline(always)]
pub fn remember_passing(ctx: *mut __sk_buff, bank: u32, end: End) {
    judge_passing(ctx, bank, end.0, About::NOTHING.number());
}

/// Judges what leaves into a segment as the uplink would have.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn judge_passing(ctx: *mut __sk_buff, bank: u32, end: u32, about: u32) -> u64 {
    let ctx = TcContext::new(ctx);
    let (Some(turn), Some(packet)) = (turn(bank, Hook::Egress), parse::packet(Hook::Egress)) else {
        return Word::NOT_JUDGED.0;
    };
    let (end, about) = (End(end).reason(), About::from_number(about));
    let verdict = verdict::ingress(
        &turn,
        packet,
        end,
        &Bytes(&ctx, Hook::Egress),
        Place::Uplink,
        about,
    );
    Word::of(verdict, end.is_none()).0
}

#[inline(always)]
fn is_icmp_error(hook: Hook) -> bool {
    parse::packet(hook).is_some_and(|packet| verdict::is_icmp_error(packet))
}

/// What an ICMP error at the XDP hook is about. Beside the decision and not within it: the two need
/// much of the stack each.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn about_xdp(ctx: *mut xdp_md, bank: u32, place: u32) -> u32 {
    about_incoming(&XdpContext::new(ctx), bank, place)
}

/// What an ICMP error at TC ingress is about.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn about_tc(ctx: *mut __sk_buff, bank: u32, place: u32) -> u32 {
    about_incoming(&TcContext::new(ctx), bank, place)
}

#[inline(always)]
fn about_incoming(frame: &impl Frame, bank: u32, place: u32) -> u32 {
    let (Some(tables), Some(packet)) = (Bank::of(bank), parse::packet(Hook::Ingress)) else {
        return About::NOTHING.number();
    };
    let place = interface::place_of(place);
    verdict::about(
        &tables,
        packet,
        &Bytes(frame, Hook::Ingress),
        Hook::Ingress,
        place,
    )
    .number()
}

/// What an ICMP error that goes out in a direction is about.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn about_egress(ctx: *mut __sk_buff, bank: u32, direction: u32) -> u32 {
    let ctx = TcContext::new(ctx);
    let (Some(tables), Some(packet)) = (Bank::of(bank), parse::packet(Hook::Egress)) else {
        return About::NOTHING.number();
    };
    // Inbound, as the uplink would have seen it.
    let hook = match direction == Direction::Inbound as u32 {
        true => Hook::Ingress,
        false => Hook::Egress,
    };
    verdict::about(
        &tables,
        packet,
        &Bytes(&ctx, Hook::Egress),
        hook,
        Place::Uplink,
    )
    .number()
}

#[inline(always)]
pub fn turn(bank: u32, hook: Hook) -> Option<Turn<Bank>> {
    Some(Turn {
        tables: Bank::of(bank)?.at(hook),
        is_candidate: bank == SHADOW_BANK,
    })
}
