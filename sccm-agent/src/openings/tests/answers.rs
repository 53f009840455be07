//! Which ports an answer opens, and which it does not.

use super::super::Way;
use super::talk::{CLIENT, SERVER, Talk};
use super::{HOST, NONE, learn, map, of_map, ports, reasons, refuses};
use sccm_common::rpc::Refusal;
use sccm_tests::packet::rpc::{self as wire, PRIVACY, Unit};

#[test]
fn an_answer_opens_one_port_of_who_gave_it_to_who_asked() {
    let learned = of_map(&map(49700));
    assert_eq!(reasons(&learned), []);
    let [opening] = learned.openings.as_slice() else {
        panic!("{learned:?}")
    };
    assert_eq!(opening.server.to_string(), "192.0.2.20");
    assert_eq!(opening.client.to_string(), "192.0.2.10");
    assert_eq!(opening.port, 49700);
    assert_eq!(opening.interface.to_string(), wire::SERVICES);
    assert_eq!((opening.how, opening.frame), (Way::EptMap, 7));
}

#[test]
fn both_families_both_orders_and_both_syntaxes_are_read() {
    for (client, server) in [("192.0.2.10", "192.0.2.20"), ("2001:db8::a", "2001:db8::b")] {
        for is_big in [false, true] {
            for (is_64, syntax) in [(false, wire::NDR32), (true, wire::NDR64)] {
                let mut talk = Talk::between(client, server);
                talk.is_big = is_big;
                talk.bind(1, wire::MAPPER, syntax);
                let towers = [wire::tower(7, 49700, HOST), wire::tower(7, 49701, HOST)];
                talk.call(2, 1, 3, &wire::towers(is_big, is_64, &towers, 0));
                let learned = learn(&talk.frames);
                assert_eq!(ports(&learned), [49700, 49701], "{client} {is_big} {is_64}");
                assert_eq!(learned.openings[0].server.to_string(), server);
            }
        }
    }
}

#[test]
fn tags_of_vlans_change_nothing() {
    let mut talk = Talk::bound();
    talk.call(2, 0, 3, &map(49700));
    for frame in &mut talk.frames {
        frame.splice(12..12, [0x81, 0, 0, 5]);
    }
    assert_eq!(ports(&learn(&talk.frames)), [49700]);
}

#[test]
fn an_activation_and_a_resolver_open_the_port_that_all_bindings_name() {
    let texts = [
        (15, r"\\CM01[\PIPE\atsvc]"),
        (7, "cm01[49701]"),
        (7, "192.0.2.20[49701]"),
    ];
    let activated = wire::activated(false, &texts, 0);
    let cases = [
        (wire::ACTIVATOR, 4, activated.clone(), Way::Activation),
        (wire::ACTIVATOR, 3, activated, Way::Activation),
        (
            wire::LEGACY,
            0,
            wire::legacy(false, &texts),
            Way::Activation,
        ),
        (
            wire::RESOLVER,
            0,
            wire::resolved(0, false, false, &texts),
            Way::ResolveOxid,
        ),
        (
            wire::RESOLVER,
            4,
            wire::resolved(4, false, false, &texts),
            Way::ResolveOxid,
        ),
    ];
    for (interface, operation, stub, how) in cases {
        let mut talk = Talk::between("192.0.2.10", "192.0.2.20");
        talk.bind(0, interface, wire::NDR32);
        talk.call(2, 0, operation, &stub);
        let learned = learn(&talk.frames);
        assert_eq!(ports(&learned), [49701], "{interface:?} {learned:?}");
        assert_eq!(learned.openings[0].how, how);
        assert_eq!(learned.openings[0].interface.to_string(), interface.0);
    }
}

#[test]
fn bindings_that_name_no_port_or_several_open_nothing() {
    let cases = [
        (
            vec![(7, "cm01[49701]"), (7, "cm01[49702]")],
            Refusal::BindingsDisagree,
        ),
        (vec![(15, r"\\CM01[49701]"), (7, "cm01")], Refusal::NoTcp),
        (
            vec![(7, "cm01[497010]"), (7, "cm01[4970x]"), (7, "cm01[49701")],
            Refusal::NoTcp,
        ),
    ];
    for (texts, reason) in cases {
        let mut talk = Talk::between("192.0.2.10", "192.0.2.20");
        talk.bind(0, wire::ACTIVATOR, wire::NDR32);
        talk.call(2, 0, 4, &wire::activated(false, &texts, 0));
        refuses(&learn(&talk.frames), reason);
    }
    let mut talk = Talk::between("192.0.2.10", "192.0.2.20");
    talk.bind(0, wire::ACTIVATOR, wire::NDR32);
    talk.call(
        2,
        0,
        4,
        &wire::activated(false, &[(7, "cm01[49701]")], 0x8007_0005),
    );
    refuses(&learn(&talk.frames), Refusal::CallFailed);
}

