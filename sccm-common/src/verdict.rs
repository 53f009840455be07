//! The decision: a pure function of a packet, the tables and the clock.
//!
//! Where a frame is seen decides what is asked of it. What arrives at a host, or
//! at the uplink of a gateway, is judged *inbound*; what arrives at a gateway's
//! segment comes from the protected systems and is judged *outbound*, like what
//! leaves a host. A gateway's own traffic has a local class of its own, and with
//! it its own rights.

mod candidate;
mod essential;
mod icmp_error;
mod inbound;
mod outbound;

#[cfg(test)]
mod tests;

use crate::address::{self, AddressClass, Family, LOCAL_SELF, Trie};
use crate::cursor::Payload;
use crate::flow::{FlowKey, FlowSlot, FlowState};
use crate::fragment::{FragmentKey, FragmentState};
use crate::packet::{Fragment, Packet, Protocol};
use crate::peer::Peer;
use crate::policy::{Pair, Policy, flag};
use crate::reason::Reason;
use crate::service::ServiceClass;
use crate::tftp::{TransferKey, TransferState};
use crate::wire;
use crate::wire::plain::{Network, Plain, Transport, Visitor};

pub use candidate::Turn;

/// What the decision reads and writes: the kernel's maps, or their like in a test.
pub trait Tables {
    /// Where the state of a flow is kept.
    type Flow: FlowSlot;

    /// The active policy. It stays the same one during a decision.
    fn policy(&self) -> &Policy;
    /// The active policy's classes of addresses.
    fn trie(&self) -> Option<&Trie>;
    /// The state of a flow, if it is known.
    fn flow(&self, key: &FlowKey) -> Option<Self::Flow>;
    /// Remembers a flow.
    fn open_flow(&self, key: &FlowKey, state: FlowState);
    /// What became of the first fragment of a datagram.
    fn fragment(&self, key: &FragmentKey) -> Option<FragmentState>;
    /// Remembers it.
    fn note_fragment(&self, key: &FragmentKey, state: FragmentState);
    /// A file transfer.
    fn transfer(&self, key: &TransferKey) -> Option<TransferState>;
    /// Remembers it.
    fn note_transfer(&self, key: &TransferKey, state: TransferState);
    /// Seconds of a clock that only goes forward, from any beginning.
    fn now(&self) -> u32;
}

/// Where in the network a program sits; fixed when it is loaded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Place {
    /// On the protected host itself.
    Host = 0,
    /// On a gateway, at the side of the peers.
    Uplink = 1,
    /// On a gateway, at the side of the protected systems.
    Segment = 2,
}

impl Place {
    /// The place with this number; a host for a number that means nothing.
    #[inline(always)]
    pub const fn from_number(number: u32) -> Self {
        match number {
            1 => Self::Uplink,
            2 => Self::Segment,
            _ => Self::Host,
        }
    }
}

/// How a packet ended, and the service that it spoke of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Verdict {
    /// Why it passed or was dropped.
    pub reason: Reason,
    /// What it wanted; [`ServiceClass::NONE`] where the reason says it all.
    pub service: ServiceClass,
    /// Who the other end is, of what the policy refuses for want of a right.
    pub peer: Peer,
}

impl Verdict {
    /// A packet that ended before its service was known.
    #[inline(always)]
    pub const fn without_service(reason: Reason) -> Self {
        Self::of_service(reason, ServiceClass::NONE)
    }

    /// A packet that ended whoever sent it.
    #[inline(always)]
    pub const fn of_service(reason: Reason, service: ServiceClass) -> Self {
        Self {
            reason,
            service,
            peer: Peer::NOT_KNOWN,
        }
    }
}

/// Judges a parsed frame that arrives at `place`.
#[inline(always)]
pub fn arriving<T: Tables, P: Payload + ?Sized>(
    tables: &T,
    packet: &Packet,
    payload: &P,
    place: Place,
) -> Verdict {
    let source = class_of(tables, packet, &packet.source);
    let destination = match place {
        // Whatever reaches a host's card is for the host.
        Place::Host if !tables.policy().has(flag::LOCAL_ADDRESSES) => AddressClass::ANY,
        _ => class_of(tables, packet, &packet.destination),
    };
    let verdict = if place == Place::Segment && destination.local != LOCAL_SELF {
        // Nobody on the segment has the gateway's own rights, whatever source it claims.
        let local = match source.local {
            LOCAL_SELF => AddressClass::ANY.local,
            local => local,
        };
        outbound::judge(tables, payload, packet, local, destination.peer)
    } else {
        inbound::judge(tables, payload, packet, destination.local, source.peer)
    };
    remember_first(tables, packet, verdict)
}

/// Judges plain packets that arrive where they are judged inbound, as [`arriving`] would; `None`
/// for those about which a plain packet does not say enough.
pub struct Arriving<'a, T, P: ?Sized> {
    /// The tables.
    pub tables: &'a T,
    /// The same frame.
    pub payload: &'a P,
    /// [`Place::Host`] or [`Place::Uplink`].
    pub place: Place,
}

