//! What the decision needs of the outside.

use super::{Outcome, Verdict, rpc};
use crate::address::{self, AddressClass, Family, Trie};
use crate::flow::{FlowKey, FlowSlot, FlowState};
use crate::fragment::{FragmentKey, FragmentState};
use crate::opening::{Opening, OpeningKey};
use crate::packet::Packet;
use crate::policy::Policy;
use crate::question::QuestionKey;
use crate::rpc::How;
use crate::rpc::room::Room;
use crate::rpc::scan::{self, Scan};
use crate::tftp::{TransferKey, TransferState};

/// What the decision reads and writes: the kernel's maps, or the tables in memory
/// ([`memory`](crate::memory)).
pub trait Tables {
    /// A reference to the state of one flow.
    type Flow: FlowSlot;

    /// The policy that judges, the same one for the whole of a decision.
    fn policy(&self) -> &Policy;
    /// The policy's classes of addresses.
    fn trie(&self) -> Option<&Trie>;
    /// The classes of an address, looked up on the slow path. The kernel program does it in a
    /// function of its own: that costs a call, and the verifier follows it once.
    fn class_apart(&self, family: Family, address: &crate::Address) -> AddressClass {
        match self.trie() {
            Some(trie) => address::classify_either(trie, family, address),
            None => AddressClass::ANY,
        }
    }
    /// The state of a flow, if it is known. The kernel program asks for the key twice: it has no room to
    /// keep it.
    fn flow(&self, key: impl Fn() -> FlowKey) -> Option<Self::Flow>;
    /// The state of the flow that a leaving packet belongs to, looked up on the slow path. The kernel
    /// program does it, and the next, in functions of their own, which the verifier follows once.
    fn flow_apart(&self, packet: &Packet) -> Option<Self::Flow> {
        self.flow(|| FlowKey::of_outbound(packet))
    }
    /// Whether a packet is an [answer](super::answers), found out on the slow path.
    fn answers_apart(&self, packet: &Packet, writes: bool) -> bool
    where
        Self: Sized,
    {
        super::answers(self, || *packet, writes)
    }
    /// Remembers a flow that a leaving packet opens ([`FlowKey::opened_by`]).
    fn open_flow(&self, packet: &Packet, tunnel: bool, state: FlowState);
    /// The same of the packet's own flow, on the fast path. The kernel program does it in a function of
    /// its own, which has room for the key.
    fn open_flow_apart(&self, packet: impl Fn() -> Packet) {
        let packet = packet();
        let state = FlowState::UNKNOWN.after_outbound(&packet, self.now());
        self.open_flow(&packet, false, state);
    }
    /// The first fragment of a datagram, if it passed.
    fn fragment(&self, key: &FragmentKey) -> Option<FragmentState>;
    /// Remembers that a first fragment passed.
    fn note_fragment(&self, key: &FragmentKey, state: FragmentState);
    /// A TFTP transfer, or a request for one.
    fn transfer(&self, key: &TransferKey) -> Option<TransferState>;
    /// Remembers a transfer as it is now.
    fn note_transfer(&self, key: &TransferKey, state: TransferState);
    /// Remembers for a while that something was asked.
    fn note_question(&self, key: &QuestionKey);
    /// Whether it was asked within so many seconds (at most [`MAX_AGE`](crate::question::MAX_AGE)).
    fn was_asked(&self, key: &QuestionKey, within: u32) -> bool;
    /// The port that was handed out, or [`Opening::NONE`].
    fn opening(&self, key: &OpeningKey) -> Opening;
    /// Somebody connects to it, or goes on.
    fn renew_opening(&self, key: &OpeningKey);
    /// Notes a port that the endpoint mapper hands out, by whose answer, for which interface.
    fn note_opening(&self, key: &OpeningKey, how: How, interface: &[u8; 16]);
    /// Counts what became of an answer of the endpoint mapper.
    fn count_rpc(&self, outcome: Outcome);
    /// Reads the units of RPC in a segment. The kernel program does it after the decision, because
    /// functions may not be called much deeper there.
    fn read_rpc(&self, room: &Room, packet: &Packet, asks: bool)
    where
        Self: Sized,
    {
        let mut at = 0;
        for _ in 0..rpc::UNITS {
            at = rpc::unit(self, room, packet, asks, at) & !rpc::LEFT;
            if at == 0 {
                return;
            }
        }
    }
    /// A scan after a few more words ([`scan::some`]). The kernel program has a function of its own for
    /// it, which the verifier follows once.
    fn scan_rpc(&self, room: &Room, at: u32, end: u32, scan: Scan) -> Scan {
        scan::some(room, at, end, scan, |word| word)
    }
    /// Whether one more probe of this peer may pass: not many do in a second.
    fn may_probe(&self, _peer: &crate::Address) -> bool {
        true
    }
    /// The same word. The kernel's verifier knows nothing of it any more, and so follows what
    /// comes next once, by whatever way the word was found.
    fn opaque(&self, word: u64) -> u64 {
        word
    }
    /// The same for an answer.
    fn opaque_answer(&self, answer: bool) -> bool {
        self.opaque(answer.into()) != 0
    }
    /// The same verdict. The kernel's verifier knows nothing of it any more.
    fn opaque_verdict(&self, verdict: Verdict) -> Verdict {
        verdict
    }
    /// Seconds of a clock that only goes forward; only differences mean something.
    fn now(&self) -> u32;
}
