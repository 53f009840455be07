//! Counts every frame once, at the counter that its verdict names.

use aya_ebpf::macros::map;
use aya_ebpf::maps::{Array, PerCpuArray};
use sccm_common::abi::map;
use sccm_common::counter::{self, Counter, Page, PeerPage};
use sccm_common::usage::{self, Row, RowRecord, Uses};
use sccm_common::{Judgement, ServiceClass, as_written};

use crate::maps::{array, per_cpu_array};
use crate::tables::now;

#[map]
static COUNTERS: PerCpuArray<Page> = per_cpu_array(&map::COUNTERS);

#[map]
static PEER_COUNTERS: PerCpuArray<PeerPage> = per_cpu_array(&map::PEER_COUNTERS);

#[map]
static USES: PerCpuArray<Uses> = per_cpu_array(&map::USES);

/// Read by agents only: what each row stands for.
#[map]
static ROWS: Array<RowRecord> = array(&map::ROWS);

/// Counts the frame, and the right by which it passes.
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
    if verdict.row != Row::NONE {
        use_right(verdict.row, service);
    }
}

/// Counts a packet that passes by a right.
#[inline(always)]
fn use_right(row: Row, class: ServiceClass) {
    const LAST: u32 = Row::COUNT - 1;
    let row = as_written::and::<LAST>(row.0.into()) as u32;
    let (Some(uses), Some(column)) = (USES.get_ptr_mut(row), usage::column(class)) else {
        return;
    };
    // SAFETY: as in `add`, but for the two programs of a card: if one interrupts the other in the
    // same right, a packet may be lost from its count.
    let uses = unsafe { &mut *uses };
    if let Some(right) = uses.get_mut(column) {
        right.note(now());
    }
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
