//! A candidate (the policy of a shadow) judges the frames that the active policy judges, and
//! changes nothing.

use super::{Outcome, Tables, Verdict};
use crate::Policy;
use crate::address::{Address, AddressClass, Family, Trie};
use crate::flow::{FlowKey, FlowSlot, FlowState};
use crate::fragment::{FragmentKey, FragmentState};
use crate::opening::{Opening, OpeningKey};
use crate::packet::Packet;
use crate::question::QuestionKey;
use crate::rpc::How;
use crate::rpc::room::Room;
use crate::rpc::scan::Scan;
use crate::tftp::{TransferKey, TransferState};

/// The tables of the policy that judges now: the candidate, or the active one after it. Which of
/// them it is, is a value and not a type, so that the kernel program contains the decision once
/// and runs it twice.
pub struct Turn<T> {
    /// The policy, over the flows, fragments and transfers of the active one.
    pub tables: T,
    /// The candidate reads flows, fragments and transfers, and writes none.
    pub is_candidate: bool,
}

/// The state of a flow, which a candidate only reads.
pub struct Seen<S> {
    slot: S,
    is_candidate: bool,
}

impl<S: FlowSlot> FlowSlot for Seen<S> {
    #[inline(always)]
    fn load(&self) -> FlowState {
        self.slot.load()
    }

    #[inline(always)]
    fn exchange(&self, before: FlowState, after: FlowState) {
        if !self.is_candidate {
            self.slot.exchange(before, after);
        }
    }
}

impl<T: Tables> Turn<T> {
    /// Asked anew each time: the verifier follows what comes next once, whichever it is.
    #[inline(always)]
    fn only_reads(&self) -> bool {
        self.tables.opaque_answer(self.is_candidate)
    }

    #[inline(always)]
    fn seen<S>(&self, slot: S) -> Seen<S> {
        Seen {
            slot,
            is_candidate: self.only_reads(),
        }
    }

    /// The opening as this policy knows it.
    #[inline(always)]
    fn own_opening(&self, key: &OpeningKey) -> OpeningKey {
        match self.only_reads() {
            true => key.of_candidate(),
            false => *key,
        }
    }

    /// The question as this policy knows it.
    #[inline(always)]
    fn own(&self, key: &QuestionKey) -> QuestionKey {
        match self.only_reads() {
            true => key.of_candidate(),
            false => *key,
        }
    }
}

impl<T: Tables> Tables for Turn<T> {
    type Flow = Seen<T::Flow>;

    #[inline(always)]
    fn policy(&self) -> &Policy {
        self.tables.policy()
    }

    #[inline(always)]
    fn trie(&self) -> Option<&Trie> {
        self.tables.trie()
    }

    #[inline(always)]
    fn class_apart(&self, family: Family, address: &Address) -> AddressClass {
        self.tables.class_apart(family, address)
    }

    #[inline(always)]
    fn flow(&self, key: impl Fn() -> FlowKey) -> Option<Self::Flow> {
        self.tables.flow(key).map(|slot| self.seen(slot))
    }

    #[inline(always)]
    fn flow_apart(&self, packet: &Packet) -> Option<Self::Flow> {
        self.tables.flow_apart(packet).map(|slot| self.seen(slot))
    }

    #[inline(always)]
    fn answers_apart(&self, packet: &Packet, writes: bool) -> bool
    where
        Self: Sized,
    {
        let writes = writes && !self.only_reads();
        self.tables.answers_apart(packet, writes)
    }

    #[inline(always)]
    fn open_flow(&self, packet: &Packet, tunnel: bool, state: FlowState) {
        if !self.only_reads() {
            self.tables.open_flow(packet, tunnel, state);
        }
    }

    #[inline(always)]
    fn fragment(&self, key: &FragmentKey) -> Option<FragmentState> {
        self.tables.fragment(key)
    }

    #[inline(always)]
    fn note_fragment(&self, key: &FragmentKey, state: FragmentState) {
        if !self.only_reads() {
            self.tables.note_fragment(key, state);
        }
    }

    #[inline(always)]
    fn transfer(&self, key: &TransferKey) -> Option<TransferState> {
        self.tables.transfer(key)
    }

    #[inline(always)]
    fn note_transfer(&self, key: &TransferKey, state: TransferState) {
        if !self.only_reads() {
            self.tables.note_transfer(key, state);
        }
    }

    // A candidate must see the answers to what it would let in. What it notes, only it sees.
    #[inline(always)]
    fn note_question(&self, key: &QuestionKey) {
        self.tables.note_question(&self.own(key));
    }

    #[inline(always)]
    fn was_asked(&self, key: &QuestionKey, within: u32) -> bool {
        self.tables.was_asked(&self.own(key), within)
    }

    #[inline(always)]
    fn opening(&self, key: &OpeningKey) -> Opening {
        self.tables.opening(&self.own_opening(key))
    }

    #[inline(always)]
    fn renew_opening(&self, key: &OpeningKey) {
        self.tables.renew_opening(&self.own_opening(key));
    }

    #[inline(always)]
    fn note_opening(&self, key: &OpeningKey, how: How, interface: &[u8; 16]) {
        let key = self.own_opening(key);
        self.tables.note_opening(&key, how, interface);
    }

    #[inline(always)]
    fn count_rpc(&self, outcome: Outcome) {
        if !self.only_reads() {
            self.tables.count_rpc(outcome);
        }
    }

    #[inline(always)]
    fn read_rpc(&self, room: &Room, packet: &Packet, asks: bool) {
        self.tables.read_rpc(room, packet, asks);
    }

    #[inline(always)]
    fn scan_rpc(&self, room: &Room, at: u32, end: u32, scan: Scan) -> Scan {
        self.tables.scan_rpc(room, at, end, scan)
    }

    // What the active policy lets pass as a probe, a candidate would, too: it counts none.
    #[inline(always)]
    fn may_probe(&self, peer: &Address) -> bool {
        self.only_reads() || self.tables.may_probe(peer)
    }

    #[inline(always)]
    fn opaque(&self, word: u64) -> u64 {
        self.tables.opaque(word)
    }

    #[inline(always)]
    fn opaque_verdict(&self, verdict: Verdict) -> Verdict {
        self.tables.opaque_verdict(verdict)
    }

    #[inline(always)]
    fn now(&self) -> u32 {
        self.tables.now()
    }
}
