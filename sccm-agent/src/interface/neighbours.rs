//! Reads netlink messages about neighbours: of an interface, and behind a bridge's members.

use netlink_packet_route::neighbour::{NeighbourAddress, NeighbourAttribute, NeighbourMessage};
use std::net::IpAddr;

/// The hardware address of `peer`, if it is a neighbour on the interface of this number.
pub(super) fn hardware_address(
    neighbours: &[NeighbourMessage],
    peer: IpAddr,
    interface: u32,
) -> Option<&[u8]> {
    let is_peer = |attribute: &NeighbourAttribute| match attribute {
        NeighbourAttribute::Destination(NeighbourAddress::Inet(address)) => peer == *address,
        NeighbourAttribute::Destination(NeighbourAddress::Inet6(address)) => peer == *address,
        _ => false,
    };
    let mut neighbours = neighbours.iter();
    let found = neighbours.find(|message| {
        message.header.ifindex == interface && message.attributes.iter().any(is_peer)
    });
    hardware(found?)
}

/// The number of the member behind which a bridge has seen this hardware address.
pub(super) fn member_to(seen: &[NeighbourMessage], address: &[u8], bridge: u32) -> Option<u32> {
    let of_bridge = NeighbourAttribute::Controller(bridge);
    let mut seen = seen.iter();
    let found = seen.find(|message| {
        hardware(message) == Some(address) && message.attributes.contains(&of_bridge)
    });
    found.map(|message| message.header.ifindex)
}

fn hardware(message: &NeighbourMessage) -> Option<&[u8]> {
    message
        .attributes
        .iter()
        .find_map(|attribute| match attribute {
            NeighbourAttribute::LinkLayerAddress(address) => Some(address.as_slice()),
            _ => None,
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(interface: u32, attributes: Vec<NeighbourAttribute>) -> NeighbourMessage {
        let mut message = NeighbourMessage::default();
        message.header.ifindex = interface;
        message.attributes = attributes;
        message
    }

    #[test]
    fn a_neighbour_is_behind_the_member_that_the_bridge_has_seen_it_at() {
        let address = |last| NeighbourAttribute::LinkLayerAddress(vec![2, 0, 0, 0, 0, last]);
        let at = |text: &str| {
            let address = match text.parse().unwrap() {
                IpAddr::V4(address) => NeighbourAddress::Inet(address),
                IpAddr::V6(address) => NeighbourAddress::Inet6(address),
            };
            NeighbourAttribute::Destination(address)
        };
        let neighbours = [
            message(7, vec![at("10.0.0.2"), address(1)]),
            message(9, vec![at("10.0.0.2"), address(2)]),
            message(9, vec![at("fd00::2"), address(3)]),
            message(9, vec![at("10.0.0.3")]),
        ];
        let found = |text: &str| hardware_address(&neighbours, text.parse().unwrap(), 9);
        assert_eq!(found("10.0.0.2"), Some(&[2, 0, 0, 0, 0, 2][..]));
        assert_eq!(found("fd00::2"), Some(&[2, 0, 0, 0, 0, 3][..]));
        assert_eq!(found("10.0.0.3"), None);
        assert_eq!(found("10.0.0.4"), None);
        let seen = [
            message(4, vec![address(2), NeighbourAttribute::Controller(8)]),
            message(5, vec![address(2), NeighbourAttribute::Controller(9)]),
        ];
        assert_eq!(member_to(&seen, &[2, 0, 0, 0, 0, 2], 9), Some(5));
        assert_eq!(member_to(&seen, &[2, 0, 0, 0, 0, 3], 9), None);
    }
}
