//! Notes the flows of packets that are refused: the kernel's side of [`Notebook`].

use aya_ebpf::macros::map;
use aya_ebpf::maps::{PerCpuArray, RingBuf};
use sccm_common::abi::map;
use sccm_common::blocked::{self, BlockedKey, Bucket, Event, Notebook, Set};
use sccm_common::{Judgement, Packet};

use crate::maps::{per_cpu_array, ring_buf};
use crate::tables::now;

#[map]
static BLOCKED: PerCpuArray<Set> = per_cpu_array(&map::BLOCKED);

#[map]
static BUCKETS: PerCpuArray<Bucket> = per_cpu_array(&map::BUCKETS);

#[map]
static EVENTS: RingBuf = ring_buf(&map::EVENTS);

/// This CPU's part of the maps.
struct OfCpu;

impl Notebook for OfCpu {
    #[inline(always)]
    fn set(&mut self, index: u32) -> Option<&mut Set> {
        let set = BLOCKED.get_ptr_mut(index)?;
        // SAFETY: the set is this CPU's. If one program interrupts another, a count may be lost,
        // and every word stays valid.
        Some(unsafe { &mut *set })
    }

    #[inline(always)]
    fn bucket(&mut self, reason: u8) -> Option<&mut Bucket> {
        let bucket = BUCKETS.get_ptr_mut(reason.into())?;
        // SAFETY: as in `set`.
        Some(unsafe { &mut *bucket })
    }

    #[inline(always)]
    fn tell(&mut self, event: &Event) -> bool {
        EVENTS.output::<Event>(event, 0).is_ok()
    }
}

/// Notes the flow of a packet that is refused.
#[inline(always)]
pub fn note(packet: &Packet, judgement: &Judgement) {
    let key = BlockedKey::of(packet, judgement);
    blocked::note(&mut OfCpu, &key, judgement.length as u32, now());
}
