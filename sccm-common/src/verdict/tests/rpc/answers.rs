//! What is read in an answer, and what of it opens nothing.

use super::{HOST, Talk, answer, connects, outcomes, server, sides};
use crate::Reason::{RpcNotNamed, Service as Passes};
use crate::address::Family;
use crate::rpc::{How, Refusal};
use crate::testing::{Link, PEER, PROTECTED, STRANGER};
use sccm_packets::rpc::{self, Name, Unit};
use sccm_packets::tcp_flag::PSH;

#[test]
fn activations_and_resolved_exporters_open_the_port_of_their_bindings() {
    let texts = [
        (15, "\\\\CM01\\PIPE\\atsvc"),
        (7, "CM01[49701]"),
        (7, "192.0.2.20[49701]"),
    ];
    for (interface, operation, stub, how) in [
        (
            rpc::ACTIVATOR,
            3,
            rpc::activated(false, &texts, 0),
            How::Activation,
        ),
        (
            rpc::ACTIVATOR,
            4,
            rpc::activated(false, &texts, 0),
            How::Activation,
        ),
        (
            rpc::LEGACY,
            0,
            rpc::legacy(false, &texts),
            How::LegacyActivation,
        ),
        (
            rpc::RESOLVER,
            0,
            rpc::resolved(0, false, false, &texts),
            How::ResolveOxid,
        ),
        (
            rpc::RESOLVER,
            4,
            rpc::resolved(4, false, false, &texts),
            How::ResolveOxid2,
        ),
    ] {
        for (world, link, serves, passes) in sides() {
            let mut talk = Talk::new(&world, link, serves);
            talk.binds(interface, rpc::NDR32);
            talk.calls(0, operation, &stub);
            assert_eq!(outcomes(&world), [(Ok(how), 1)]);
            assert_eq!(connects(&world, link, serves, 49_701), passes);
            assert_eq!(connects(&world, link, serves, 49_700), RpcNotNamed);
        }
    }
}

/// An answer that opens nothing, and why.
fn refused(stub: &[u8], interface: Name<'_>, operation: u16, why: Refusal) {
    for (world, link, serves, _) in sides() {
        let mut talk = Talk::new(&world, link, serves);
        talk.binds(interface, rpc::NDR32);
        talk.calls(0, operation, stub);
        assert_eq!(outcomes(&world), [(Err(why), 1)], "{why:?}");
        assert!(world.state.openings.borrow().is_empty());
    }
}

#[test]
fn answers_that_open_nothing_say_why() {
    let map = |ports: &[u16]| answer(false, ports);
    let tower = |protocol| rpc::towers(false, false, &[rpc::tower(protocol, 49_700, HOST)], 0);
    let mut broken = map(&[49_700]);
    // The transfer syntax is said to have another length.
    broken[36 + 4 + 8 + 27] = 18;
    let disagree = [(7, "a[49700]"), (7, "b[49701]")];
    for (stub, interface, operation, why) in [
        (map(&[445]), rpc::MAPPER, 3, Refusal::ForbiddenPort),
        (map(&[80]), rpc::MAPPER, 3, Refusal::ForbiddenPort),
        (map(&[50_000]), rpc::MAPPER, 3, Refusal::ForbiddenPort),
        (map(&[8_080]), rpc::MAPPER, 3, Refusal::OutsideRange),
        (tower(8), rpc::MAPPER, 3, Refusal::NoTcp),
        (broken, rpc::MAPPER, 3, Refusal::MalformedTower),
        (
            rpc::towers(false, false, &[], 0x16c9_a0d6),
            rpc::MAPPER,
            3,
            Refusal::NotRegistered,
        ),
        (
            rpc::towers(false, false, &[rpc::tower(7, 49_700, HOST)], 5),
            rpc::MAPPER,
            3,
            Refusal::CallFailed,
        ),
        (
            map(&[49_700])[..150 - 24].to_vec(),
            rpc::MAPPER,
            3,
            Refusal::Unread,
        ),
        (
            rpc::activated(false, &disagree, 0),
            rpc::ACTIVATOR,
            4,
            Refusal::BindingsDisagree,
        ),
        (
            rpc::activated(false, &[(7, "a[49700]")], 0x8007_0005),
            rpc::ACTIVATOR,
            4,
            Refusal::CallFailed,
        ),
        (
            rpc::activated(false, &[(7, "a")], 0),
            rpc::ACTIVATOR,
            4,
            Refusal::NoTcp,
        ),
    ] {
        refused(&stub, interface, operation, why);
    }
}

#[test]
fn an_encrypted_answer_and_a_fault_open_nothing() {
    for (world, link, serves, _) in sides() {
        let mut talk = Talk::new(&world, link, serves);
        talk.binds(rpc::MAPPER, rpc::NDR64);
        let stub = answer(false, &[49_700]);
        for (kind, trailer, flags) in [(2, Some((rpc::PRIVACY, 4)), 3), (3, None, 3), (2, None, 1)]
        {
            talk.asks(0, 3);
            let unit = Unit {
                trailer,
                flags,
                ..Unit::new(kind, 2)
            };
            talk.says(false, &rpc::response(unit, 0, &stub));
        }
        let why = [Refusal::Privacy, Refusal::Fault, Refusal::Unread].map(|why| (Err(why), 1));
        assert_eq!(outcomes(&world), why);
        // A signature does not matter.
        talk.asks(0, 3);
        let unit = Unit {
            trailer: Some((rpc::INTEGRITY, 4)),
            ..Unit::new(2, 2)
        };
        talk.says(false, &rpc::response(unit, 0, &stub));
        assert_eq!(world.state.openings.borrow().len(), 1);
    }
}

