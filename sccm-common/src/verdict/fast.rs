//! The fast paths: of what comes in, and of what a host sends.

use super::{Place, Tables, Verdict, inbound, outbound, source};
use crate::address::{self, AddressClass, LOCAL_SELF};
use crate::cursor::{Contiguous, Payload};
use crate::policy::{Pair, flag};
use crate::wire::fast::{self, FastPacket, Network, Transport, Visitor};

/// The fast path of a frame that comes in at `place`, a host or an uplink. `payload` is the same
/// frame. `None`: the frame must take the slow path, which would otherwise give the same verdict.
#[inline(always)]
pub fn fast_ingress<T: Tables, F: Contiguous, P: Payload + ?Sized>(
    tables: &T,
    frame: F,
    payload: &P,
    place: Place,
) -> Option<Verdict> {
    if !matches!(place, Place::Host | Place::Uplink) {
        return None;
    }
    let judge = FastIngress {
        tables,
        payload,
        place,
    };
    fast::visit(frame, judge)
}

/// Judges the packets of the fast path inbound.
struct FastIngress<'a, T, P: ?Sized> {
    tables: &'a T,
    payload: &'a P,
    place: Place,
}

impl<T: Tables, P: Payload + ?Sized> Visitor for FastIngress<'_, T, P> {
    type Output = Verdict;

    #[inline(always)]
    fn visit<'a, L3: Network<'a>, L4: Transport<'a>>(
        self,
        packet: FastPacket<L3, L4>,
    ) -> Option<Verdict> {
        let policy = self.tables.policy();
        let (mut local, mut pair) = (AddressClass::ANY.local, Pair::ANY);
        let source = packet.network.source();
        let destination = packet.network.destination();
        let names_local = policy.has(flag::ADDRESSES)
            && (self.place == Place::Uplink || policy.has(flag::LOCAL_ADDRESSES));
        if !names_local && destination.may_be_group(L3::FAMILY) {
            return None;
        }
        if policy.has(flag::ADDRESSES)
            && let Some(trie) = self.tables.trie()
        {
            let class = |address| address::classify(trie, L3::FAMILY, &address);
            if names_local {
                local = class(destination).local;
            }
            let source = class(source);
            if source::is_suspect(source, self.place) {
                return None;
            }
            pair = policy.pair(local, source.peer);
        } else if source.may_be_martian(L3::FAMILY) || policy.own.may_hold(&source) {
            return None;
        }
        inbound::judge_fast(self.tables, self.payload, &packet, local, pair)
    }
}

/// The same for what comes in at a segment, which is judged outbound, but for what is to the gateway
/// or to a group: that is left to the slow path.
#[inline(always)]
pub fn fast_segment<T: Tables, F: Contiguous, P: Payload + ?Sized>(
    tables: &T,
    frame: F,
    payload: &P,
) -> Option<Verdict> {
    fast::visit(frame, FastSegment { tables, payload })
}

/// Judges the packets of the fast path outbound.
struct FastSegment<'a, T, P: ?Sized> {
    tables: &'a T,
    payload: &'a P,
}

impl<T: Tables, P: Payload + ?Sized> Visitor for FastSegment<'_, T, P> {
    type Output = Verdict;

    #[inline(always)]
    fn visit<'a, L3: Network<'a>, L4: Transport<'a>>(
        self,
        packet: FastPacket<L3, L4>,
    ) -> Option<Verdict> {
        let policy = self.tables.policy();
        let trie = self.tables.trie().filter(|_| policy.has(flag::ADDRESSES))?;
        let source = address::classify(trie, L3::FAMILY, &packet.network.source());
        if source::is_suspect(source, Place::Segment) || source.local == LOCAL_SELF {
            return None;
        }
        let destination = packet.network.destination();
        if destination.may_be_group(L3::FAMILY) {
            return None;
        }
        let destination = address::classify(trie, L3::FAMILY, &destination);
        if destination.local == LOCAL_SELF {
            return None;
        }
        let pair = policy.pair(source.local, destination.peer);
        outbound::judge_fast(self.tables, self.payload, &packet, source.local, pair)
    }
}

/// The same for what goes out at a host, but for what is to a group.
#[inline(always)]
pub fn fast_departure<T: Tables, F: Contiguous, P: Payload + ?Sized>(
    tables: &T,
    frame: F,
    payload: &P,
) -> Option<Verdict> {
    fast::visit(frame, FastDeparture { tables, payload })
}

/// Judges the packets of the fast path that a host sends.
struct FastDeparture<'a, T, P: ?Sized> {
    tables: &'a T,
    payload: &'a P,
}

impl<T: Tables, P: Payload + ?Sized> Visitor for FastDeparture<'_, T, P> {
    type Output = Verdict;

    #[inline(always)]
    fn visit<'a, L3: Network<'a>, L4: Transport<'a>>(
        self,
        packet: FastPacket<L3, L4>,
    ) -> Option<Verdict> {
        let policy = self.tables.policy();
        let destination = packet.network.destination();
        let source = packet.network.source();
        if destination.may_be_group(L3::FAMILY) || source.may_be_group(L3::FAMILY) {
            return None;
        }
        let (mut local, mut pair) = (AddressClass::ANY.local, Pair::ANY);
        if policy.has(flag::ADDRESSES)
            && let Some(trie) = self.tables.trie()
        {
            local = address::classify(trie, L3::FAMILY, &source).local;
            let peer = address::classify(trie, L3::FAMILY, &destination).peer;
            pair = policy.pair(local, peer);
        }
        outbound::judge_fast(self.tables, self.payload, &packet, local, pair)
    }
}
