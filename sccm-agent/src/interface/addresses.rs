//! Reads netlink messages about addresses.

use netlink_packet_route::address::{AddressAttribute, AddressFlags, AddressMessage};
use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr};

/// The addresses of a network namespace.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Addresses {
    /// Each address of its own, with the numbers of the interfaces that have it.
    pub holders: BTreeMap<IpAddr, BTreeSet<u32>>,
    /// The directed broadcast addresses of its networks.
    pub broadcasts: BTreeSet<Ipv4Addr>,
}

/// The addresses that the messages are about.
pub(super) fn of(messages: &[AddressMessage]) -> Addresses {
    let mut found = Addresses::default();
    for message in messages {
        let Some(own) = own(message) else {
            continue;
        };
        let holders = found.holders.entry(own).or_default();
        holders.insert(message.header.index);
        if let IpAddr::V4(own) = own {
            found.broadcasts.extend(broadcasts(message, own));
        }
    }
    found
}

/// The machine's end. A message about two ends has the other one as its address, and ours as
/// local (`inet_fill_ifaddr` in net/ipv4/devinet.c).
fn own(message: &AddressMessage) -> Option<IpAddr> {
    let (mut local, mut address, mut tentative) = (None, None, false);
    for attribute in &message.attributes {
        match attribute {
            AddressAttribute::Local(own) => local = Some(*own),
            AddressAttribute::Address(end) => address = Some(*end),
            AddressAttribute::Flags(flags) => {
                tentative = flags.intersects(AddressFlags::Tentative | AddressFlags::Dadfailed)
                    && !flags.contains(AddressFlags::Optimistic);
            }
            _ => {}
        }
    }
    // It is the machine's own only when nobody else has answered for it (RFC 4862, 2).
    local.or(address).filter(|_| !tentative)
}

/// What reaches all systems of the network of an address: what is configured, and the last address
/// of the network in any case (`fib_add_ifaddr` in net/ipv4/fib_frontend.c).
fn broadcasts(message: &AddressMessage, own: Ipv4Addr) -> BTreeSet<Ipv4Addr> {
    let given = message.attributes.iter().find_map(|attribute| {
        let AddressAttribute::Broadcast(broadcast) = attribute else {
            return None;
        };
        Some(*broadcast)
    });
    let length = message.header.prefix_len;
    let last = match length {
        1..=30 => Some(Ipv4Addr::from_bits(own.to_bits() | u32::MAX >> length)),
        _ => None,
    };
    given.into_iter().chain(last).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(length: u8, attributes: Vec<AddressAttribute>) -> AddressMessage {
        let mut message = AddressMessage::default();
        message.header.prefix_len = length;
        message.header.index = 3;
        message.attributes = attributes;
        message
    }

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn the_other_end_of_a_line_is_not_ours() {
        let line = [
            message(
                32,
                vec![
                    AddressAttribute::Address(address("10.0.0.2")),
                    AddressAttribute::Local(address("10.0.0.1")),
                ],
            ),
            message(128, vec![AddressAttribute::Address(address("fd00::1"))]),
        ];
        let found = of(&line);
        let own: Vec<IpAddr> = found.holders.into_keys().collect();
        assert_eq!(own, [address("10.0.0.1"), address("fd00::1")]);
        assert_eq!(found.broadcasts, BTreeSet::new());
    }

    #[test]
    fn an_address_that_is_not_settled_yet_may_be_another_systems() {
        let with = |flags| {
            let attributes = vec![
                AddressAttribute::Address(address("fd00::1")),
                AddressAttribute::Flags(flags),
            ];
            of(&[message(64, attributes)]).holders.len()
        };
        assert_eq!(with(AddressFlags::Permanent), 1);
        assert_eq!(with(AddressFlags::Tentative), 0);
        assert_eq!(with(AddressFlags::Tentative | AddressFlags::Optimistic), 1);
        assert_eq!(with(AddressFlags::Permanent | AddressFlags::Dadfailed), 0);
    }

    #[test]
    fn every_network_has_a_broadcast_address_but_a_line() {
        let of = |length, given: Option<&str>| {
            let mut attributes = vec![AddressAttribute::Local(address("10.2.0.1"))];
            let given = given.map(|text| text.parse().unwrap());
            attributes.extend(given.map(AddressAttribute::Broadcast));
            let found = of(&[message(length, attributes)]).broadcasts;
            found.iter().map(ToString::to_string).collect::<Vec<_>>()
        };
        assert_eq!(of(24, None), ["10.2.0.255"]);
        assert_eq!(of(24, Some("10.2.0.255")), ["10.2.0.255"]);
        assert_eq!(of(24, Some("10.2.0.0")), ["10.2.0.0", "10.2.0.255"]);
        assert_eq!(of(30, None), ["10.2.0.3"]);
        assert_eq!(of(31, None), [""; 0]);
        assert_eq!(of(32, None), [""; 0]);
    }
}
