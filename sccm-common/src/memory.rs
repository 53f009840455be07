//! [`Tables`] in memory: the decision outside the kernel, for tests and for everybody who asks
//! what the kernel would do with a frame.
//!
//! [`MemoryTables`] takes the same steps in the same order as the kernel program: the fast path,
//! then the slow one. The differential fuzzer (`fuzz` of the package `sccm-tests`) compares both.

use crate::address::Trie;
use crate::counter::Direction;
use crate::cursor::SliceCursor;
use crate::flow::{FlowKey, FlowSlot, FlowState};
use crate::fragment::{FragmentKey, FragmentState};
use crate::judgement::Hook;
use crate::opening::{Opening, OpeningKey};
use crate::packet::Packet;
use crate::policy::{Policy, Timeouts};
use crate::question::{MAX_AGE, QuestionKey};
use crate::reason::Reason;
use crate::rpc::How;
use crate::tftp::{TransferKey, TransferState};
use crate::verdict::{self, About, Departure, Outcome, Place, Tables, Verdict};
use crate::wire::{self, fast};
use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;

/// A port that was handed out: whether and when it was used, how it was handed out, and for which
/// interface, as it lies in a tower.
pub type Handed = (Opening, How, [u8; 16]);

/// What the decision remembers from frame to frame, and its clock. Nothing is evicted.
#[derive(Debug, Default)]
pub struct State {
    /// The flows that protected systems opened.
    pub flows: RefCell<HashMap<FlowKey, Rc<Cell<FlowState>>>>,
    /// The first fragments that passed.
    pub fragments: RefCell<HashMap<FragmentKey, FragmentState>>,
    /// The TFTP transfers that were asked for.
    pub transfers: RefCell<HashMap<TransferKey, TransferState>>,
    /// When each question was asked last.
    pub questions: RefCell<HashMap<QuestionKey, u32>>,
    /// The ports that the endpoint mapper of RPC has handed out.
    pub openings: RefCell<HashMap<OpeningKey, Handed>>,
    /// How often an answer of the mapper ended so.
    pub rpc: RefCell<HashMap<Outcome, u64>>,
    /// Seconds since boot; it moves only when somebody sets it.
    pub now: Cell<u32>,
}

impl State {
    /// Nothing remembered, at this many seconds since boot.
    #[must_use]
    pub fn at(now: u32) -> Self {
        Self {
            now: Cell::new(now),
            ..Self::default()
        }
    }

    /// Lets time pass.
    pub fn wait(&self, seconds: u32) {
        self.now.set(self.now.get() + seconds);
    }

    /// Forgets what counts no more: no verdict changes, and whoever judges for days keeps no more
    /// than what is alive.
    pub fn forget_dead(&self, timeouts: &Timeouts) {
        let now = self.now.get();
        let flows = &mut *self.flows.borrow_mut();
        flows.retain(|key, flow| flow.get().is_alive(key.protocol(), timeouts, now));
        let fragments = &mut *self.fragments.borrow_mut();
        fragments.retain(|_, state| state.is_fresh(now));
        let transfers = &mut *self.transfers.borrow_mut();
        transfers.retain(|_, state| state.is_alive(now));
        let questions = &mut *self.questions.borrow_mut();
        questions.retain(|_, asked| now - *asked <= MAX_AGE);
        let openings = &mut *self.openings.borrow_mut();
        openings.retain(|_, (opening, ..)| opening.is_alive(timeouts, now));
    }

    /// How much is remembered, also of what has expired.
    #[must_use]
    pub fn size(&self) -> usize {
        self.flow_count()
            + self.fragments.borrow().len()
            + self.transfers.borrow().len()
            + self.questions.borrow().len()
            + self.openings.borrow().len()
    }

    /// How many flows are remembered, also those that have expired.
    #[must_use]
    pub fn flow_count(&self) -> usize {
        self.flows.borrow().len()
    }
}

/// A policy, and what was remembered under it.
#[derive(Clone)]
pub struct MemoryTables<'a> {
    /// What may pass.
    pub policy: &'a Policy,
    /// Its classes of addresses.
    pub trie: &'a Trie,
    /// Flows, fragments, transfers and the clock. Another policy may share them.
    pub state: Rc<State>,
}

