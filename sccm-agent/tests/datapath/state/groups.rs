//! What a gateway makes of packets to groups.

use anyhow::Result;
use sccm_agent::policy::{Outbound, Surroundings};
use sccm_common::Place;
use sccm_common::Reason::{
    NotAllowed, Outbound as Left, OutboundNotAllowed, Service, UnlistedHost,
};
use sccm_tests::datapath::{Datapath, Settings};
use sccm_tests::packet::Packet;

use super::Fate as _;

/// A gateway, and whether what it routes besides reaches its segment: all groups, and directed
/// broadcasts.
fn gateway(is_bridge: bool, routes: bool) -> Result<Surroundings> {
    Ok(Surroundings {
        broadcasts: vec!["198.51.100.255".parse()?],
        is_bridge,
        routes_multicast: routes,
        routes_broadcasts: routes,
        ..Surroundings::gateway(&["198.51.100.1".parse()?, "2001:db8:a::1".parse()?])
    })
}

/// N1 of the field's faults: a role's services are those of the systems behind the gateway.
#[test]
fn what_no_gateway_hands_on_needs_a_right_to_manage_it() -> Result<()> {
    // Where it goes, and whether a router that routes all it can hands it on.
    let groups = [
        ("255.255.255.255", false),
        ("224.0.0.1", false),
        ("198.51.100.255", true),
        ("239.1.2.3", true),
        ("ff02::1", false),
        ("ff11::1", false),
        ("ff15::1", true),
    ];
    let mut kernel = Datapath::load_at(Place::Uplink)?;
    for (is_bridge, routes) in [(false, false), (false, true), (true, false)] {
        for addresses in [vec![], vec!["192.0.2.0/24", "2001:db8::/64"]] {
            kernel.publish(&Settings {
                addresses: addresses.clone(),
                allow: vec!["udp/514", "ip/89"],
                manage: vec![
                    "udp/5000@198.51.100.7/32",
                    "udp/5000@2001:db8:a::7/128",
                    "tcp/22",
                ],
                machine: gateway(is_bridge, routes)?,
                ..Settings::roles(&["distribution-point"])
            })?;
            for (group, routed) in groups {
                let of_v4 = !group.contains(':');
                let [peer, stranger] = match of_v4 {
                    true => ["198.51.100.7", "198.51.100.8"],
                    false => ["2001:db8:a::7", "2001:db8:a::8"],
                };
                let about = format!("{group} bridge {is_bridge} routes {routes} {addresses:?}");
                let managed = Packet::ip(peer, group).udp(40000, 5000);
                assert_eq!(kernel.arrives(&managed)?, Service, "{about}");
                let open = Packet::ip(stranger, group).udp(40000, 5000);
                assert_eq!(kernel.arrives(&open)?, NotAllowed, "{about}");
                let session = Packet::ip(peer, group).tcp(40000, 22).syn();
                assert_eq!(kernel.arrives(&session)?, NotAllowed, "{about}");
                // A role's streams, and what rules open at the systems behind.
                let handed_on = match is_bridge || routes && routed {
                    true => Service,
                    false => NotAllowed,
                };
                for packet in [
                    Packet::ip(peer, group).udp(40000, 63500),
                    Packet::ip(peer, group).udp(40000, 514),
                    Packet::ip(peer, group).ip_protocol(89).payload(20),
                ] {
                    assert_eq!(kernel.arrives(&packet)?, handed_on, "{about}");
                }
            }
        }
    }
    Ok(())
}

