//! The maps behind safe accessors: the kernel's side of [`Tables`].

use core::cell::Cell;

use aya_ebpf::Global;
use aya_ebpf::helpers::bpf_jiffies64;
use aya_ebpf::macros::map;
use aya_ebpf::maps::{Array, LruHashMap, PerCpuArray};
use sccm_common::Hook;
use sccm_common::abi::{
    InterfaceRecord, PeerRecord, PolicyInfo, ServiceRecord, TICK_FRACTION_BITS, map,
};
use sccm_common::address::trie::{Entry, Next};
use sccm_common::address::{self, Address, AddressClass, Family, Trie};
use sccm_common::as_written;
use sccm_common::flow::{FlowKey, FlowState};
use sccm_common::fragment::{FragmentKey, FragmentState};
use sccm_common::opening::{self, Opening, OpeningKey};
use sccm_common::packet::Packet;
use sccm_common::policy::{Policy, SHADOW_BANK, SHADOWED, flag};
use sccm_common::probe;
use sccm_common::question::{self, Bucket, Fingerprint, QuestionKey};
use sccm_common::rpc::How;
use sccm_common::rpc::room::Room;
use sccm_common::rpc::scan::Scan;
use sccm_common::tftp::{TransferKey, TransferState};
use sccm_common::verdict::{Outcome, Tables, Verdict};

use crate::cursor;
use crate::flows::{self, Flow};
use crate::maps::{array, lru_hash_map, mapped_array, per_cpu_array};
use crate::rpc;
use crate::word::Word;

#[map]
static ACTIVE: Array<u32> = array(&map::ACTIVE);

#[map]
static POLICIES: Array<Policy> = array(&map::POLICIES);

#[map]
static TRIES: Array<Trie> = array(&map::TRIES);

#[map]
static FRAGMENTS: LruHashMap<FragmentKey, FragmentState> = lru_hash_map(&map::FRAGMENTS);

#[map]
static TRANSFERS: LruHashMap<TransferKey, TransferState> = lru_hash_map(&map::TRANSFERS);

#[map]
static QUESTIONS: Array<question::Words> = array(&map::QUESTIONS);

#[map]
static OPENINGS: Array<opening::Set> = mapped_array(&map::OPENINGS);

#[map]
static RPC_OUTCOMES: PerCpuArray<u64> = per_cpu_array(&map::RPC_OUTCOMES);

/// Probes that this CPU has let pass in the last second.
#[map]
static PROBES: PerCpuArray<u64> = per_cpu_array(&map::PROBES);

#[map]
static SECRET: Array<u64> = array(&map::SECRET);

/// Read by agents only: what they say about each bank.
#[map]
static POLICY_INFO: Array<PolicyInfo> = array(&map::POLICY_INFO);

/// Read by agents only: which interface each slot stands for.
#[map]
static INTERFACES: Array<InterfaceRecord> = array(&map::INTERFACES);

/// Read by agents only: what each service class is called.
#[map]
static SERVICES: Array<ServiceRecord> = array(&map::SERVICES);

/// Read by agents only: what each peer is called.
#[map]
static PEERS: Array<PeerRecord> = array(&map::PEERS);

/// Seconds in a tick, as `abi` says; set before the program is loaded.
#[unsafe(no_mangle)]
static TICK: Global<u64> = Global::new(0);

/// The tables of a bank: the active one, or the shadow's.
#[derive(Clone, Copy)]
pub struct Bank {
    number: u32,
    policy: &'static Policy,
    shadowed: bool,
    hook: Hook,
}

impl Bank {
    /// Reads the active bank's number, once for a packet.
    #[inline(always)]
    pub fn active() -> Option<Self> {
        let word = *ACTIVE.get(0)?;
        Some(Self {
            shadowed: word & SHADOWED != 0,
            ..Self::of(word & !SHADOWED)?
        })
    }

    /// The same, or `None` if there is a shadow: the word is then the number of no bank.
    #[inline(always)]
    pub fn active_unshadowed() -> Option<Self> {
        Self::of(*ACTIVE.get(0)?)
    }

    /// Whether there is a shadow.
    #[inline(always)]
    pub fn is_shadowed(&self) -> bool {
        self.shadowed
    }

    /// The number of the bank.
    #[inline(always)]
    pub fn number(&self) -> u32 {
        self.number
    }

    /// The bank with this number.
    #[inline(always)]
    pub fn of(number: u32) -> Option<Self> {
        Some(Self {
            number,
            policy: POLICIES.get(number)?,
            shadowed: false,
            hook: Hook::Ingress,
        })
    }

    /// The same, for the packet at a hook.
    #[inline(always)]
    pub fn at(self, hook: Hook) -> Self {
        Self { hook, ..self }
    }

    /// Whether refused flows are noted.
    #[inline(always)]
    pub fn noting(&self) -> bool {
        !self.policy.has(flag::COUNT_ONLY)
    }

