//! Hands packets that are refused to a process that ordered them: the kernel's side of
//! [`capture`](sccm_common::capture).
//!
//! Comes after the verdict is counted, and changes nothing about it. As
//! long as nobody has ordered anything, a packet that is refused costs one look at a word
//! more, and one that passes costs nothing.

use aya_ebpf::bindings::{__sk_buff, xdp_md};
use aya_ebpf::helpers::bpf_ktime_get_ns;
use aya_ebpf::macros::map;
use aya_ebpf::maps::{Array, PerCpuArray, RingBuf};
use aya_ebpf::programs::{TcContext, XdpContext};
use core::hint::black_box;
use sccm_common::abi::map;
use sccm_common::capture::{About, Desk, HEADER, Header, LONGEST, Order, mark};
use sccm_common::counter::Direction;
use sccm_common::verdict::Verdict;

use crate::cursor::Frame;
use crate::maps::{array, per_cpu_array, ring_buf};
use crate::tables::now;

#[map]
static ORDER: Array<Order> = array(&map::ORDER);

/// One for each program, because they may run one within the other.
#[map]
static DESK: PerCpuArray<Desk> = per_cpu_array(&map::DESK);

#[map]
static CAPTURED: RingBuf = ring_buf(&map::CAPTURED);

/// A frame that arrived was refused.
#[inline(always)]
pub fn arrived(
    ctx: *mut xdp_md,
    verdict: Verdict,
    (slot, direction): (u32, Direction),
    observing: bool,
) {
    if is_ordered() {
        copy_arrived(ctx, about(verdict, slot, direction, observing).to_word());
    }
}

/// A frame that was about to leave was refused.
#[inline(always)]
pub fn left(ctx: *mut __sk_buff, verdict: Verdict, slot: u32, observing: bool) {
    if is_ordered() {
        let mut about = about(verdict, slot, Direction::Outbound, observing);
        about.marks |= mark::LEAVING;
        copy_left(ctx, about.to_word());
    }
}

/// Whether anybody has ordered any.
#[inline(always)]
pub fn is_ordered() -> bool {
    ORDER.get(0).is_some_and(|order| order.until != 0)
}

#[inline(always)]
fn about(verdict: Verdict, slot: u32, direction: Direction, observing: bool) -> About {
    let outbound = match direction {
        Direction::Inbound => 0,
        Direction::Outbound => mark::OUTBOUND,
    };
    let observed = if observing { mark::OBSERVED } else { 0 };
    About {
        reason: verdict.reason as u8,
        service: verdict.service.0,
        slot: slot as u8,
        marks: outbound | observed,
    }
}

/// Not inlined, so that it takes no registers where it is rarely needed.
#[inline(never)]
fn copy_arrived(ctx: *mut xdp_md, about: u32) {
    copy(&XdpContext::new(ctx), Direction::Inbound, about);
}

/// As [`copy_arrived`].
#[inline(never)]
fn copy_left(ctx: *mut __sk_buff, about: u32) {
    copy(&TcContext::new(ctx), Direction::Outbound, about);
}

#[inline(always)]
fn copy(frame: &impl Frame, hook: Direction, about: u32) {
    let Some(order) = ORDER.get(0) else {
        return;
    };
    let about = About::of_word(about);
    if !order.wants(&about, now()) {
        return;
    }
    let Some(desk) = DESK.get_ptr_mut(hook as u32) else {
        return;
    };
    // SAFETY: the element is this CPU's, and only this program's on it.
    let desk = unsafe { &mut *desk };
    let length = frame.length();
    desk.record.header = Header {
        // SAFETY: the helper takes no arguments.
        at: unsafe { bpf_ktime_get_ns() },
        id: order.id,
        length,
        tag: frame.tag(),
        about,
    };
    let count = if length < order.snaplen {
        length
    } else {
        order.snaplen
    };
    // From 1 to LONGEST, in a form that every verifier can follow.
    let count = (black_box(count.wrapping_sub(1)) & (LONGEST as u32 - 1)) + 1;
    if !frame.copy_to(&mut desk.record.bytes, count) {
        return;
    }
    // SAFETY: the record is one piece of memory, and has room for as many bytes.
    let record = unsafe {
        core::slice::from_raw_parts(
            (&raw const desk.record).cast::<u8>(),
            HEADER + count as usize,
        )
    };
    if CAPTURED.output::<[u8]>(record, 0).is_err() {
        desk.lost += 1;
    }
}
