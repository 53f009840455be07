//! Which routes lead to the segment, and where nobody can tell.

use super::super::{is_bridge, routed};
use super::{interface, machine, plan};
use crate::interface::{Kind, Route};

/// Routes of `(prefix, interfaces)`, for a gateway with these sides.
fn told(sides: &str, routes: &[(&str, &[u32])]) -> Vec<(String, bool)> {
    let routes: Vec<Route> = routes
        .iter()
        .map(|(prefix, interfaces)| Route {
            prefix: prefix.parse().unwrap(),
            interfaces: interfaces.to_vec(),
        })
        .collect();
    let told = routed(&plan(sides).unwrap(), &machine(), &routes);
    let told = told.into_iter();
    told.map(|(prefix, behind)| (prefix.to_string(), behind))
        .collect()
}

#[test]
fn a_route_has_the_side_of_its_interface() {
    const TO: &str = "10.2.0.0/16";
    let cases: [(&str, &[u32], bool); 14] = [
        ("uplink eth0 segment eth1", &[2], true),
        ("uplink eth0 segment eth1", &[1], false),
        // A card that nobody named, and a tunnel.
        ("uplink eth0 segment eth1", &[3], false),
        ("uplink eth0 segment eth1", &[28], false),
        ("uplink eth0 segment eth1", &[99], false),
        // By several ways.
        ("uplink eth0 segment eth1", &[1, 2], true),
        // VLANs: named, or of a card that was named as a whole.
        ("uplink eth1.20 segment office", &[21], true),
        ("uplink eth1.20 segment office", &[20], false),
        ("uplink eth1.20 segment office", &[2], false),
        ("uplink eth0 segment eth1", &[21], true),
        // A bond, and a bridge of which only some is the segment.
        ("uplink eth0 segment bond0", &[11], true),
        ("uplink eth0 segment bond0", &[10], false),
        ("uplink eth2 segment bond0", &[10], false),
        ("uplink eth0 segment br0", &[10], true),
    ];
    for (sides, interfaces, behind) in cases {
        let expected = match behind {
            true => vec![(TO.to_owned(), true)],
            false => Vec::new(),
        };
        let found = told(sides, &[(TO, interfaces)]);
        assert_eq!(found, expected, "{sides} {interfaces:?}");
    }
}

#[test]
fn only_routes_that_change_something_are_told() {
    let found = told(
        "uplink eth0 segment eth1",
        &[
            ("0.0.0.0/0", &[1]),
            ("10.0.0.0/8", &[1]),
            ("10.2.0.0/16", &[2]),
            ("10.2.3.0/24", &[2]),
            ("10.2.4.0/24", &[1]),
            ("10.2.4.7/32", &[2]),
            ("10.3.0.0/16", &[1]),
            ("::/0", &[1]),
            ("fd00::/64", &[2]),
            // In two tables.
            ("fd01::/64", &[1]),
            ("fd01::/64", &[2]),
        ],
    );
    let expected = [
        ("10.2.0.0/16", true),
        ("10.2.4.0/24", false),
        ("10.2.4.7/32", true),
        ("fd00::/64", true),
        ("fd01::/64", true),
    ];
    let expected = expected.map(|(prefix, behind)| (prefix.to_owned(), behind));
    assert_eq!(found, expected);
}

#[test]
fn a_bridge_joins_both_sides() {
    for (sides, expected) in [
        // br20, by VLAN 20 of either.
        ("uplink eth0 segment eth1", true),
        ("uplink eth2 segment bond0", true),
        ("uplink eth2 segment eth1", false),
        ("uplink eth0.20 segment eth1.20", true),
        ("uplink eth0.20 segment office", false),
        ("segment br0", false),
    ] {
        let plan = plan(sides).unwrap();
        assert_eq!(is_bridge(&plan, &machine()), expected, "{sides}");
    }
    // Between the members of a VRF the machine routes.
    let two = |kind| {
        [
            interface(1, "eth0", Kind::Card, Some(9)),
            interface(2, "eth1", Kind::Card, Some(9)),
            interface(9, "master", kind, None),
        ]
    };
    let plan = plan("uplink eth0 segment eth1").unwrap();
    assert!(is_bridge(&plan, &two(Kind::Group { bond: None })));
    assert!(!is_bridge(&plan, &two(Kind::Vrf)));
    // A switch in software that is no bridge of the kernel.
    assert!(is_bridge(&plan, &two(Kind::Card)));
}
