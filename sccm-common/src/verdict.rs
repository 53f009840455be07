//! The decision: a pure function of a packet, the tables and the clock.
//!
//! The hook and the place decide how a frame is judged. What comes in at a host, or
//! at the uplink of a gateway, is judged *inbound*. What comes in at a gateway's
//! segment is from the protected systems and is judged *outbound*, like what goes
//! out of a host. A gateway's own traffic has a local class of its own, and with
//! it its own rights. What leaves into a segment and was judged nowhere, because it came in
//! at a card that nobody enforces, is judged there, inbound.
//!
//! A frame that comes in takes the fast path ([`fast_ingress`]) if it can, otherwise
//! the slow path: [`wire::parse`](crate::wire::parse), then [`ingress`]. A frame that
//! goes out is parsed, and [`departure`] says how it is judged: by [`outgoing`], by [`ingress`] as at
//! the uplink, or not at all.

mod candidate;
mod dhcp;
mod essential;
mod fragments;
mod icmp_error;
mod inbound;
mod outbound;
mod questions;
mod source;
mod tables;
mod translated;

#[cfg(test)]
mod tests;

use crate::address::{self, AddressClass, Family, LOCAL_SELF};
use crate::counter::Direction;
use crate::cursor::{Contiguous, Payload};
use crate::ethertype;
use crate::packet::{Fragment, Packet, Protocol};
use crate::peer::Peer;
use crate::policy::{Pair, Policy, flag};
use crate::reason::Reason;
use crate::service::ServiceClass;
use crate::wire;
use crate::wire::fast::{self, FastPacket, Network, Transport, Visitor};

pub use candidate::Turn;
pub use essential::is_icmp_error;
pub use icmp_error::{About, about};
pub use tables::Tables;
pub use translated::leaves_by_uplink;

use fragments::{later_fragment, remember_first};

/// On which side of the protected systems a card is; fixed when its programs are loaded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Place {
    /// On the protected host itself.
    Host = 0,
    /// On a gateway, on the side of the peers.
    Uplink = 1,
    /// On a gateway, on the side of the protected systems.
    Segment = 2,
    /// The loopback interface of a host, by which it sends to itself.
    Loopback = 3,
}

impl Place {
    /// The place with this number; a host for a number that means nothing.
    #[inline(always)]
    pub const fn from_number(number: u32) -> Self {
        match number {
            1 => Self::Uplink,
            2 => Self::Segment,
            3 => Self::Loopback,
            _ => Self::Host,
        }
    }

    /// Whether whatever comes in here is for this machine, and whatever goes out is from it.
    #[inline(always)]
    pub const fn is_host(self) -> bool {
        matches!(self, Self::Host | Self::Loopback)
    }

    /// Whether frames that come in here can take the fast path, which judges inbound only, and
    /// leaves the machine's own addresses to the slow path.
    #[inline(always)]
    pub const fn has_fast_path(self) -> bool {
        match self {
            Self::Host | Self::Uplink => true,
            Self::Segment | Self::Loopback => false,
        }
    }
}

/// Why a packet passed or was dropped, and which service it wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Verdict {
    /// Why it passed or was dropped.
    pub reason: Reason,
    /// The service that it wanted; [`ServiceClass::NONE`] for a reason without a service.
    pub service: ServiceClass,
    /// Who the other end is, where the policy drops a packet for want of a right.
    pub peer: Peer,
}

impl Verdict {
    /// A verdict that needed no service.
    #[inline(always)]
    pub const fn without_service(reason: Reason) -> Self {
        Self::of_service(reason, ServiceClass::NONE)
    }

    /// A verdict that did not depend on the peer.
    #[inline(always)]
    pub const fn of_service(reason: Reason, service: ServiceClass) -> Self {
        Self {
            reason,
            service,
            peer: Peer::NOT_KNOWN,
        }
    }
}