#[test]
fn an_answer_counts_only_for_the_question_that_it_answers() {
    let stub = answer(false, &[49_700]);
    let say = |talk: &mut Talk<'_>, call, context, ahead| {
        let data = rpc::response(Unit::new(2, call), context, &stub);
        talk.segment(false, &data, ahead);
    };
    for (world, link, serves, _) in sides() {
        let none = || world.state.openings.borrow().is_empty();
        let mut talk = Talk::new(&world, link, serves);
        // Nobody proposed a context; nobody asked.
        talk.calls(0, 3, &stub);
        assert!(none());
        talk.binds(rpc::MAPPER, rpc::NDR64);
        say(&mut talk, 2, 0, 0);
        // Another operation of the mapper: a list of all.
        talk.calls(0, 2, &stub);
        assert!(none());
        talk.asks(0, 3);
        // Another call, another context, another place in the stream.
        say(&mut talk, 3, 0, 0);
        say(&mut talk, 2, 1, 0);
        say(&mut talk, 2, 0, 1);
        say(&mut talk, 2, 0, 1 << 20);
        assert!(none());
        // Another connection.
        talk.port += 1;
        say(&mut talk, 2, 0, 0);
        talk.port -= 1;
        assert!(none());
        say(&mut talk, 2, 0, 0);
        assert_eq!(world.state.openings.borrow().len(), 1);
        // What a peer says on a connection that nobody has opened does not even pass.
        let unasked = if serves { 6 } else { 5 };
        let expected = [
            (Ok(How::Map), 1),
            (Err(Refusal::OutOfWindow), 2),
            (Err(Refusal::NoRequest), unasked),
        ];
        assert_eq!(outcomes(&world), expected);
    }
}

/// What no receiver takes is no part of the conversation.
#[test]
fn data_that_acknowledges_nothing_is_not_read() {
    for (world, link, serves, _) in sides() {
        let mut talk = Talk::new(&world, link, serves);
        talk.binds(rpc::MAPPER, rpc::NDR64);
        let asks = rpc::request(Unit::new(0, 2), 0, 3, &[0; 40]);
        let [mine, other] = talk.said;
        let packet = link.packet().tcp(talk.port, 135).flags(PSH);
        let packet = packet.sequence(mine).acknowledgement(other);
        let frame = packet.data(&*asks).build();
        match serves {
            true => world.arrives(&frame),
            false => world.leaves(&frame),
        };
        let answer = rpc::response(Unit::new(2, 2), 0, &answer(false, &[49_700]));
        talk.says(false, &answer);
        assert!(world.state.openings.borrow().is_empty());
    }
}

#[test]
fn a_segment_that_comes_again_opens_nothing_else() {
    for (world, link, serves, _) in sides() {
        let mut talk = Talk::new(&world, link, serves);
        talk.binds(rpc::MAPPER, rpc::NDR64);
        talk.asks(0, 3);
        for port in [49_700, 49_700, 49_701] {
            let data = rpc::response(Unit::new(2, 2), 0, &answer(false, &[port]));
            talk.segment(false, &data, 0);
        }
        let expected = [(Ok(How::Map), 1), (Err(Refusal::RetransmissionDiffers), 1)];
        assert_eq!(outcomes(&world), expected);
        assert_eq!(connects(&world, link, serves, 49_701), RpcNotNamed);
    }
}

#[test]
fn units_that_share_a_segment_are_read() {
    for (world, link, serves, passes) in sides() {
        let mut talk = Talk::new(&world, link, serves);
        // An authentication, which nobody answers, and a request behind it.
        talk.binds(rpc::MAPPER, rpc::NDR64);
        let third = Unit::new(16, 1).with(Unit::new(16, 1).out().raw(&[0; 20]));
        let asks = rpc::request(Unit::new(0, 2), 1, 3, &[0; 40]);
        talk.says(true, &[third, asks].concat());
        talk.says(
            false,
            &rpc::response(Unit::new(2, 2), 1, &answer(true, &[49_700])),
        );
        assert_eq!(connects(&world, link, serves, 49_700), passes);
    }
}

#[test]
fn an_address_in_an_answer_is_never_believed() {
    let world = server();
    let link = Link::new(Family::V4, PEER, PROTECTED);
    let mut talk = Talk::new(&world, link, true);
    talk.binds(rpc::MAPPER, rpc::NDR64);
    let tower = rpc::tower(7, 49_700, [10, STRANGER.0, 0, 1]);
    talk.calls(0, 3, &rpc::towers(false, false, &[tower], 0));
    let expected = [(Ok(How::Map), 1), (Err(Refusal::AnotherHost), 1)];
    assert_eq!(outcomes(&world), expected);
    assert_eq!(connects(&world, link, true, 49_700), Passes);
    let other = Link::new(Family::V4, PEER, STRANGER);
    assert_eq!(connects(&world, other, true, 49_700), RpcNotNamed);
}
