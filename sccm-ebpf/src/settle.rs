//! Makes the verifier forget by which way a packet was parsed.
//!
//! The verifier follows every way through the parser (two families, six
//! extension headers, fragments ...) and, left alone, all of the decision behind
//! each of them. A packet that has been through the memory of a map is the same
//! to it whatever its way was, so the decision is followed once.

use aya_ebpf::macros::map;
use aya_ebpf::maps::PerCpuArray;
use core::hint::black_box;
use core::mem::MaybeUninit;
use sccm_common::Packet;
use sccm_common::counter::Direction;

/// One for each program, because they may run one within the other.
#[map]
static PARSED: PerCpuArray<MaybeUninit<Packet>> = PerCpuArray::with_max_entries(2, 0);

/// The same packet, in the map.
#[inline(always)]
pub fn settle(packet: Packet, hook: Direction) -> Option<&'static Packet> {
    let place = PARSED.get_ptr_mut(hook as u32)?;
    // SAFETY: the element is this CPU's, and only this program's on it.
    let settled = unsafe { (*place).write(packet) };
    // Or else the compiler would take the values from where they came.
    Some(black_box(settled))
}