/// Field case 19: a site server wakes a client by the broadcast address of its network.
#[test]
fn a_network_is_woken_by_the_site_server_alone() -> Result<()> {
    let own: Vec<std::net::IpAddr> = vec!["10.65.0.1".parse()?, "192.0.2.1".parse()?];
    let broadcast = || -> Result<Vec<_>> { Ok(vec!["10.65.0.255".parse()?]) };
    let router = Surroundings {
        routes_broadcasts: true,
        ..Surroundings::gateway(&own)
    };
    let bridge = Surroundings {
        is_bridge: true,
        ..Surroundings::gateway(&own)
    };
    let machines = [
        // A network of the machine's own, and one behind another router in the segment.
        (
            Place::Uplink,
            Surroundings {
                broadcasts: broadcast()?,
                ..router.clone()
            },
        ),
        (
            Place::Uplink,
            Surroundings {
                far_broadcasts: broadcast()?,
                ..router
            },
        ),
        (
            Place::Uplink,
            Surroundings {
                broadcasts: broadcast()?,
                ..bridge.clone()
            },
        ),
        // Only the policy knows the network.
        (Place::Uplink, bridge),
        (
            Place::Host,
            Surroundings {
                broadcasts: broadcast()?,
                ..Surroundings::default()
            },
        ),
    ];
    for (place, machine) in machines {
        let mut kernel = Datapath::load_at(place)?;
        kernel.publish(&Settings {
            addresses: vec!["10.65.0.50/32"],
            peers: vec![("site-server", "10.1.0.5/32"), ("client", "10.65.0.0/24")],
            machine: machine.clone(),
            ..Settings::roles(&["client"])
        })?;
        for (from, to, reason) in [
            ("10.1.0.5", "10.65.0.255", Service),
            ("10.1.0.6", "10.65.0.255", NotAllowed),
            ("10.65.7.9", "10.65.0.255", NotAllowed),
            ("10.1.0.5", "10.65.0.254", UnlistedHost),
            ("10.1.0.5", "10.65.0.50", Service),
        ] {
            let packet = Packet::ip(from, to).udp(50123, 9);
            assert_eq!(
                kernel.arrives(&packet)?,
                reason,
                "{from} to {to}, {machine:?}"
            );
        }
        for refused in [
            Packet::ip("10.1.0.5", "10.65.0.255").tcp(50123, 2701).syn(),
            Packet::ip("10.1.0.5", "10.65.0.255").udp(50123, 7),
        ] {
            assert_eq!(kernel.arrives(&refused)?, NotAllowed, "{machine:?}");
        }
        assert_eq!(kernel.flows()?, 0);
    }
    Ok(())
}

/// VRRP, OSPF, PIM, EIGRP, RIP and HSRP: (group, protocol or UDP port).
const OF_ROUTERS: [(&str, Result<u16, u8>); 10] = [
    ("224.0.0.18", Err(112)),
    ("224.0.0.5", Err(89)),
    ("224.0.0.13", Err(103)),
    ("224.0.0.10", Err(88)),
    ("224.0.0.9", Ok(520)),
    ("224.0.0.2", Ok(1985)),
    ("ff02::12", Err(112)),
    ("ff02::5", Err(89)),
    ("ff02::d", Err(103)),
    ("ff02::9", Ok(521)),
];

fn spoken(from: &str, group: &str, what: Result<u16, u8>) -> Packet {
    let packet = Packet::ip(from, group);
    match what {
        Ok(port) => packet.udp(port, port),
        Err(protocol) => packet.ip_protocol(protocol).payload(20),
    }
}

/// Field case 04: what the routers of a link say to each other is for the gateway itself.
#[test]
fn routers_speak_to_the_gateway_by_management_rights() -> Result<()> {
    let rules = [
        "ip/112", "ip/89", "ip/103", "ip/88", "udp/520", "udp/521", "udp/1985",
    ];
    let rules: Vec<String> = rules
        .iter()
        .flat_map(|rule| ["192.0.2.3/32", "fe80::/10"].map(|from| format!("{rule}@{from}")))
        .collect();
    let rules: Vec<&'static str> = rules.into_iter().map(|rule| &*rule.leak()).collect();
    for place in [Place::Uplink, Place::Segment] {
        let mut kernel = Datapath::load_at(place)?;
        for number in 0..16 {
            let is = |bit: u8| number >> bit & 1 == 1;
            let (is_bridge, is_listed, is_managed) = (is(0), is(1), is(2));
            let outbound = if is(3) {
                Outbound::Enforce
            } else {
                Outbound::Track
            };
            let addresses = vec!["192.0.2.10/32", "2001:db8::10/128"];
            kernel.publish(&Settings {
                addresses: if is_listed { addresses } else { Vec::new() },
                outbound,
                manage: if is_managed {
                    rules.clone()
                } else {
                    Vec::new()
                },
                machine: gateway(is_bridge, false)?,
                ..Settings::roles(&["distribution-point"])
            })?;
            let refused = match (place, outbound) {
                (Place::Segment, _) if is_listed => UnlistedHost,
                (Place::Segment, Outbound::Enforce) => OutboundNotAllowed,
                (Place::Segment, _) => Left,
                _ => NotAllowed,
            };
            let expected = if is_managed { Service } else { refused };
            for (group, what) in OF_ROUTERS {
                let about = format!("{place:?} {number:b} {group}");
                let [other, stranger, own] = match group.contains(':') {
                    false => ["192.0.2.3", "192.0.2.4", "198.51.100.1"],
                    true => ["fe80::3", "2001:db8::4", "2001:db8:a::1"],
                };
                let said = kernel.arrives(&spoken(other, group, what))?;
                assert_eq!(said, expected, "{about}");
                let said = kernel.arrives(&spoken(stranger, group, what))?;
                assert_eq!(said, refused, "{about}");
                // What it says itself needs no rule.
                let said = kernel.leaves(&spoken(own, group, what))?;
                assert_eq!(said, Left, "{about}");
            }
        }
        assert_eq!(kernel.flows()?, 0);
    }
    Ok(())
}