impl<'a> MemoryTables<'a> {
    /// A policy under which nothing is remembered yet.
    #[must_use]
    pub fn new(policy: &'a Policy, trie: &'a Trie) -> Self {
        Self {
            policy,
            trie,
            state: Rc::default(),
        }
    }

    /// Judges a frame that comes in at a card, as the kernel's ingress program does.
    #[must_use]
    pub fn ingress(&self, frame: &[u8], place: Place) -> Verdict {
        match self.fast_ingress(frame, place) {
            Some(verdict) => verdict,
            None => self.slow_ingress(frame, place),
        }
    }

    /// The fast path of [`Self::ingress`]; `None` for a frame of the slow path.
    #[must_use]
    pub fn fast_ingress(&self, frame: &[u8], place: Place) -> Option<Verdict> {
        match place {
            Place::Segment => verdict::fast_segment(self, frame, frame),
            place => verdict::fast_ingress(self, frame, frame, place),
        }
    }

    /// The slow path of [`Self::ingress`], which judges every frame.
    #[must_use]
    pub fn slow_ingress(&self, frame: &[u8], place: Place) -> Verdict {
        let mut packet = Packet::NONE;
        let end = wire::parse_into(&mut SliceCursor::new(frame), &mut packet).break_value();
        let about = verdict::about(self, &packet, frame, Hook::Ingress, place);
        verdict::ingress(self, &packet, end, frame, place, about)
    }

    /// Remembers a frame that a gateway forwards and translates, as the kernel's egress program does
    /// at `place`: the uplink for what came in at the segment, and the other way round.
    pub fn translated(&self, frame: &[u8], place: Place) {
        let mut packet = Packet::NONE;
        let end = wire::parse_into(&mut SliceCursor::new(frame), &mut packet).break_value();
        if end.is_some() {
            return;
        }
        match place {
            Place::Uplink => verdict::leaves_by_uplink(self, &packet, frame),
            Place::Segment => {
                let (place, about) = (Place::Uplink, About::NOTHING);
                verdict::ingress(self, &packet, None, frame, place, about);
            }
            Place::Host | Place::Loopback => {}
        }
    }

    /// Judges a frame that goes out through a card, as the kernel's egress program does.
    /// `forwarded`: it came in at an interface that judges nothing. `None`: it is not judged.
    #[must_use]
    pub fn egress(
        &self,
        frame: &[u8],
        place: Place,
        forwarded: bool,
    ) -> Option<(Direction, Verdict)> {
        match self.fast_egress(frame, place) {
            Some(verdict) => Some((Direction::Outbound, verdict)),
            None => self.slow_egress(frame, place, forwarded),
        }
    }

    /// The fast path of [`Self::egress`]; `None` for a frame of the slow path.
    #[must_use]
    pub fn fast_egress(&self, frame: &[u8], place: Place) -> Option<Verdict> {
        match place {
            Place::Host => verdict::fast_departure(self, frame, frame),
            _ => None,
        }
    }

    /// The slow path of [`Self::egress`], which judges every frame.
    #[must_use]
    pub fn slow_egress(
        &self,
        frame: &[u8],
        place: Place,
        forwarded: bool,
    ) -> Option<(Direction, Verdict)> {
        let mut packet = Packet::NONE;
        let end = match fast::parse(frame) {
            Some(fast) => {
                packet = fast;
                None
            }
            None => wire::parse_into(&mut SliceCursor::new(frame), &mut packet).break_value(),
        };
        match verdict::departure(self, &packet, end, place, forwarded) {
            Departure::Unjudged => None,
            Departure::Inbound => {
                let about = verdict::about(self, &packet, frame, Hook::Ingress, Place::Uplink);
                let verdict = verdict::ingress(self, &packet, end, frame, Place::Uplink, about);
                Some((Direction::Inbound, verdict))
            }
            Departure::Outbound(local) => {
                let about = verdict::about(self, &packet, frame, Hook::Egress, place);
                let verdict = verdict::outgoing(self, &packet, frame, local, about);
                Some((Direction::Outbound, verdict))
            }
            Departure::Passes => Some((
                Direction::Outbound,
                Verdict::without_service(Reason::Outbound),
            )),
        }
    }
}

/// The state of one flow.
pub struct SharedSlot(Rc<Cell<FlowState>>);

impl FlowSlot for SharedSlot {
    fn load(&self) -> FlowState {
        self.0.get()
    }

