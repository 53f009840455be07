//! Makes values opaque to the verifier, which then follows the decision once.
//!
//! The verifier follows every path through the parser (two families, six extension headers,
//! fragments ...). Left alone, it follows the whole decision behind each of them. A packet that
//! was written to a map and read back looks the same to it on every path, so it follows the
//! decision once. A single number costs less: it is combined twice with a key that the verifier
//! does not know.

use aya_ebpf::macros::map;
use aya_ebpf::maps::PerCpuArray;
use core::hint::black_box;
use core::mem::{self, MaybeUninit};
use sccm_common::{Hook, Packet, Peer, Reason, ServiceClass, Tables, Verdict, as_written};

use crate::tables::Bank;

/// One element for each hook.
#[map]
static PARSED: PerCpuArray<MaybeUninit<Packet>> = PerCpuArray::with_max_entries(Hook::COUNT, 0);

/// The same packet, in the map.
#[inline(always)]
pub fn packet(packet: Packet, hook: Hook) -> Option<&'static Packet> {
    let element = PARSED.get_ptr_mut(hook as u32)?;
    // SAFETY: the element is this CPU's, and only this program's on it.
    let written = unsafe { (*element).write(packet) };
    // Otherwise the compiler would go on with the values that it has just written.
    Some(black_box(written))
}

/// The same verdict.
#[inline(always)]
pub fn verdict(verdict: Verdict, tables: &Bank) -> Verdict {
    let opaque = |number: u8| as_written::opaque(number.into(), key(tables)) as u8;
    Verdict {
        reason: reason(verdict.reason, tables),
        service: ServiceClass(opaque(verdict.service.0)),
        peer: Peer(opaque(verdict.peer.0)),
    }
}

/// The same reason.
#[inline(always)]
pub fn reason(reason: Reason, tables: &Bank) -> Reason {
    let number = as_written::opaque(reason as u64, key(tables)) as u8;
    // SAFETY: it is the number that it was.
    unsafe { mem::transmute::<u8, Reason>(number) }
}

/// A number that the verifier does not know.
#[inline(always)]
fn key(tables: &Bank) -> u64 {
    tables.policy().flags.into()
}
