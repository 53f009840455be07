//! The shadow: a candidate that judges every frame beside the active policy, and changes
//! nothing.
//!
//! Both run through the same code, the candidate first, so that both see the same flows. The
//! candidate's verdict waits in a map, which makes it opaque to the verifier. It is counted, and the
//! flow noted, only if the active policy decides otherwise.

use aya_ebpf::macros::map;
use aya_ebpf::maps::PerCpuArray;
use sccm_common::Hook;
use sccm_common::abi::map;
use sccm_common::blocked::{Bucket, Event, Notebook, Set, mark};
use sccm_common::counter::{self, Page};
use sccm_common::policy::SHADOW_BANK;

use crate::account;
use crate::blocked::{element, note_in};
use crate::cursor::Frame;
use crate::maps::per_cpu_array;
use crate::tables::Bank;
use crate::word::Word;

#[map]
static SHADOW_COUNTERS: PerCpuArray<Page> = per_cpu_array(&map::SHADOW_COUNTERS);

#[map]
static SHADOW_FLOWS: PerCpuArray<Set> = per_cpu_array(&map::SHADOW_FLOWS);

#[map]
static SHADOW_BUCKETS: PerCpuArray<Bucket> = per_cpu_array(&map::SHADOW_BUCKETS);

/// What the candidate said of the frame that is being judged, by hook: a [`Word`].
#[map]
static SAID_OF: PerCpuArray<u64> = PerCpuArray::with_max_entries(Hook::COUNT, 0);

/// What the active policy says, after the candidate if there is a shadow. `judge` is told the bank.
#[inline(always)]
pub fn in_turns(active: &Bank, hook: Hook, judge: impl Fn(u32) -> Word) -> Word {
    if active.is_shadowed() {
        let word = judge(SHADOW_BANK);
        if let Some(said) = SAID_OF.get_ptr_mut(hook as u32) {
            // SAFETY: the element is this CPU's, and only this program's on it.
            unsafe { *said = word.0 };
        }
    }
    judge(active.number())
}

/// Counts a frame if the candidate decided otherwise, whether the verdict is carried out or only
/// observed, and notes its flow. Does not ask whether there is a shadow: the verifier would follow
/// the active policy's turn twice.
#[inline(always)]
pub fn compare(hook: Hook, frame: &impl Frame, active: Word, noting: bool) {
    let Some(said) = SAID_OF.get_ptr_mut(hook as u32) else {
        return;
    };
    // SAFETY: as in `in_turns`.
    let candidate = unsafe { *said };
    if candidate == Word::NOT_JUDGED.0 {
        return;
    }
    // Cleared, because the candidate does not judge every frame.
    // SAFETY: as in `in_turns`.
    unsafe { *said = Word::NOT_JUDGED.0 };
    note(hook, frame, active.0, candidate, noting);
}

/// Not inlined: its part of the stack is then its own.
#[inline(never)]
fn note(hook: Hook, frame: &impl Frame, active: u64, candidate: u64, noting: bool) {
    let (active, candidate) = (Word(active), Word(candidate));
    let judgement = active.judgement(frame.length().into());
    let passes = judgement.verdict.reason.passes();
    let other = candidate.judgement(0).verdict;
    if other.reason.passes() == passes {
        return;
    }
    let page = counter::shadow_page(judgement.slot, judgement.direction);
    let page = SHADOW_COUNTERS.get_ptr_mut(page);
    let index = counter::index(other.reason, other.service);
    account::add(page, index, judgement.length);
    if !noting {
        return;
    }
    // Whichever refuses says why, and knows whether there is a packet.
    let (refusal, marks) = match passes {
        true => (active.ending_as(candidate), 0),
        false => (active, mark::WOULD_PASS),
    };
    note_in(&mut OfShadow, hook, frame, refusal, marks);
}

/// This CPU's part of the shadow's maps.
struct OfShadow;

impl Notebook for OfShadow {
    #[inline(always)]
    fn set(&mut self, index: u32) -> Option<&mut Set> {
        element(&SHADOW_FLOWS, index)
    }

    #[inline(always)]
    fn bucket(&mut self, reason: u8) -> Option<&mut Bucket> {
        element(&SHADOW_BUCKETS, reason.into())
    }

    /// Nobody waits for news of it.
    #[inline(always)]
    fn tell(&mut self, _: &Event) -> bool {
        true
    }
}