/// The slow path of a frame that comes in at `place`: judges whatever the parser made of it, a
/// packet, or the reason at which the frame ends. `about` is what [`about`] says of the packet.
#[inline(always)]
pub fn ingress<T: Tables, P: Payload + ?Sized>(
    tables: &T,
    packet: &Packet,
    end: Option<Reason>,
    payload: &P,
    place: Place,
    about: About,
) -> Verdict {
    if let Some(reason) = end {
        return ended(tables.policy(), packet, reason, place);
    }
    let source = tables.class_apart(packet.family, &packet.source);
    if tables.opaque_answer(source::is_spoofed(packet, source, place)) {
        return Verdict::without_service(Reason::SpoofedSource);
    }
    if let Some(reason) = refused_route(tables.policy(), packet) {
        return Verdict::without_service(reason);
    }
    // Without addresses, the fast path looks at no source either.
    let source = match tables.policy().has(flag::ADDRESSES) {
        true => source,
        false => AddressClass::ANY,
    };
    let (mut destination, mut direction) = arrival(tables, packet, place);
    // What is sent to many in the segment is for the gateway, too, if a rule lets it in there.
    if place == Place::Segment {
        let is_own =
            direction == Direction::Inbound || is_managed(tables.policy(), packet, source.peer);
        direction = Direction::Outbound;
        if tables.opaque_answer(is_own) {
            (destination.local, direction) = (LOCAL_SELF, Direction::Inbound);
        }
    }
    let asked = questions::are_answered(tables, payload, packet, direction);
    let verdict = match direction {
        Direction::Inbound => {
            let (local, peer) = (destination.local, source.peer);
            inbound::judge(tables, payload, packet, local, peer, asked, about)
        }
        Direction::Outbound => {
            // Nobody on the segment gets the gateway's own rights by using its address as source.
            let local = match source.local {
                LOCAL_SELF => AddressClass::ANY.local,
                local => local,
            };
            outbound::judge(
                tables,
                payload,
                packet,
                local,
                destination.peer,
                asked,
                about,
            )
        }
    };
    let verdict = tables.opaque_verdict(verdict);
    questions::note(tables, payload, packet, direction, &verdict);
    remember_first(tables, packet, verdict)
}

/// The classes of the receiver of a packet that comes in at `place`, and which way it goes.
#[inline(always)]
fn arrival<T: Tables>(tables: &T, packet: &Packet, place: Place) -> (AddressClass, Direction) {
    let destination = match place {
        // Whatever comes in at a host's card is for the host, or for many.
        Place::Host | Place::Loopback if !tables.policy().has(flag::LOCAL_ADDRESSES) => {
            unnamed(tables, packet.family, &packet.destination)
        }
        _ => class_of(tables, packet.family, &packet.destination),
    };
    let direction = match place {
        Place::Segment if destination.local != LOCAL_SELF => Direction::Outbound,
        _ => Direction::Inbound,
    };
    (destination, direction)
}

/// Whether a packet is to a group, by way of which a peer of this class may reach the gateway itself.
/// Questions of DHCP are those of the segment's clients in any case.
#[inline(always)]
fn is_managed(policy: &Policy, packet: &Packet, peer: u16) -> bool {
    packet.destination.is_group(packet.family)
        && packet.fragment != Fragment::Later
        && packet.protocol != Protocol::TCP
        && !packet.is_echo_request()
        && !dhcp::is_from_client(packet)
        && policy
            .access(policy.pair(LOCAL_SELF, peer))
            .inbound
            .contains(service_at(policy, packet, packet.destination_port))
}

