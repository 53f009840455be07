//! Sources that a packet cannot have where it comes in.

use super::{Place, dhcp, essential};
use crate::address::{Address, AddressClass, Family};
use crate::packet::{Fragment, Packet};
use crate::reason::Reason;

/// Whether a packet that comes in at `place` bears a source that nobody has on that side.
#[inline(always)]
pub(super) fn is_spoofed(packet: &Packet, source: AddressClass, place: Place) -> bool {
    is_suspect(source, place) && !is_needed(packet)
}

/// Whether only a few packets may have a source of this class at `place`.
#[inline(always)]
pub(super) const fn is_suspect(source: AddressClass, place: Place) -> bool {
    source.is_marked(match place {
        Place::Host | Place::Uplink => AddressClass::INSIDE | AddressClass::NOBODY,
        // The protected systems themselves are there.
        Place::Segment => AddressClass::NOBODY,
        // The machine itself sends, from whichever of its addresses.
        Place::Loopback => 0,
    })
}

/// Whether the network needs the packet all the same. Senders without an address ask for one by
/// DHCP, and proxy queriers have none (RFC 4541, 2.1.1). In IPv6, `::` asks whether an address is
/// free (RFC 4862, 5.4), and each link may have a router of the same link-local address.
#[inline(always)]
fn is_needed(packet: &Packet) -> bool {
    if packet.fragment == Fragment::Later {
        return false;
    }
    match packet.family {
        Family::V4 => {
            packet.source == Address::v4([0; 4])
                && (dhcp::is_from_client(packet)
                    || matches!(essential::of(packet), Some(Reason::Igmp)))
        }
        Family::V6 => {
            packet.source.is_link_local_or_unspecified_v6()
                && matches!(
                    essential::of(packet),
                    Some(Reason::NeighbourDiscovery | Reason::Mld)
                )
        }
    }
}
