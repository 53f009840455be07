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
use core::mem;
use sccm_common::counter::Direction;
use sccm_common::{
    Hook, Judgement, Packet, Peer, Reason, ServiceClass, Tables, Verdict, as_written,
};

use crate::tables::Bank;

/// One element for each hook.
#[map]
static PARSED: PerCpuArray<Packet> = PerCpuArray::with_max_entries(Hook::COUNT, 0);

/// The packet in the map: what was written there last, of which the compiler and the verifier
/// know nothing.
#[inline(always)]
pub fn parsed(hook: Hook) -> Option<&'static mut Packet> {
    let element = black_box(PARSED.get_ptr_mut(hook as u32)?);
    // SAFETY: the element is this CPU's, and only this program's on it. Before the first packet it
    // is all zero, which is a packet, too.
    Some(unsafe { &mut *element })
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

/// A judgement in one word, but for the length of the frame. In memory it would take six on the
/// caller's stack.
#[inline(always)]
pub fn pack(judgement: &Judgement) -> u64 {
    let Verdict {
        reason,
        service,
        peer,
    } = judgement.verdict;
    let direction = judgement.direction as u64;
    reason as u64
        | u64::from(service.0) << 8
        | u64::from(peer.0) << 16
        | u64::from(judgement.slot) << 24
        | direction << 56
        | u64::from(judgement.observing) << 57
}

/// Takes apart what [`pack`] put together.
#[inline(always)]
pub fn unpack(word: u64, length: u64) -> Judgement {
    Judgement {
        slot: (word >> 24) as u32,
        direction: match word >> 56 & 1 {
            0 => Direction::Inbound,
            _ => Direction::Outbound,
        },
        observing: word >> 57 & 1 != 0,
        verdict: Verdict {
            // SAFETY: it is the number that `pack` found.
            reason: unsafe { mem::transmute::<u8, Reason>(word as u8) },
            service: ServiceClass((word >> 8) as u8),
            peer: Peer((word >> 16) as u8),
        },
        length,
    }
}

/// A number that the verifier does not know.
#[inline(always)]
fn key(tables: &Bank) -> u64 {
    tables.policy().flags.into()
}
