//! The decision on a parsed packet, in functions with global linkage: the verifier follows each of
//! them once, by itself, however many ways lead there, and knows nothing of what it returns. The
//! packet is handed over in a map, all else in words.

use aya_ebpf::bindings::{__sk_buff, xdp_md};
use aya_ebpf::programs::{TcContext, XdpContext};
use sccm_common::counter::Direction;
use sccm_common::policy::SHADOW_BANK;
use sccm_common::verdict::{self, Departure, Place, Turn, Verdict};
use sccm_common::{Hook, Reason};

use crate::cursor::Bytes;
use crate::parse::{self, End};
use crate::tables::Bank;
use crate::word::Word;

/// Judges what came in: what the parser found, or the reason at which it ended.
#[inline(always)]
pub fn ingress(ctx: *mut xdp_md, bank: u32, end: End, place: Place) -> Word {
    Word(judge_ingress(ctx, bank, end.0, place as u32))
}

#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn judge_ingress(ctx: *mut xdp_md, bank: u32, end: u32, place: u32) -> u64 {
    let ctx = XdpContext::new(ctx);
    let (Some(turn), Some(packet)) = (turn(bank), parse::packet(Hook::Xdp)) else {
        return Word::of(Verdict::without_service(Reason::NoPolicy), false).0;
    };
    let (end, place) = (End(end).reason(), Place::from_number(place));
    let verdict = verdict::ingress(&turn, packet, end, &Bytes(&ctx), place);
    Word::of(verdict, end.is_none()).0
}

/// Judges a frame that goes out, if it is judged here. Says the direction with the verdict.
#[inline(always)]
pub fn egress(ctx: *mut __sk_buff, bank: u32, end: End, place: Place, forwarded: bool) -> Word {
    let (Some(turn), Some(packet)) = (turn(bank), parse::packet(Hook::Egress)) else {
        return Word::NOT_JUDGED;
    };
    match verdict::departure(&turn, packet, end.reason(), place, forwarded) {
        Departure::Unjudged => Word::NOT_JUDGED,
        Departure::Inbound => Word(judge_passing(ctx, bank, end.0)).headed(Direction::Inbound),
        Departure::Outbound(local) => {
            Word(judge_outgoing(ctx, bank, local.into())).headed(Direction::Outbound)
        }
        Departure::Passes => {
            let passes = Verdict::without_service(Reason::Outbound);
            Word::of(passes, false).headed(Direction::Outbound)
        }
    }
}

#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn judge_outgoing(ctx: *mut __sk_buff, bank: u32, local: u32) -> u64 {
    let ctx = TcContext::new(ctx);
    let (Some(turn), Some(packet)) = (turn(bank), parse::packet(Hook::Egress)) else {
        return Word::NOT_JUDGED.0;
    };
    let verdict = verdict::outgoing(&turn, packet, &Bytes(&ctx), local as u16);
    Word::of(verdict, true).0
}

#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn judge_passing(ctx: *mut __sk_buff, bank: u32, end: u32) -> u64 {
    let ctx = TcContext::new(ctx);
    let (Some(turn), Some(packet)) = (turn(bank), parse::packet(Hook::Egress)) else {
        return Word::NOT_JUDGED.0;
    };
    let end = End(end).reason();
    let verdict = verdict::passing(&turn, packet, end, &Bytes(&ctx));
    Word::of(verdict, end.is_none()).0
}

#[inline(always)]
fn turn(bank: u32) -> Option<Turn<Bank>> {
    Some(Turn {
        tables: Bank::of(bank)?,
        is_candidate: bank == SHADOW_BANK,
    })
}