/// The fast path of a frame that comes in at `place`. `payload` is the same frame. `None`: the
/// frame must take the slow path, which would otherwise give the same verdict.
#[inline(always)]
pub fn fast_ingress<T: Tables, F: Contiguous, P: Payload + ?Sized>(
    tables: &T,
    frame: F,
    payload: &P,
    place: Place,
) -> Option<Verdict> {
    if !place.has_fast_path() {
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

/// How a frame is judged that goes out and was judged nowhere before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Departure {
    /// Not at all: what leaves a gateway by its uplink in the name of others; and what the stack of
    /// a gateway makes without IP.
    Unjudged,
    /// Inbound, as the uplink would have judged it: a gateway forwards it into its segment, from a
    /// card that nobody enforces.
    Inbound,
    /// Outbound, for the local class of its sender.
    Outbound(u16),
    /// Outbound, although the parser found no packet: what a host's own network stack makes need
    /// not be known.
    Passes,
}

/// Says how a frame is judged that goes out at `place`. `end`: the reason at which the parser ended.
/// `forwarded`: it came in at some interface, so nobody on this machine made it.
#[inline(always)]
pub fn departure<T: Tables>(
    tables: &T,
    packet: &Packet,
    end: Option<Reason>,
    place: Place,
    forwarded: bool,
) -> Departure {
    // What an uplink lets out in the gateway's name is the gateway's, also if it is translated.
    let into_segment = place == Place::Segment;
    if into_segment && forwarded {
        return Departure::Inbound;
    }
    if end.is_some() {
        return match place.is_host() {
            true => Departure::Passes,
            false => Departure::Unjudged,
        };
    }
    let local = class_of(tables, packet.family, &packet.source).local;
    match (place.is_host(), local) {
        (true, _) | (false, LOCAL_SELF) => Departure::Outbound(local),
        // A gateway may ask for its own address.
        (false, _) if dhcp::is_from_nowhere(packet) => Departure::Outbound(LOCAL_SELF),
        (false, _) if into_segment => Departure::Inbound,
        (false, _) => Departure::Unjudged,
    }
}

/// Judges a packet that goes out, from a sender of the class `local`. `about` is what [`about`]
/// says of the packet.
#[inline(always)]
pub fn outgoing<T: Tables, P: Payload + ?Sized>(
    tables: &T,
    packet: &Packet,
    payload: &P,
    local: u16,
    about: About,
) -> Verdict {
    if let Some(reason) = refused_route(tables.policy(), packet) {
        return Verdict::without_service(reason);
    }
    let destination = class_of(tables, packet.family, &packet.destination);
    let direction = Direction::Outbound;
    let asked = questions::are_answered(tables, payload, packet, direction);
    let verdict = outbound::judge(
        tables,
        payload,
        packet,
        local,
        destination.peer,
        asked,
        about,
    );
    let verdict = tables.opaque_verdict(verdict);
    questions::note(tables, payload, packet, direction, &verdict);
    remember_first(tables, packet, verdict)
}

/// The verdict on a frame that came in from others and ended in the parser.
#[inline(always)]
fn ended(policy: &Policy, packet: &Packet, reason: Reason, place: Place) -> Verdict {
    Verdict::without_service(match reason {
        Reason::EthertypeRefused
            if ethertype::passes(&policy.ethertypes, packet.ethertype, place) =>
        {
            Reason::NamedEthertype
        }
        Reason::EthertypeRefused if policy.has(flag::PASS_OTHER_ETHERTYPES) => {
            Reason::OtherEthertype
        }
        _ => policy.essentials.judge(reason),
    })
}

/// The verdict on a packet for which the pair has no right. `local` is the class of the protected
/// system.
#[inline(always)]
fn refusal(
    policy: &Policy,
    local: u16,
    pair: Pair,
    reason: Reason,
    service: ServiceClass,
) -> Verdict {
    if is_unlisted(policy, local) {
        return Verdict::of_service(Reason::UnlistedHost, service);
    }
    Verdict {
        reason,
        service,
        peer: policy.peer_of(pair),
    }
}

/// Whether systems of a local class are none of those that the policy lists.
#[inline(always)]
const fn is_unlisted(policy: &Policy, local: u16) -> bool {
    local == AddressClass::ANY.local && policy.has(flag::LISTED_ONLY)
}

/// The service of a packet whose server is at `port`.
#[inline(always)]
fn service_at(policy: &Policy, packet: &Packet, port: u16) -> ServiceClass {
    service_of(
        policy,
        packet.family,
        packet.protocol,
        port,
        packet.icmp_type,
    )
}

/// The service at `port`, or of an ICMP type, or of a protocol without either.
#[inline(always)]
fn service_of(
    policy: &Policy,
    family: Family,
    protocol: Protocol,
    port: u16,
    icmp_type: u8,
) -> ServiceClass {
    match (family, protocol) {
        (_, Protocol::TCP) => policy.tcp[port as usize],
        (_, Protocol::UDP) => policy.udp[port as usize],
        (Family::V4, Protocol::ICMP) => policy.icmp[icmp_type as usize],
        (Family::V6, Protocol::ICMPV6) => policy.icmpv6[icmp_type as usize],
        (_, protocol) => policy.protocol[protocol.0 as usize],
    }
}

/// The service of a packet that is an answer.
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

/// The classes of an address of which no prefix is looked up.
#[inline(always)]
fn unnamed<T: Tables>(tables: &T, family: Family, address: &crate::Address) -> AddressClass {
    AddressClass::unnamed(family, address, tables.policy().flags)
}

/// The classes of an address. Nothing is looked up if the policy names no address.
#[inline(always)]
fn class_of<T: Tables>(tables: &T, family: Family, address: &crate::Address) -> AddressClass {
    match tables.policy().has(flag::ADDRESSES) {
        true => tables.class_apart(family, address),
        false => unnamed(tables, family, address),
    }
}

/// The reason to drop a packet that would go on to others than its destination.
#[inline(always)]
fn refused_route(policy: &Policy, packet: &Packet) -> Option<Reason> {
    if !packet.source_routed || policy.has(flag::PASS_SOURCE_ROUTES) {
        return None;
    }
    Some(match packet.family {
        Family::V4 => Reason::Ipv4SourceRoute,
        Family::V6 => Reason::Ipv6RoutingHeader,
    })
}