    /// Whether packets pass whatever the verdict.
    #[inline(always)]
    pub fn observing(&self) -> bool {
        self.policy.observes(now)
    }
}

impl Tables for Bank {
    type Flow = Flow;

    #[inline(always)]
    fn policy(&self) -> &Policy {
        self.policy
    }

    #[inline(always)]
    fn trie(&self) -> Option<&Trie> {
        TRIES.get(self.number)
    }

    #[inline(always)]
    fn class_apart(&self, family: Family, address: &Address) -> AddressClass {
        let entry = address_class(self.number, family as u32, address.high, address.low);
        Entry(entry).class()
    }

    #[inline(always)]
    fn flow(&self, key: impl Fn() -> FlowKey) -> Option<Flow> {
        flows::find(key)
    }

    #[inline(always)]
    fn flow_apart(&self, _packet: &Packet) -> Option<Flow> {
        flows::find_leaving(self.hook)
    }

    #[inline(always)]
    fn answers_apart(&self, _packet: &Packet, writes: bool) -> bool {
        flows::answers(self.hook, self.number, writes)
    }

    #[inline(always)]
    fn open_flow(&self, _packet: &Packet, tunnel: bool, state: FlowState) {
        flows::open(self.hook, tunnel, state, self.number);
    }

    #[inline(always)]
    fn open_flow_apart(&self, packet: impl Fn() -> Packet) {
        flows::open_apart(packet, self.number);
    }

    #[inline(always)]
    fn fragment(&self, key: &FragmentKey) -> Option<FragmentState> {
        // SAFETY: an element that is evicted and reused meanwhile is still a
        // valid word of this type.
        unsafe { FRAGMENTS.get(key) }.copied()
    }

    #[inline(always)]
    fn note_fragment(&self, key: &FragmentKey, state: FragmentState) {
        // Fails only without memory; then the other fragments are orphans.
        let _ = FRAGMENTS.insert(key, state, 0);
    }

    #[inline(always)]
    fn transfer(&self, key: &TransferKey) -> Option<TransferState> {
        // SAFETY: as in `fragment`.
        unsafe { TRANSFERS.get(key) }.copied()
    }

    #[inline(always)]
    fn note_transfer(&self, key: &TransferKey, state: TransferState) {
        // Fails only without memory; then the transfer is dropped and counted.
        let _ = TRANSFERS.insert(key, state, 0);
    }

    #[inline(always)]
    fn note_question(&self, key: &QuestionKey) {
        note_question(key);
    }

    #[inline(always)]
    fn was_asked(&self, key: &QuestionKey, within: u32) -> bool {
        was_asked(key, within)
    }

    #[inline(always)]
    fn opening(&self, key: &OpeningKey) -> Opening {
        Opening(SECRET.get(0).map_or(0, |secret| {
            let (set, fingerprint) = key.place(*secret);
            opening_find(set, fingerprint.0)
        }))
    }

    #[inline(always)]
    fn renew_opening(&self, key: &OpeningKey) {
        if let Some(secret) = SECRET.get(0) {
            let (set, fingerprint) = key.place(*secret);
            opening_renew(set, fingerprint.0);
        }
    }

    #[inline(always)]
    fn note_opening(&self, key: &OpeningKey, how: How, interface: &[u8; 16]) {
        let Some(secret) = SECRET.get(0) else {
            return;
        };
        let (number, fingerprint) = key.place(*secret);
        let slot = opening_note(number, fingerprint.0, self.number);
        let Some(set) = OPENINGS.get_ptr_mut(number) else {
            return;
        };
        const LAST: u32 = opening::SLOTS as u32 - 1;
        let slot = as_written::and::<LAST>(slot.into()) as usize;
        // SAFETY: the pointer is a map value, valid while the program runs. Two CPUs may write it at
        // once: nothing is decided by it.
        let told = &mut unsafe { &mut *set }.told[slot];
        told.key = *key;
        told.interface = *interface;
        told.learned = now();
        told.how = how as u32;
    }

    #[inline(always)]
    fn count_rpc(&self, outcome: Outcome) {
        rpc_count(outcome.0);
    }

    #[inline(always)]
    fn read_rpc(&self, room: &Room, _packet: &Packet, asks: bool) {
        let order = if asks { Room::QUESTIONS } else { Room::ANSWERS };
        cursor::order_rpc(room.number, order, self.number == SHADOW_BANK);
    }

    #[inline(always)]
    fn scan_rpc(&self, room: &Room, at: u32, end: u32, scan: Scan) -> Scan {
        Scan(rpc::rpc_scan(room.number, at, end, scan.0))
    }

    #[inline(always)]
    fn may_probe(&self, peer: &Address) -> bool {
        probe(peer.high, peer.low) != 0
    }

    #[inline(always)]
    fn opaque(&self, word: u64) -> u64 {
        as_written::opaque(word, self.policy.flags.into())
    }