    fn exchange(&self, before: FlowState, after: FlowState) {
        debug_assert_eq!(self.0.get(), before);
        self.0.set(after);
    }
}

impl Tables for MemoryTables<'_> {
    type Flow = SharedSlot;

    fn policy(&self) -> &Policy {
        self.policy
    }

    fn trie(&self) -> Option<&Trie> {
        Some(self.trie)
    }

    fn flow(&self, key: impl Fn() -> FlowKey) -> Option<SharedSlot> {
        let flows = self.state.flows.borrow();
        flows.get(&key()).map(|state| SharedSlot(Rc::clone(state)))
    }

    fn open_flow(&self, packet: &Packet, tunnel: bool, state: FlowState) {
        let key = FlowKey::opened_by(packet, tunnel);
        let state = Rc::new(Cell::new(state));
        self.state.flows.borrow_mut().insert(key, state);
    }

    fn fragment(&self, key: &FragmentKey) -> Option<FragmentState> {
        self.state.fragments.borrow().get(key).copied()
    }

    fn note_fragment(&self, key: &FragmentKey, state: FragmentState) {
        self.state.fragments.borrow_mut().insert(*key, state);
    }

    fn transfer(&self, key: &TransferKey) -> Option<TransferState> {
        self.state.transfers.borrow().get(key).copied()
    }

    fn note_transfer(&self, key: &TransferKey, state: TransferState) {
        self.state.transfers.borrow_mut().insert(*key, state);
    }

    fn note_question(&self, key: &QuestionKey) {
        self.state.questions.borrow_mut().insert(*key, self.now());
    }

    fn was_asked(&self, key: &QuestionKey, within: u32) -> bool {
        let questions = self.state.questions.borrow();
        questions
            .get(key)
            .is_some_and(|asked| self.now() - asked <= within)
    }

    fn opening(&self, key: &OpeningKey) -> Opening {
        let openings = self.state.openings.borrow();
        openings.get(key).map_or(Opening::NONE, |known| known.0)
    }

    fn renew_opening(&self, key: &OpeningKey) {
        if let Some((opening, ..)) = self.state.openings.borrow_mut().get_mut(key) {
            *opening = Opening::of(true, self.now());
        }
    }

    fn note_opening(&self, key: &OpeningKey, how: How, interface: &[u8; 16]) {
        let (known, now) = (self.opening(key), self.now());
        let is_used = known.is_used() && known.is_alive(&self.policy.timeouts, now);
        let opening = Opening::of(is_used, now);
        let told = (opening, how, *interface);
        self.state.openings.borrow_mut().insert(*key, told);
    }

    fn count_rpc(&self, outcome: Outcome) {
        *self.state.rpc.borrow_mut().entry(outcome).or_default() += 1;
    }

    fn now(&self) -> u32 {
        self.state.now.get()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::address::{Address, Family};
    use crate::flow::Phase;
    use crate::packet::Protocol;

    #[test]
    fn only_the_dead_are_forgotten() {
        const NOW: u32 = 1_000_000;
        let timeouts = Timeouts::DEFAULT;
        let state = State::at(NOW);
        let address = |last| Address::v4([192, 0, 2, last]);
        let key = |port| {
            let (local, peer) = (address(1), address(2));
            FlowKey::new(Family::V4, local, peer, (port, 80), Protocol::TCP)
        };
        for (port, seen) in [
            (1, NOW - timeouts.tcp_established),
            (2, NOW - timeouts.tcp_established - 1),
            (3, NOW),
        ] {
            let flow = Rc::new(Cell::new(FlowState::new(Phase::Open, seen)));
            state.flows.borrow_mut().insert(key(port), flow);
        }
        for (transaction, asked) in [(1, NOW - MAX_AGE), (2, NOW - MAX_AGE - 1)] {
            let question = QuestionKey::dhcp_transaction(transaction, false);
            state.questions.borrow_mut().insert(question, asked);
        }
        assert_eq!(state.size(), 5);
        state.forget_dead(&timeouts);
        assert_eq!((state.flow_count(), state.size()), (2, 3));
        assert!(!state.flows.borrow().contains_key(&key(2)));
        let question = QuestionKey::dhcp_transaction(1, false);
        assert!(state.questions.borrow().contains_key(&question));
    }
}
