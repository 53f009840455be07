//! Copies refused packets to a process that ordered them: the kernel's side of
//! [`capture`](sccm_common::capture).
//!
//! Runs after the verdict is counted, and does not change it. Without an order, a packet that is
//! refused costs one read of a word, and one that passes costs nothing.

use aya_ebpf::bindings::__sk_buff;
use aya_ebpf::helpers::bpf_ktime_get_ns;
use aya_ebpf::macros::map;
use aya_ebpf::maps::{Array, PerCpuArray, RingBuf};
use aya_ebpf::programs::TcContext;
use sccm_common::abi::map;
use sccm_common::capture::{About, Desk, Header, Order};
use sccm_common::{Hook, Judgement};

use crate::cursor::Frame;
use crate::desk;
use crate::incoming::Incoming;
use crate::maps::{array, per_cpu_array, ring_buf};
use crate::tables::now;

#[map]
static ORDER: Array<Order> = array(&map::ORDER);

/// One element for each hook.
#[map]
static DESK: PerCpuArray<Desk> = per_cpu_array(&map::DESK);

#[map]
static CAPTURED: RingBuf = ring_buf(&map::CAPTURED);

/// Copies a frame that an ingress program refused, if somebody ordered it.
#[inline(always)]
pub fn ingress<F: Incoming>(ctx: *mut F::Raw, judgement: &Judgement, has_link: bool) {
    if is_ordered() {
        let about = About::of(judgement, Hook::Ingress).linked(has_link);
        copy_ingress::<F>(ctx, about.to_word());
    }
}

/// Copies a frame that the egress program refused, if somebody ordered it.
#[inline(always)]
pub fn egress(ctx: *mut __sk_buff, judgement: &Judgement, has_link: bool) {
    if is_ordered() {
        let about = About::of(judgement, Hook::Egress).linked(has_link);
        copy_egress(ctx, about.to_word());
    }
}

/// Whether there is an order.
#[inline(always)]
pub fn is_ordered() -> bool {
    ORDER.get(0).is_some_and(|order| order.until != 0)
}

/// Not inlined, so that it takes no registers where it is rarely needed.
#[inline(never)]
fn copy_ingress<F: Incoming>(ctx: *mut F::Raw, about: u32) {
    copy(&F::of(ctx), Hook::Ingress, about);
}

/// Not inlined either.
#[inline(never)]
fn copy_egress(ctx: *mut __sk_buff, about: u32) {
    copy(&TcContext::new(ctx), Hook::Egress, about);
}

#[inline(always)]
fn copy(frame: &impl Frame, hook: Hook, about: u32) {
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
    let wanted = if length < order.snaplen {
        length
    } else {
        order.snaplen
    };
    desk::send(&CAPTURED, desk, frame, 0, wanted);
}
