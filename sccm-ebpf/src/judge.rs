//! The decision on a parsed packet, in functions with global linkage: the verifier follows each of
//! them once, by itself, however many ways lead there, and knows nothing of what it returns. The
//! packet is handed over in a map, all else in words.

use aya_ebpf::bindings::{__sk_buff, xdp_md};
use aya_ebpf::programs::{TcContext, XdpContext};
use sccm_common::policy::SHADOW_BANK;
use sccm_common::verdict::{self, About, Place, Turn, Verdict};
use sccm_common::{Hook, Reason};

use crate::cursor::Bytes;
use crate::parse::{self, End};
use crate::tables::Bank;
use crate::word::Word;

/// Judges what came in: what the parser found, or the reason at which it ended.
#[inline(always)]
pub fn ingress(ctx: *mut xdp_md, bank: u32, end: End, place: Place) -> Word {
    let about = match end.reason().is_none() && is_icmp_error(Hook::Xdp) {
        true => about_ingress(ctx, bank, place as u32),
        false => About::Nothing as u32,
    };
    Word(judge_ingress(ctx, bank, end.0, place as u32, about))
}

#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn judge_ingress(ctx: *mut xdp_md, bank: u32, end: u32, place: u32, about: u32) -> u64 {
    let ctx = XdpContext::new(ctx);
    let (Some(turn), Some(packet)) = (turn(bank), parse::packet(Hook::Xdp)) else {
        return Word::of(Verdict::without_service(Reason::NoPolicy), false).0;
    };
    let (end, place) = (End(end).reason(), Place::from_number(place));
    let about = About::from_number(about);
    let verdict = verdict::ingress(&turn, packet, end, &Bytes(&ctx), place, about);
    Word::of(verdict, end.is_none()).0
}

/// Judges a packet that goes out, if it is judged here.
#[inline(always)]
pub fn egress(ctx: *mut __sk_buff, bank: u32, place: Place) -> Word {
    let about = match is_icmp_error(Hook::Egress) {
        true => about_egress(ctx, bank, place as u32),
        false => About::Nothing as u32,
    };
    Word(judge_egress(ctx, bank, place as u32, about))
}

#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn judge_egress(ctx: *mut __sk_buff, bank: u32, place: u32, about: u32) -> u64 {
    let ctx = TcContext::new(ctx);
    let (Some(turn), Some(packet)) = (turn(bank), parse::packet(Hook::Egress)) else {
        return Word::NOT_JUDGED.0;
    };
    let (place, about) = (Place::from_number(place), About::from_number(about));
    match verdict::egress(&turn, packet, &Bytes(&ctx), place, about) {
        Some(verdict) => Word::of(verdict, true).0,
        None => Word::NOT_JUDGED.0,
    }
}

#[inline(always)]
fn is_icmp_error(hook: Hook) -> bool {
    parse::packet(hook).is_some_and(|packet| verdict::is_icmp_error(packet))
}

/// What an ICMP error that comes in is about. Beside the decision and not within it: the two need
/// much of the stack each.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn about_ingress(ctx: *mut xdp_md, bank: u32, place: u32) -> u32 {
    let ctx = XdpContext::new(ctx);
    let (Some(tables), Some(packet)) = (Bank::of(bank), parse::packet(Hook::Xdp)) else {
        return About::Nothing as u32;
    };
    let place = Place::from_number(place);
    verdict::about(&tables, packet, &Bytes(&ctx), Hook::Xdp, place) as u32
}

/// What an ICMP error that goes out is about.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn about_egress(ctx: *mut __sk_buff, bank: u32, place: u32) -> u32 {
    let ctx = TcContext::new(ctx);
    let (Some(tables), Some(packet)) = (Bank::of(bank), parse::packet(Hook::Egress)) else {
        return About::Nothing as u32;
    };
    let place = Place::from_number(place);
    verdict::about(&tables, packet, &Bytes(&ctx), Hook::Egress, place) as u32
}

#[inline(always)]
fn turn(bank: u32) -> Option<Turn<Bank>> {
    Some(Turn {
        tables: Bank::of(bank)?,
        is_candidate: bank == SHADOW_BANK,
    })
}
