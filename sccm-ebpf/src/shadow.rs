//! The shadow: a candidate that judges every frame beside the active policy, and changes
//! nothing.
//!
//! Both take turns at the same code, the candidate first, so that they see the same flows.
//! What it said waits in a map, where the verifier forgets by which way it came about, and
//! is counted only if the active policy decides otherwise.

use core::hint::black_box;

use aya_ebpf::macros::map;
use aya_ebpf::maps::PerCpuArray;
use sccm_common::abi::map;
use sccm_common::counter::{self, Direction, Page};
use sccm_common::verdict::{Turn, Verdict};

use crate::account;
use crate::maps::per_cpu_array;
use crate::tables::Active;

#[map]
static SHADOW_COUNTERS: PerCpuArray<Page> = per_cpu_array(&map::SHADOW_COUNTERS);

/// What the candidate said of the frame that is being judged: the counter within a page, with
/// [`SAID`], and with [`PASSES`] if so; 0: nothing. One for each program, because they may run
/// one within the other.
#[map]
static SAID_OF: PerCpuArray<u32> = PerCpuArray::with_max_entries(2, 0);

const SAID: u32 = 1 << 31;
const PASSES: u32 = 1 << 30;

/// The active policy's verdict, after the candidate's if there is one; none of a frame that
/// is not judged here.
#[inline(always)]
pub fn in_turns<V: Copy + Into<Option<Verdict>>>(
    active: &Active,
    hook: Direction,
    judge: impl Fn(&Turn<Active>) -> V,
) -> V {
    let of_active = || Turn {
        tables: *active,
        is_candidate: false,
    };
    let mut turn = match active.shadow() {
        Some(tables) => Turn {
            tables,
            is_candidate: true,
        },
        None => of_active(),
    };
    loop {
        let verdict = judge(&turn);
        if !turn.is_candidate {
            return verdict;
        }
        say(hook, verdict.into());
        turn = of_active();
        // Linux 6.1 follows no plain instruction back to the beginning of a loop, as which the
        // compiler would place the last of `say`: only a jump. This one is never taken.
        if black_box(false) {
            return verdict;
        }
    }
}

#[inline(always)]
fn say(hook: Direction, verdict: Option<Verdict>) {
    let Some(place) = SAID_OF.get_ptr_mut(hook as u32) else {
        return;
    };
    let said = match verdict {
        None => 0,
        Some(Verdict {
            reason, service, ..
        }) => {
            let passes = if reason.passes() { PASSES } else { 0 };
            SAID | passes | counter::index(reason, service) as u32
        }
    };
    // SAFETY: the element is this CPU's, and only this program's on it.
    unsafe { *place = said };
}

/// Counts a frame of `length` bytes of which the candidate said something else than `verdict`,
/// whether that is carried out or only observed. To ask whether there is a shadow would have
/// the verifier follow the active policy's turn twice.
#[inline(always)]
pub fn count(hook: Direction, (slot, direction): (u32, Direction), verdict: Verdict, length: u64) {
    let Some(place) = SAID_OF.get_ptr_mut(hook as u32) else {
        return;
    };
    // SAFETY: as in `say`.
    let said = unsafe { *place };
    if said == 0 {
        return;
    }
    // Once only: the candidate is not asked about every frame.
    // SAFETY: as in `say`.
    unsafe { *place = 0 };
    if (said & PASSES != 0) == verdict.reason.passes() {
        return;
    }
    let page = SHADOW_COUNTERS.get_ptr_mut(counter::shadow_page(slot, direction));
    account::add(page, (said & !(SAID | PASSES)) as usize, length);
}
