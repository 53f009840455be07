//! The table of flows: the kernel's side of [`table`](sccm_common::flow::table).

use aya_ebpf::macros::map;
use aya_ebpf::maps::{Array, PerCpuArray};
use sccm_common::abi::map;
use sccm_common::flow::table::{self, Added, Found, Hash, Lost, Seat, Set, WAYS, Words};
use sccm_common::flow::{FlowKey, FlowSlot, FlowState};
use sccm_common::packet::{Packet, Protocol};
use sccm_common::{Hook, Tables as _, as_written, verdict};

use crate::maps::{array, mapped_array, per_cpu_array};
use crate::parse;
use crate::tables::{Bank, now};

#[map]
static FLOWS: Array<Set> = mapped_array(&map::FLOWS);

#[map]
static FLOW_HASH: Array<Hash> = array(&map::FLOW_HASH);

#[map]
static FLOWS_LOST: PerCpuArray<u64> = per_cpu_array(&map::FLOWS_LOST);

/// The state of a flow as it was when the flow was found. If another flow has taken its place since,
/// nothing is written.
pub struct Flow {
    state: FlowState,
    place: At,
}

enum At {
    /// The state's word in the map.
    Word(*mut u64),
    /// The flow that the packet at a hook belongs to, as it leaves: found once more to be written.
    Leaving(Hook),
}

impl FlowSlot for Flow {
    #[inline(always)]
    fn load(&self) -> FlowState {
        self.state
    }

    #[inline(always)]
    fn exchange(&self, before: FlowState, after: FlowState) {
        match self.place {
            At::Word(word) => {
                exchange(word, before.word(), after.word());
            }
            At::Leaving(hook) => {
                flow_goes_on(hook as u32, before.word(), after.word());
            }
        }
    }
}

const LAST_WAY: u32 = WAYS as u32 - 1;

/// A set in the map.
struct InMap {
    words: *mut u64,
    /// A number of which the verifier knows nothing.
    unknown: u64,
}

impl Words for InMap {
    #[inline(always)]
    fn load(&self, at: usize) -> u64 {
        // SAFETY: the index is below `WORDS`, so the word is within the map value, which is valid
        // while the program runs; the volatile access is one aligned word, so it is never torn.
        unsafe { self.words.wrapping_add(at).read_volatile() }
    }

    #[inline(always)]
    fn store(&self, at: usize, word: u64) {
        // SAFETY: as in `load`.
        unsafe { self.words.wrapping_add(at).write_volatile(word) }
    }

    #[inline(always)]
    fn exchange(&self, at: usize, before: u64, after: u64) -> bool {
        exchange(self.words.wrapping_add(at), before, after)
    }

    #[inline(always)]
    fn opaque(&self, word: u64) -> u64 {
        as_written::opaque(word, self.unknown)
    }

    #[inline(always)]
    fn way(&self, way: usize) -> usize {
        as_written::and::<LAST_WAY>(self.opaque(way as u64)) as usize
    }
}

#[inline(always)]
fn exchange(word: *mut u64, before: u64, after: u64) -> bool {
    // SAFETY: all callers have a pointer to an aligned word of a map value.
    unsafe { as_written::exchange(word, before, after) == before }
}

#[inline(always)]
fn seat(key: impl FnOnce() -> FlowKey) -> Option<(InMap, Seat)> {
    // First, because it is a call, which leaves little in registers.
    let hash = FLOW_HASH.get(0)?;
    let seat = hash.seat(&key());
    let set = FLOWS.get_ptr_mut(seat.set)?;
    let words = InMap {
        words: set.cast(),
        unknown: seat.ends,
    };
    Some((words, seat))
}

/// The state of a flow, if it is known. The key is asked for twice, so that nobody must keep it.
#[inline(always)]
pub fn find(key: impl Fn() -> FlowKey) -> Option<Flow> {
    let (set, seat) = seat(&key)?;
    let Found { way, state } = table::find(&set, seat, key)?;
    let place = At::Word(set.words.wrapping_add(way));
    Some(Flow { state, place })
}

