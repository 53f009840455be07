//! How a frame is judged that goes out.

use super::{Place, Tables, class_of, dhcp};
use crate::address::LOCAL_SELF;
use crate::packet::Packet;
use crate::reason::Reason;

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
