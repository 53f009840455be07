//! Counts every frame once, at the counter that its verdict names.

use aya_ebpf::macros::map;
use aya_ebpf::maps::PerCpuArray;
use sccm_common::abi::map;
use sccm_common::counter::{self, Counter, Page, PeerPage};
use sccm_common::{Judgement, ServiceClass, as_written};

use crate::maps::per_cpu_array;

#[map]
static COUNTERS: PerCpuArray<Page> = per_cpu_array(&map::COUNTERS);

#[map]
static PEER_COUNTERS: PerCpuArray<PeerPage> = per_cpu_array(&map::PEER_COUNTERS);

/// Counts the frame.
#[inline(always)]
pub fn count(judgement: &Judgement) {
    let Judgement {
        slot,
        direction,
        observing,
        verdict,
        length,
    } = *judgement;
    let page = counter::page(slot, direction, observing);
    if let Some(index) = counter::peer_index(direction, verdict) {
        return add(PEER_COUNTERS.get_ptr_mut(page), index, length);
    }
    // Without the mask the compiler computes the index from swapped bytes, of which the verifiers
    // of Linux 6.1 and 6.12 know no bounds.
    let service = ServiceClass(as_written::and::<0xff>(verdict.service.0.into()) as u8);
    let index = counter::index(verdict.reason, service);
    add(COUNTERS.get_ptr_mut(page), index, length);
}

/// Adds a frame of `length` bytes to a counter of a page of this CPU.
#[inline(always)]
pub fn add<const N: usize>(page: Option<*mut [Counter; N]>, index: usize, length: u64) {
    let Some(page) = page else {
        return;
    };
    // SAFETY: the kernel runs one program of a direction at a time on each CPU,
    // and this page belongs to this CPU, interface and direction.
    let page = unsafe { &mut *page };
    if let Some(counter) = page.get_mut(index) {
        counter.packets += 1;
        counter.bytes += length;
    }
}