impl<T: Tables, P: Payload + ?Sized> Visitor for Arriving<'_, T, P> {
    type Output = Option<Verdict>;

    #[inline(always)]
    fn visit<'a, N: Network<'a>, R: Transport<'a>>(self, plain: Plain<N, R>) -> Option<Verdict> {
        let policy = self.tables.policy();
        let (mut local, mut pair) = (AddressClass::ANY.local, Pair::ANY);
        if policy.has(flag::ADDRESSES)
            && let Some(trie) = self.tables.trie()
        {
            let class = |address| address::classify(trie, N::FAMILY, &address);
            if self.place == Place::Uplink || policy.has(flag::LOCAL_ADDRESSES) {
                local = class(plain.network.destination()).local;
            }
            pair = policy.pair(local, class(plain.network.source()).peer);
        }
        inbound::judge_plain(self.tables, self.payload, &plain, local, pair)
    }
}

/// Judges a parsed frame that leaves at `place`. `None`: a frame that a gateway
/// forwards, which was judged and counted where it arrived.
#[inline(always)]
pub fn leaving<T: Tables, P: Payload + ?Sized>(
    tables: &T,
    packet: &Packet,
    payload: &P,
    place: Place,
) -> Option<Verdict> {
    let source = class_of(tables, packet, &packet.source);
    if place != Place::Host && source.local != LOCAL_SELF {
        return None;
    }
    let destination = class_of(tables, packet, &packet.destination);
    let verdict = outbound::judge(tables, payload, packet, source.local, destination.peer);
    Some(remember_first(tables, packet, verdict))
}

/// Judges an arriving frame without an IP packet that parses.
#[inline(always)]
pub fn arriving_unparsed<T: Tables>(tables: &T, reason: Reason) -> Verdict {
    let policy = tables.policy();
    Verdict::without_service(match reason {
        Reason::EthertypeRefused if policy.has(flag::PASS_OTHER_ETHERTYPES) => {
            Reason::OtherEthertype
        }
        _ => policy.essentials.judge(reason),
    })
}

/// Judges a leaving frame without an IP packet that parses: what a host's own
/// stack makes need not be known here.
#[inline(always)]
pub const fn leaving_unparsed(place: Place) -> Option<Verdict> {
    match place {
        Place::Host => Some(Verdict::without_service(Reason::Outbound)),
        Place::Uplink | Place::Segment => None,
    }
}

/// Lets later fragments follow a first one that passed, where they are judged.
#[inline(always)]
fn remember_first<T: Tables>(tables: &T, packet: &Packet, verdict: Verdict) -> Verdict {
    let judged = verdict.reason != Reason::Outbound || tables.policy().has(flag::OUTBOUND_ENFORCE);
    if packet.fragment == Fragment::First && verdict.reason.passes() && judged {
        let state = FragmentState::new(tables.now());
        tables.note_fragment(&FragmentKey::of(packet), state);
    }
    verdict
}

/// The fate of a later fragment.
#[inline(always)]
fn later_fragment<T: Tables>(tables: &T, packet: &Packet) -> Verdict {
    let known = tables.fragment(&FragmentKey::of(packet));
    if known.is_some_and(|first| first.is_fresh(tables.now())) {
        return Verdict::without_service(Reason::FragmentFollows);
    }
    Verdict::without_service(if tables.policy().has(flag::PASS_ORPHAN_FRAGMENTS) {
        Reason::LaterFragment
    } else {
        Reason::LaterFragmentRefused
    })
}

/// The end of something without a right, seen from its protected end.
#[inline(always)]
fn refusal(
    policy: &Policy,
    local: u16,
    pair: Pair,
    reason: Reason,
    service: ServiceClass,
) -> Verdict {
    if local == AddressClass::ANY.local && policy.has(flag::LISTED_ONLY) {
        return Verdict::of_service(Reason::UnlistedHost, service);
    }
    Verdict {
        reason,
        service,
        peer: policy.peer_of(pair),
    }
}

/// The service that a packet speaks of, were `port` the server's.
#[inline(always)]
fn service_at(policy: &Policy, packet: &Packet, port: u16) -> ServiceClass {
    match (packet.family, packet.protocol) {
        (_, Protocol::TCP) => policy.tcp[port as usize],
        (_, Protocol::UDP) => policy.udp[port as usize],
        (Family::V4, Protocol::ICMP) => policy.icmp[packet.icmp_type as usize],
        (Family::V6, Protocol::ICMPV6) => policy.icmpv6[packet.icmp_type as usize],
        (_, protocol) => policy.protocol[protocol.0 as usize],
    }
}

/// The service that a packet is an answer of, if it is one.
#[inline(always)]
fn answered_service(policy: &Policy, packet: &Packet) -> ServiceClass {
    match (packet.family, packet.protocol, packet.icmp_type) {
        (Family::V4, Protocol::ICMP, wire::transport::ICMP_ECHO_REPLY) => {
            policy.icmp[wire::transport::ICMP_ECHO as usize]
        }
        (Family::V6, Protocol::ICMPV6, wire::transport::ICMPV6_ECHO_REPLY) => {
            policy.icmpv6[wire::transport::ICMPV6_ECHO as usize]
        }
        _ => service_at(policy, packet, packet.source_port),
    }
}

/// The classes of an address; nothing is looked up where no address is named.
#[inline(always)]
fn class_of<T: Tables>(tables: &T, packet: &Packet, address: &crate::Address) -> AddressClass {
    if !tables.policy().has(flag::ADDRESSES) {
        return AddressClass::ANY;
    }
    match tables.trie() {
        Some(trie) => address::classify_either(trie, packet.family, address),
        None => AddressClass::ANY,
    }
}
