//! Reads a netlink message about a route.

use ipnet::IpNet;
use netlink_packet_route::AddressFamily;
use netlink_packet_route::route::{
    RouteAddress, RouteAttribute, RouteFlags, RouteMessage, RouteType,
};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Where packets for a prefix are sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route {
    pub prefix: IpNet,
    /// The numbers of the interfaces through which they may leave.
    pub interfaces: Vec<u32>,
}

/// The route that a message is about; `None` for one that leads to no other system, and for what
/// the kernel has only learned about one.
pub(super) fn of(message: &RouteMessage) -> Option<Route> {
    let header = &message.header;
    if header.kind != RouteType::Unicast || header.flags.contains(RouteFlags::Cloned) {
        return None;
    }
    let mut destination = match header.address_family {
        AddressFamily::Inet => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        AddressFamily::Inet6 => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
        _ => return None,
    };
    let mut interfaces = Vec::new();
    for attribute in &message.attributes {
        match attribute {
            RouteAttribute::Destination(RouteAddress::Inet(address)) => {
                destination = IpAddr::V4(*address);
            }
            RouteAttribute::Destination(RouteAddress::Inet6(address)) => {
                destination = IpAddr::V6(*address);
            }
            RouteAttribute::Oif(index) => interfaces.push(*index),
            RouteAttribute::MultiPath(hops) => {
                interfaces.extend(hops.iter().map(|hop| hop.interface_index));
            }
            _ => {}
        }
    }
    let prefix = IpNet::new(destination, header.destination_prefix_length).ok()?;
    Some(Route {
        prefix: prefix.trunc(),
        interfaces,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use netlink_packet_route::route::RouteNextHop;

    fn message(kind: RouteType, length: u8, attributes: Vec<RouteAttribute>) -> RouteMessage {
        let mut message = RouteMessage::default();
        message.header.address_family = AddressFamily::Inet;
        message.header.kind = kind;
        message.header.destination_prefix_length = length;
        message.attributes = attributes;
        message
    }

    fn to(address: [u8; 4]) -> RouteAttribute {
        RouteAttribute::Destination(RouteAddress::Inet(address.into()))
    }

    fn route(prefix: &str, interfaces: &[u32]) -> Option<Route> {
        Some(Route {
            prefix: prefix.parse().unwrap(),
            interfaces: interfaces.to_vec(),
        })
    }

    #[test]
    fn every_next_hop_counts() {
        let unicast = RouteType::Unicast;
        let direct = message(unicast, 16, vec![to([10, 2, 0, 0]), RouteAttribute::Oif(3)]);
        assert_eq!(of(&direct), route("10.2.0.0/16", &[3]));
        let default = message(unicast, 0, vec![RouteAttribute::Oif(4)]);
        assert_eq!(of(&default), route("0.0.0.0/0", &[4]));
        let hops = [3, 4].map(|index| {
            let mut hop = RouteNextHop::default();
            hop.interface_index = index;
            hop
        });
        let hops = RouteAttribute::MultiPath(hops.to_vec());
        let several = message(unicast, 8, vec![to([10, 0, 0, 0]), hops]);
        assert_eq!(of(&several), route("10.0.0.0/8", &[3, 4]));
    }

    #[test]
    fn only_what_leads_to_others_is_a_route() {
        for kind in [
            RouteType::BlackHole,
            RouteType::Unreachable,
            RouteType::Local,
        ] {
            assert_eq!(of(&message(kind, 8, vec![to([10, 0, 0, 0])])), None);
        }
        let mut learned = message(RouteType::Unicast, 32, vec![to([10, 0, 0, 1])]);
        learned.header.flags = RouteFlags::Cloned;
        assert_eq!(of(&learned), None);
    }
}
