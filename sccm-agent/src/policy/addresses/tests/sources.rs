//! What prefixes say of sources, together.

use super::super::{Source, Tag, classify};
use super::net;
use sccm_common::address::AddressClass;
use std::net::IpAddr;

const INSIDE: u16 = AddressClass::INSIDE;
const NOBODY: u16 = AddressClass::INSIDE | AddressClass::NOBODY;

/// The marks of addresses where these prefixes say so.
fn assert_marks(said: &[(&str, Source)], expected: &[(&str, u16)]) {
    let said = said.iter();
    let said = said.map(|(prefix, source)| (net(prefix), Tag::Source(*source)));
    let classes = classify(said).unwrap();
    for (address, marks) in expected {
        let class = classes.class(address.parse::<IpAddr>().unwrap());
        assert_eq!(class.peer, *marks, "{address}");
        assert_eq!((class.local, class.peer_number()), (0, 0), "{address}");
    }
}

#[test]
fn protected_systems_are_behind_where_the_narrowest_route_says_so() {
    use Source::{Behind, Listed};
    assert_marks(
        &[
            ("10.2.0.5/32", Listed),
            ("10.2.0.10/32", Listed),
            ("10.3.0.0/16", Listed),
            ("0.0.0.0/0", Behind(false)),
            ("10.2.0.0/24", Behind(true)),
            ("10.2.0.10/31", Behind(false)),
            ("10.3.1.0/24", Behind(true)),
        ],
        &[
            ("10.2.0.5", INSIDE),
            ("10.2.0.6", 0),
            ("10.2.0.10", 0),
            ("10.3.1.1", INSIDE),
            ("10.3.2.1", 0),
            ("8.8.8.8", 0),
        ],
    );
}

#[test]
fn an_entry_for_the_rest_stands_for_whatever_is_behind() {
    use Source::{Behind, Elsewhere, Listed, Rest};
    assert_marks(
        &[
            ("0.0.0.0/0", Rest),
            ("10.2.0.0/24", Behind(true)),
            ("10.2.0.7/32", Elsewhere),
            ("10.2.0.8/32", Elsewhere),
            ("10.2.0.8/32", Listed),
        ],
        &[
            ("10.2.0.6", INSIDE),
            ("10.2.0.7", 0),
            ("10.2.0.8", INSIDE),
            ("10.3.0.6", 0),
        ],
    );
}

#[test]
fn what_the_policy_says_of_a_bridge_needs_no_route() {
    use Source::{Elsewhere, Inside};
    assert_marks(
        &[("fd00::/64", Inside), ("fd00::7/128", Elsewhere)],
        &[("fd00::6", INSIDE), ("fd00::7", INSIDE), ("fd01::6", 0)],
    );
}

#[test]
fn the_setting_wins_over_everything() {
    use Source::{Inside, Nobody, Passes};
    assert_marks(
        &[
            ("127.0.0.0/8", Nobody),
            ("10.2.0.0/24", Inside),
            ("10.2.0.4/30", Passes),
            ("127.1.0.0/16", Passes),
        ],
        &[
            ("127.0.0.1", NOBODY),
            ("127.1.0.1", 0),
            ("10.2.0.3", INSIDE),
            ("10.2.0.5", 0),
        ],
    );
}

#[test]
fn of_two_routes_to_the_same_prefix_any_may_be_taken() {
    use Source::{Behind, Rest};
    assert_marks(
        &[
            ("::/0", Rest),
            ("2001:db8::/32", Behind(false)),
            ("2001:db8::/32", Behind(true)),
        ],
        &[("2001:db8::1", INSIDE), ("2001:db9::1", 0)],
    );
}