// The functions that look for the flow of the packet at a hook have global linkage: the verifier follows
// each of them once, and knows nothing of what it returns.

/// The state of the flow that the packet at a hook belongs to, as it leaves.
#[inline(always)]
pub fn find_leaving(hook: Hook) -> Option<Flow> {
    let state = flow_leaving(hook as u32);
    let place = At::Leaving(hook);
    // No flow has this state: it would have begun before the kernel did.
    (state != 0).then_some(Flow {
        state: FlowState::of(state),
        place,
    })
}

#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn flow_leaving(hook: u32) -> u64 {
    leaving(hook).map_or(0, |flow| flow.state.word())
}

/// Writes the state of that flow, if it is still the one before.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn flow_goes_on(hook: u32, before: u64, after: u64) -> u32 {
    if let Some(flow) = leaving(hook) {
        flow.exchange(FlowState::of(before), FlowState::of(after));
    }
    0
}

#[inline(always)]
fn leaving(hook: u32) -> Option<Flow> {
    let packet = parse::packet(parse::hook_of(hook))?;
    find(|| FlowKey::of_outbound(packet))
}

/// Whether the packet at a hook answers in a flow, which is noted in it if `writes`.
#[inline(always)]
pub fn answers(hook: Hook, bank: u32, writes: bool) -> bool {
    flow_answers(hook as u32, bank, writes.into()) != 0
}

#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn flow_answers(hook: u32, bank: u32, writes: u32) -> u32 {
    let (Some(packet), Some(bank)) = (parse::packet(parse::hook_of(hook)), Bank::of(bank)) else {
        return 0;
    };
    verdict::answers(&bank, || *packet, writes != 0).into()
}

/// Writes a flow that the packet at a hook opens as it leaves; `tunnel`: that of GRE.
#[inline(always)]
pub fn open(hook: Hook, tunnel: bool, state: FlowState, bank: u32) {
    flow_opened(hook as u32, tunnel.into(), state.word(), bank);
}

#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn flow_opened(hook: u32, tunnel: u32, state: u64, bank: u32) -> u32 {
    if let (Some(packet), Some(bank)) = (parse::packet(parse::hook_of(hook)), Bank::of(bank)) {
        let key = || FlowKey::opened_by(packet, tunnel != 0);
        add(key, FlowState::of(state), &bank);
    }
    0
}

/// The same on the fast path, whose part of the stack has no room for the key.
#[inline(never)]
pub fn open_apart(packet: impl Fn() -> Packet, bank: u32) {
    let packet = packet();
    let state = FlowState::UNKNOWN.after_outbound(&packet, now());
    flow_open(&FlowKey::of_outbound(&packet), state.word(), bank);
}

#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn flow_open(key: *const FlowKey, state: u64, bank: u32) -> u32 {
    // SAFETY: the verifier takes only what points to as many bytes.
    if let (Some(key), Some(bank)) = (unsafe { key.as_ref() }, Bank::of(bank)) {
        add(|| *key, FlowState::of(state), &bank);
    }
    0
}

/// Writes a flow, and counts who made way for it.
#[inline(always)]
fn add(key: impl Fn() -> FlowKey, state: FlowState, bank: &Bank) {
    let Some((set, seat)) = seat(&key) else {
        return;
    };
    let lives = |state: FlowState, protocol| {
        state.is_alive(Protocol(protocol), &bank.policy().timeouts, now())
    };
    match table::add(&set, seat, key, state, lives) {
        Added::Known | Added::Fresh => {}
        Added::Evicted => count(Lost::Evicted),
        Added::Missed => count(Lost::Missed),
    }
}

#[inline(always)]
fn count(lost: Lost) {
    if let Some(count) = FLOWS_LOST.get_ptr_mut(lost as u32) {
        // SAFETY: the word is this CPU's. If one program interrupts another, a count may be lost.
        unsafe { *count += 1 };
    }
}
