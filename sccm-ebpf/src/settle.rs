//! Makes the verifier forget by which way a packet was parsed, and judged.
//!
//! The verifier follows every way through the parser (two families, six
//! extension headers, fragments ...) and, left alone, all of the decision behind
//! each of them. A packet that has been through the memory of a map is the same
//! to it whatever its way was, so the decision is followed once. A single number is
//! forgotten at less cost, by writing it down in a secret script.

use aya_ebpf::macros::map;
use aya_ebpf::maps::PerCpuArray;
use core::hint::black_box;
use core::mem::{self, MaybeUninit};
use sccm_common::counter::Direction;
use sccm_common::{Packet, Peer, Reason, ServiceClass, Tables, Verdict, as_written};

use crate::tables::Active;

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

/// The same reason.
#[inline(always)]
pub fn settle_reason(reason: Reason, tables: &Active) -> Reason {
    let number = as_written::forgotten(reason as u64, secret(tables)) as u8;
    // SAFETY: it is the number that it was.
    unsafe { mem::transmute::<u8, Reason>(number) }
}

/// The same verdict.
#[inline(always)]
pub fn settle_verdict(verdict: Verdict, tables: &Active) -> Verdict {
    let settled = |number: u8| as_written::forgotten(number.into(), secret(tables)) as u8;
    Verdict {
        reason: settle_reason(verdict.reason, tables),
        service: ServiceClass(settled(verdict.service.0)),
        peer: Peer(settled(verdict.peer.0)),
    }
}

/// Any number that the verifier does not know.
#[inline(always)]
fn secret(tables: &Active) -> u64 {
    tables.policy().flags.into()
}
