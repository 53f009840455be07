//! Notes the flows of packets that are refused: the kernel's side of [`Notebook`].

use aya_ebpf::macros::map;
use aya_ebpf::maps::{PerCpuArray, RingBuf};
use sccm_common::blocked::{
    self, BUCKETS as BUCKET_COUNT, BlockedKey, Bucket, EVENTS_BYTES, Event, Notebook, SETS, Set,
};
use sccm_common::{Judgement, Packet};

use crate::tables::now;

#[map]
static BLOCKED: PerCpuArray<Set> = PerCpuArray::with_max_entries(SETS, 0);

#[map]
static BUCKETS: PerCpuArray<Bucket> = PerCpuArray::with_max_entries(BUCKET_COUNT, 0);

#[map]
static EVENTS: RingBuf = RingBuf::with_byte_size(EVENTS_BYTES, 0);

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