#[test]
fn the_address_in_a_tower_opens_nothing_elsewhere() {
    let stub = wire::towers(false, false, &[wire::tower(7, 49700, [198, 51, 100, 9])], 0);
    let learned = of_map(&stub);
    assert_eq!(learned.openings[0].server.to_string(), "192.0.2.20");
    assert_eq!(reasons(&learned), [(Some(49700), Refusal::AnotherHost)]);
}

#[test]
fn ports_of_other_services_and_beyond_the_range_stay_closed() {
    for port in [0, 135, 139, 445, 3389, 5985, 50123] {
        let learned = of_map(&map(port));
        assert_eq!(ports(&learned), NONE);
        assert_eq!(reasons(&learned), [(Some(port), Refusal::ForbiddenPort)]);
    }
    for port in [1, 80, 1026, 49151] {
        let learned = of_map(&map(port));
        assert_eq!(ports(&learned), NONE);
        assert_eq!(reasons(&learned), [(Some(port), Refusal::OutsideRange)]);
    }
}

#[test]
fn an_answer_opens_four_ports_at_most() {
    let towers: Vec<Vec<u8>> = (49700..49706)
        .map(|port| wire::tower(7, port, HOST))
        .collect();
    let learned = of_map(&wire::towers(false, false, &towers, 0));
    assert_eq!(ports(&learned), [49700, 49701, 49702, 49703]);
    assert_eq!(reasons(&learned), [(Some(49704), Refusal::TooManyPorts)]);
}

#[test]
fn what_is_not_an_answer_with_towers_opens_nothing() {
    let none = wire::towers(false, false, &[], 0x16c9_a0d6);
    refuses(&of_map(&none), Refusal::NotRegistered);
    let udp = wire::towers(false, false, &[wire::tower(8, 49700, HOST)], 0);
    refuses(&of_map(&udp), Refusal::NoTcp);
    let failed = wire::towers(false, false, &[wire::tower(7, 49700, HOST)], 5);
    refuses(&of_map(&failed), Refusal::CallFailed);
    let as_64 = wire::towers(false, true, &[wire::tower(7, 49700, HOST)], 0);
    refuses(&of_map(&as_64), Refusal::MalformedAnswer);
    let longer = [map(49700), vec![0; 4]].concat();
    refuses(&of_map(&longer), Refusal::MalformedAnswer);
    // The count of floors, the lengths of their halves, and what they are.
    let changes = [0, 2, 4, 23, 27, 29, 48, 52, 54, 55, 59, 62, 66, 68, 69];
    for at in changes {
        let mut tower = wire::tower(7, 49700, HOST);
        tower[at] ^= 3;
        let learned = of_map(&wire::towers(false, false, &[tower], 0));
        refuses(&learned, Refusal::MalformedTower);
    }
}

#[test]
fn a_signed_answer_is_read_and_an_encrypted_one_is_not() {
    for (level, expected) in [(wire::INTEGRITY, vec![49700]), (PRIVACY, vec![])] {
        let mut talk = Talk::bound();
        talk.say(CLIENT, &wire::request(Unit::new(0, 2), 0, 3, b""));
        let signed = Unit {
            trailer: Some((level, 8)),
            ..Unit::new(2, 2)
        };
        talk.say(SERVER, &wire::response(signed, 0, &map(49700)));
        let learned = learn(&talk.frames);
        assert_eq!(ports(&learned), expected);
        let is_refused = reasons(&learned) == [(None, Refusal::Privacy)];
        assert_eq!(is_refused, level == PRIVACY);
    }
}

#[test]
fn a_fault_opens_nothing() {
    let mut talk = Talk::bound();
    talk.say(CLIENT, &wire::request(Unit::new(0, 2), 0, 3, b""));
    talk.say(SERVER, &wire::response(Unit::new(3, 2), 0, &map(49700)));
    refuses(&learn(&talk.frames), Refusal::Fault);
}