    #[inline(always)]
    fn opaque_verdict(&self, verdict: Verdict) -> Verdict {
        let opaque = Word(self.opaque(Word::of(verdict, true).0));
        opaque.judgement(0).verdict
    }

    #[inline(always)]
    fn now(&self) -> u32 {
        now()
    }
}

/// The classes of an address, as an entry of the trie, by the bank's number. With global linkage,
/// like the two functions below.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn address_class(bank: u32, family: u32, high: u64, low: u64) -> u32 {
    let family = match family {
        0 => Family::V4,
        _ => Family::V6,
    };
    let class = match TRIES.get(bank) {
        Some(trie) => address::classify_either(trie, family, &Address { high, low }),
        None => AddressClass::ANY,
    };
    Entry::encode(Next::Class(class)).0
}

// The two functions that walk through a bucket have global linkage: the verifier follows each of
// them once, whoever calls it, and knows nothing of what it returns.

#[inline(always)]
fn note_question(key: &QuestionKey) {
    if let Some(secret) = SECRET.get(0) {
        let (bucket, question) = key.place(*secret);
        question_note(bucket, question.0);
    }
}

#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn question_note(number: u32, question: u32) -> u32 {
    if let Some(bucket) = bucket(number) {
        bucket.note(Fingerprint(question), now());
    }
    0
}

#[inline(always)]
fn was_asked(key: &QuestionKey, within: u32) -> bool {
    let Some(secret) = SECRET.get(0) else {
        return false;
    };
    let (bucket, question) = key.place(*secret);
    question_was_asked(bucket, question.0, within) != 0
}

#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn question_was_asked(number: u32, question: u32, within: u32) -> u32 {
    let known = |bucket: Bucket<'_>| bucket.has(Fingerprint(question), now(), within);
    bucket(number).is_some_and(known).into()
}

#[inline(always)]
fn bucket(number: u32) -> Option<Bucket<'static>> {
    let words = QUESTIONS.get_ptr_mut(number)?;
    // SAFETY: the pointer is a map value, valid while the program runs. A `Cell` has the layout of
    // what is in it, and every access to it is one aligned word.
    let words = unsafe { &*words.cast::<[Cell<u32>; size_of::<question::Words>() / 4]>() };
    Some(Bucket::of(words))
}

// The functions that walk through a set of openings have global linkage as well.

#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn opening_find(set: u32, fingerprint: u64) -> u64 {
    words(set).map_or(0, |words| words.find(opening::Fingerprint(fingerprint)).0)
}

#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn opening_renew(set: u32, fingerprint: u64) -> u32 {
    if let Some(words) = words(set) {
        words.renew(opening::Fingerprint(fingerprint), now());
    }
    0
}

#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn opening_note(set: u32, fingerprint: u64, bank: u32) -> u32 {
    let (Some(words), Some(bank)) = (words(set), Bank::of(bank)) else {
        return 0;
    };
    let fingerprint = opening::Fingerprint(fingerprint);
    words.note(fingerprint, &bank.policy.timeouts, now()) as u32
}

#[inline(always)]
fn words(set: u32) -> Option<opening::Words<'static>> {
    let set = OPENINGS.get_ptr_mut(set)?;
    // SAFETY: the pointer is a map value, valid while the program runs. A `Cell` has the layout of
    // what is in it, and every access to it is one aligned word. The words of a set come first.
    let words = unsafe { &*set.cast::<[Cell<u64>; opening::SLOTS]>() };
    Some(opening::Words(words))
}

#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn rpc_count(outcome: u32) -> u32 {
    if let Some(count) = RPC_OUTCOMES.get_ptr_mut(outcome) {
        // SAFETY: the word is this CPU's. If one program interrupts another, a count may be lost.
        unsafe { *count += 1 };
    }
    0
}

/// Counts a probe, if it may pass. With global linkage, as the functions above.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn probe(high: u64, low: u64) -> u32 {
    let Some(secret) = SECRET.get(0) else {
        return 0;
    };
    let now = now();
    let own = probe::word_of(&Address { high, low }, *secret);
    (one_more(own, now, false) && one_more(0, now, true)).into()
}

#[inline(always)]
fn one_more(word: u32, now: u32, of_all: bool) -> bool {
    let Some(count) = PROBES.get_ptr_mut(word) else {
        return false;
    };
    // SAFETY: the word is this CPU's. If one program interrupts another, a count may be lost.
    let more = unsafe { probe::Count(*count) }.one_more(now, of_all);
    if let Some(probe::Count(more)) = more {
        // SAFETY: as above.
        unsafe { *count = more };
    }
    more.is_some()
}

/// Seconds of the program's clock.
#[inline(always)]
pub fn now() -> u32 {
    // No call: the verifier replaces it by a read of the kernel's variable.
    // SAFETY: the helper takes no arguments.
    let ticks = unsafe { bpf_jiffies64() };
    ((ticks * TICK.load()) >> TICK_FRACTION_BITS) as u32
}
