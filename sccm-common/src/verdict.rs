//! The decision: a pure function of a packet, the tables and the clock.
//!
//! The hook and the place decide how a frame is judged. What comes in at a host, or
//! at the uplink of a gateway, is judged *inbound*. What comes in at a gateway's
//! segment is from the protected systems and is judged *outbound*, like what goes
//! out of a host. A gateway's own traffic has a local class of its own, and with
//! it its own rights. What leaves into a segment and was judged nowhere, because it came in
//! at a card that nobody enforces, is judged there, inbound.
//!
//! A frame that comes in takes the fast path ([`fast_ingress`], at a segment [`fast_segment`]) if it can, otherwise
//! the slow path: [`wire::parse`](crate::wire::parse), then [`ingress`]. What a host sends has a fast
//! path, too ([`fast_departure`]). Any other frame that goes out is parsed, and [`departure()`] says
//! how it is judged: by [`outgoing`], by [`ingress`] as at the uplink, or not at all.

mod candidate;
mod departure;
mod dhcp;
mod essential;
mod fast;
mod fragments;
mod icmp_error;
mod inbound;
mod outbound;
mod place;
mod questions;
mod rpc;
mod source;
mod tables;
mod translated;

#[cfg(test)]
mod tests;

use crate::address::{AddressClass, Family, LOCAL_SELF};
use crate::counter::Direction;
use crate::cursor::Payload;
use crate::ethertype;
use crate::packet::{Fragment, Packet, Protocol};
use crate::peer::Peer;
use crate::policy::{Pair, Policy, flag};
use crate::question::Relay;
use crate::reason::Reason;
use crate::service::ServiceClass;
use crate::usage::Row;
use crate::wire;

pub use candidate::Turn;
pub use departure::{Departure, departure};
pub use essential::is_icmp_error;
pub use fast::{fast_departure, fast_ingress, fast_segment};
pub use icmp_error::{About, about};
pub use inbound::answers;
pub use place::Place;
pub use rpc::{LEFT as RPC_LEFT, Outcome, UNITS as RPC_UNITS, unit as rpc_unit};
pub use tables::Tables;
pub use translated::leaves_by_uplink;

use fragments::{later_fragment, remember_first};

/// Why a packet passed or was dropped, and which service it wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Verdict {
    /// Why it passed or was dropped.
    pub reason: Reason,
    /// The service that it wanted; [`ServiceClass::NONE`] for a reason without a service.
    pub service: ServiceClass,
    /// Who the other end is, where the policy drops a packet for want of a right.
    pub peer: Peer,
    /// Where the right is counted by which it passes.
    pub row: Row,
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
            row: Row::NONE,
        }
    }

    /// The same, by a right that is counted in a row.
    #[inline(always)]
    pub const fn by_right(self, row: Row) -> Self {
        Self { row, ..self }
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
    // Nobody on the segment gets the gateway's own rights by using its address as source.
    let sender = match source.local {
        LOCAL_SELF => AddressClass::ANY.local,
        local => local,
    };
    let pair = match direction {
        Direction::Inbound => tables.policy().pair(destination.local, source.peer),
        Direction::Outbound => tables.policy().pair(sender, destination.peer),
    };
    let receiver = destination.local;
    let answers = questions::answered(tables, payload, packet, direction, receiver, pair);
    let verdict = match direction {
        Direction::Inbound => {
            let (local, peer) = (destination.local, source.peer);
            inbound::judge(tables, payload, packet, local, peer, answers, about)
        }
        Direction::Outbound => outbound::judge(
            tables,
            payload,
            packet,
            sender,
            destination.peer,
            answers,
            about,
        ),
    };
    let verdict = tables.opaque_verdict(verdict);
    // What comes in is from nobody who is this machine.
    let asker = match direction {
        Direction::Inbound => Relay::Peer,
        Direction::Outbound => Relay::Protected,
    };
    questions::note(tables, payload, packet, asker, &verdict);
    rpc::note(tables, payload, packet, direction, &verdict);
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
    let pair = tables.policy().pair(local, destination.peer);
    let answers = questions::answered(tables, payload, packet, direction, local, pair);
    let verdict = outbound::judge(
        tables,
        payload,
        packet,
        local,
        destination.peer,
        answers,
        about,
    );
    let verdict = tables.opaque_verdict(verdict);
    questions::note(tables, payload, packet, Relay::behind(local), &verdict);
    rpc::note(tables, payload, packet, direction, &verdict);
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
        row: Row::NONE,
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
