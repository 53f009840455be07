//! The shadow: a candidate that judges every frame beside the active policy, and changes
//! nothing.
//!
//! Both run through the same code, the candidate first, so that both see the same flows. The
//! candidate's verdict waits in a map, which makes it opaque to the verifier. It is counted only
//! if the active policy decides otherwise.

use aya_ebpf::macros::map;
use aya_ebpf::maps::PerCpuArray;
use sccm_common::abi::map;
use sccm_common::counter::{self, Page};
use sccm_common::policy::SHADOW_BANK;
use sccm_common::verdict::Verdict;
use sccm_common::{Hook, Judgement};

use crate::account;
use crate::maps::per_cpu_array;
use crate::tables::Bank;
use crate::word::Word;

#[map]
static SHADOW_COUNTERS: PerCpuArray<Page> = per_cpu_array(&map::SHADOW_COUNTERS);

/// The candidate's verdict on the frame that is being judged, by hook: the index of the counter
/// within a page, with [`SAID`], and with [`PASSES`] if the frame would pass; 0: no verdict.
#[map]
static SAID_OF: PerCpuArray<u32> = PerCpuArray::with_max_entries(Hook::COUNT, 0);

const SAID: u32 = 1 << 31;
const PASSES: u32 = 1 << 30;

/// What the active policy says, after the candidate if there is a shadow. `judge` is told the bank.
#[inline(always)]
pub fn in_turns(active: &Bank, hook: Hook, judge: impl Fn(u32) -> Word) -> Word {
    if active.is_shadowed() {
        say(hook, judge(SHADOW_BANK).0);
    }
    judge(active.number())
}

/// Not inlined: its part of the stack is then its own.
#[inline(never)]
fn say(hook: Hook, word: u64) {
    let Some(element) = SAID_OF.get_ptr_mut(hook as u32) else {
        return;
    };
    let said = match Word(word).verdict() {
        None => 0,
        Some(Verdict {
            reason, service, ..
        }) => {
            let passes = if reason.passes() { PASSES } else { 0 };
            SAID | passes | counter::index(reason, service) as u32
        }
    };
    // SAFETY: the element is this CPU's, and only this program's on it.
    unsafe { *element = said };
}

/// Counts a frame if the candidate decided otherwise, whether the verdict is carried out or only
/// observed. Does not ask whether there is a shadow: the verifier would follow the active policy's
/// turn twice.
#[inline(always)]
pub fn count(hook: Hook, judgement: &Judgement) {
    let Some(element) = SAID_OF.get_ptr_mut(hook as u32) else {
        return;
    };
    // SAFETY: as in `say`.
    let said = unsafe { *element };
    if said == 0 {
        return;
    }
    // Cleared, because the candidate does not judge every frame.
    // SAFETY: as in `say`.
    unsafe { *element = 0 };
    if (said & PASSES != 0) == judgement.verdict.reason.passes() {
        return;
    }
    let page = counter::shadow_page(judgement.slot, judgement.direction);
    let page = SHADOW_COUNTERS.get_ptr_mut(page);
    account::add(page, (said & !(SAID | PASSES)) as usize, judgement.length);
}
