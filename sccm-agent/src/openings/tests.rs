//! What opens a port, what does not, and why.

mod random;
mod reader;
mod talk;

use super::{Bounds, Learned, Learner, Way, connections};
use sccm_common::rpc::Refusal;
use sccm_tests::packet::rpc::{self as wire, PRIVACY, Unit};
use sccm_tests::packet::{Packet, tcp_flag};
use talk::{CLIENT, SERVER, Talk};

const HOST: [u8; 4] = [192, 0, 2, 20];

const NONE: [u16; 0] = [];

fn learn(frames: &[Vec<u8>]) -> Learned {
    let mut learner = Learner::new(Bounds {
        ranges: vec![(49152, 65535)],
        known: vec![(50123, 50123)],
    });
    for (number, frame) in frames.iter().enumerate() {
        learner.see(number as u64 + 1, frame);
    }
    learner.finish()
}

fn ports(learned: &Learned) -> Vec<u16> {
    learned
        .openings
        .iter()
        .map(|opening| opening.port)
        .collect()
}

fn reasons(learned: &Learned) -> Vec<(Option<u16>, Refusal)> {
    let refused = learned.refused.iter();
    refused.map(|one| (one.port, one.reason)).collect()
}

/// An answer of `ept_map` that names this port.
fn map(port: u16) -> Vec<u8> {
    wire::towers(false, false, &[wire::tower(7, port, HOST)], 0)
}

/// What is learned of one answer of `ept_map`.
fn of_map(stub: &[u8]) -> Learned {
    let mut talk = Talk::bound();
    talk.call(2, 0, 3, stub);
    learn(&talk.frames)
}

#[track_caller]
fn refuses(learned: &Learned, reason: Refusal) {
    assert_eq!(ports(learned), NONE, "{learned:?}");
    assert_eq!(reasons(learned), [(None, reason)]);
}

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
fn an_answer_needs_its_question() {
    let mut talk = Talk::bound();
    let answer = wire::response(Unit::new(2, 9), 0, &map(49700));
    talk.say(SERVER, &answer);
    refuses(&learn(&talk.frames), Refusal::NoRequest);
    // The second answer to one question.
    let mut talk = Talk::bound();
    talk.call(2, 0, 3, &map(49700));
    let again = wire::response(Unit::new(2, 2), 0, &map(49800));
    talk.say(SERVER, &again);
    let learned = learn(&talk.frames);
    assert_eq!(ports(&learned), [49700]);
    assert_eq!(reasons(&learned), [(None, Refusal::NoRequest)]);
    // Another operation has such an answer, too.
    let mut talk = Talk::bound();
    talk.call(2, 0, 4, &map(49700));
    assert_eq!(learn(&talk.frames), Learned::default());
}

#[test]
fn a_list_of_all_endpoints_is_not_learned() {
    let mut talk = Talk::bound();
    talk.call(2, 0, 2, &map(49700));
    refuses(&learn(&talk.frames), Refusal::Lookup);
}

#[test]
fn a_context_counts_when_the_server_has_accepted_it() {
    let unit = |kind| Unit::new(kind, 1);
    let begin = || Talk::between("192.0.2.10", "192.0.2.20");
    // Never proposed; proposed and rejected; proposed and refused as a whole.
    let mut talk = begin();
    talk.bind(0, wire::MAPPER, wire::NDR32);
    talk.call(2, 7, 3, &map(49700));
    refuses(&learn(&talk.frames), Refusal::UnknownContext);

    let proposal = wire::proposal(
        unit(11),
        &[
            (0, wire::MAPPER, &[wire::NDR32]),
            (1, wire::MAPPER, &[wire::NDR64]),
        ],
    );
    let mut talk = begin();
    talk.say(CLIENT, &proposal);
    let answer = wire::agreement(
        unit(12),
        &[
            (2, ("00000000-0000-0000-0000-000000000000", 0)),
            (0, wire::NDR64),
        ],
    );
    talk.say(SERVER, &answer);
    talk.call(2, 0, 3, &map(49700));
    refuses(&learn(&talk.frames), Refusal::UnknownContext);
    let as_64 = wire::towers(false, true, &[wire::tower(7, 49701, HOST)], 0);
    talk.call(3, 1, 3, &as_64);
    assert_eq!(ports(&learn(&talk.frames)), [49701]);

    let mut talk = begin();
    talk.say(CLIENT, &proposal);
    talk.say(SERVER, &unit(13).with(unit(13).out().u16(4)));
    talk.call(2, 0, 3, &map(49700));
    let learned = learn(&talk.frames);
    assert_eq!(ports(&learned), NONE);
    let expected = [
        (None, Refusal::BindRefused),
        (None, Refusal::UnknownContext),
    ];
    assert_eq!(reasons(&learned), expected);
    // The version of an interface is part of its name.
    let mut talk = begin();
    talk.bind(0, (wire::MAPPER.0, 4), wire::NDR32);
    talk.call(2, 0, 3, &map(49700));
    assert_eq!(learn(&talk.frames), Learned::default());
    // An answer in another context than the question.
    let mut talk = Talk::bound();
    talk.say(CLIENT, &wire::request(Unit::new(0, 2), 0, 3, b""));
    talk.say(SERVER, &wire::response(Unit::new(2, 2), 1, &map(49700)));
    refuses(&learn(&talk.frames), Refusal::ContextDiffers);
}

#[test]
fn a_context_may_be_added_later() {
    let mut talk = Talk::between("192.0.2.10", "192.0.2.20");
    talk.bind(0, wire::RESOLVER, wire::NDR32);
    let unit = |kind| Unit::new(kind, 5);
    let more = wire::proposal(
        unit(14),
        &[
            (1, wire::MAPPER, &[wire::NDR32]),
            (2, wire::MAPPER, &[wire::FEATURES]),
        ],
    );
    talk.say(CLIENT, &more);
    talk.say(
        SERVER,
        &wire::agreement(unit(15), &[(0, wire::NDR32), (3, wire::FEATURES)]),
    );
    talk.call(6, 1, 3, &map(49700));
    assert_eq!(ports(&learn(&talk.frames)), [49700]);
}

#[test]
fn the_mapper_is_followed_however_many_interfaces_are_tried() {
    let mut talk = Talk::between("192.0.2.10", "192.0.2.20");
    for context in 0..100 {
        let other = "11111111-1111-1111-1111-111111111111";
        talk.bind(context, (other, 1), wire::NDR32);
    }
    talk.bind(100, wire::MAPPER, wire::NDR32);
    talk.call(2, 100, 3, &map(49700));
    let learned = learn(&talk.frames);
    assert_eq!((ports(&learned), reasons(&learned)), (vec![49700], vec![]));
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

#[test]
fn fragments_of_an_answer_are_put_together() {
    let stub = map(49700);
    let mut talk = Talk::bound();
    // A question for an object.
    let object = Unit {
        flags: 0x83,
        ..Unit::new(0, 2)
    };
    talk.say(CLIENT, &wire::request(object, 0, 3, b"what?"));
    for (flags, part) in [(1, &stub[..50]), (0, &stub[50..51]), (2, &stub[51..])] {
        let unit = Unit {
            flags,
            ..Unit::new(2, 2)
        };
        talk.say(SERVER, &wire::response(unit, 0, part));
    }
    let learned = learn(&talk.frames);
    assert_eq!((ports(&learned), reasons(&learned)), (vec![49700], vec![]));
    // One that begins in its middle is none.
    let mut talk = Talk::bound();
    talk.say(CLIENT, &wire::request(Unit::new(0, 2), 0, 3, b""));
    let last = Unit {
        flags: 2,
        ..Unit::new(2, 2)
    };
    talk.say(SERVER, &wire::response(last, 0, &stub));
    refuses(&learn(&talk.frames), Refusal::MalformedAnswer);
    // One without an end.
    let mut talk = Talk::bound();
    talk.say(CLIENT, &wire::request(Unit::new(0, 2), 0, 3, b""));
    for place in 0..40 {
        let flags = u8::from(place == 0);
        let unit = Unit {
            flags,
            ..Unit::new(2, 2)
        };
        talk.say(SERVER, &wire::response(unit, 0, &[0; 2000]));
        talk.frames
            .push(talk.segment(CLIENT, talk.sent[CLIENT], b""));
    }
    refuses(&learn(&talk.frames), Refusal::BeyondBounds);
}

#[test]
fn units_may_share_a_segment() {
    let unit = |kind| Unit::new(kind, 1);
    let mut talk = Talk::between("192.0.2.10", "192.0.2.20");
    let asks = [
        wire::proposal(unit(11), &[(0, wire::MAPPER, &[wire::NDR32])]),
        wire::request(Unit::new(0, 2), 0, 3, b""),
        wire::request(Unit::new(0, 3), 0, 3, b""),
    ];
    talk.say(CLIENT, &asks.concat());
    let answers = [
        wire::agreement(unit(12), &[(0, wire::NDR32)]),
        wire::response(Unit::new(2, 3), 0, &map(49703)),
        wire::response(Unit::new(2, 2), 0, &map(49702)),
    ];
    talk.say(SERVER, &answers.concat());
    let learned = learn(&talk.frames);
    assert_eq!(
        (ports(&learned), reasons(&learned)),
        (vec![49703, 49702], vec![])
    );
}

/// A talk up to the question, and the answer that is to come.
fn asked(port: u16) -> (Talk, Vec<u8>) {
    let mut talk = Talk::bound();
    talk.say(CLIENT, &wire::request(Unit::new(0, 2), 0, 3, b""));
    (talk, wire::response(Unit::new(2, 2), 0, &map(port)))
}

#[test]
fn an_answer_is_read_wherever_it_is_cut_and_in_whichever_order_it_comes() {
    for cut in 1..152 {
        for is_reversed in [false, true] {
            let (mut talk, answer) = asked(49700);
            let at = talk.sent[SERVER];
            let (one, two) = answer.split_at(cut);
            let mut parts = [
                talk.segment(SERVER, at, one),
                talk.segment(SERVER, at + cut as u32, two),
            ];
            if is_reversed {
                parts.reverse();
            }
            talk.frames.extend(parts);
            let learned = learn(&talk.frames);
            assert_eq!(
                (ports(&learned), reasons(&learned)),
                (vec![49700], vec![]),
                "{cut}"
            );
            assert_eq!(learned.openings[0].frame, talk.frames.len() as u64);
        }
    }
}

#[test]
fn the_first_copy_of_a_byte_counts() {
    let (mut talk, answer) = asked(49700);
    let at = talk.sent[SERVER];
    let (_, other) = asked(49800);
    talk.say(SERVER, &answer);
    talk.frames.push(talk.segment(SERVER, at, &answer));
    assert_eq!(reasons(&learn(&talk.frames)), [], "the same again");
    talk.frames.push(talk.segment(SERVER, at, &other));
    let learned = learn(&talk.frames);
    assert_eq!(ports(&learned), [49700]);
    assert_eq!(reasons(&learned), [(None, Refusal::RetransmissionDiffers)]);
    // Also while the first copy waits for bytes before it.
    let (mut talk, answer) = asked(49700);
    let at = talk.sent[SERVER];
    talk.frames
        .push(talk.segment(SERVER, at + 100, &answer[100..]));
    talk.frames.push(talk.segment(SERVER, at, &other));
    talk.frames.push(talk.segment(SERVER, at, &answer));
    let learned = learn(&talk.frames);
    assert_eq!(ports(&learned), [49700]);
    assert_eq!(reasons(&learned), [(None, Refusal::RetransmissionDiffers)]);
}

#[test]
fn what_lies_outside_the_window_is_ignored() {
    let (mut talk, answer) = asked(49700);
    let at = talk.sent[SERVER];
    for far in [70_000, 1 << 30, 1 << 31, u32::MAX - 100_000] {
        let forged = talk.segment(SERVER, at.wrapping_add(far), &answer);
        let frames = [talk.frames.clone(), vec![forged]].concat();
        refuses(&learn(&frames), Refusal::OutOfWindow);
    }
    // The window is smaller than what may wait.
    let small = |frame: &mut Vec<u8>| {
        frame[48..50].copy_from_slice(&1000_u16.to_be_bytes());
    };
    let (mut narrow, answer) = asked(49700);
    narrow.frames.iter_mut().for_each(small);
    let beyond = narrow.segment(SERVER, at + 2000, &answer);
    narrow.frames.push(beyond);
    refuses(&learn(&narrow.frames), Refusal::OutOfWindow);
    // It acknowledges what was never sent.
    let (mut forger, other) = asked(49800);
    forger.sent[CLIENT] += 1 << 20;
    talk.frames.push(forger.segment(SERVER, at, &other));
    talk.say(SERVER, &answer);
    let learned = learn(&talk.frames);
    assert_eq!(ports(&learned), [49700]);
    assert_eq!(reasons(&learned), [(None, Refusal::OutOfWindow)]);
}

#[test]
fn after_a_gap_nothing_is_learned() {
    // The client has bytes of the server that were never seen.
    let (mut talk, answer) = asked(49700);
    talk.sent[SERVER] += 50;
    talk.frames
        .push(talk.segment(CLIENT, talk.sent[CLIENT], b""));
    talk.say(SERVER, &answer);
    refuses(&learn(&talk.frames), Refusal::Gap);
    // They come late, when nobody knows what the client has.
    let (mut talk, answer) = asked(49700);
    let at = talk.sent[SERVER];
    talk.frames
        .push(talk.segment(SERVER, at + 50, &answer[50..]));
    talk.sent[SERVER] += answer.len() as u32;
    talk.frames
        .push(talk.segment(CLIENT, talk.sent[CLIENT], b""));
    talk.frames.push(talk.segment(SERVER, at, &answer[..50]));
    refuses(&learn(&talk.frames), Refusal::Gap);
    // A frame of which the file has the beginning only.
    let (mut talk, answer) = asked(49700);
    talk.say(SERVER, &answer);
    talk.frames.last_mut().unwrap().truncate(150);
    talk.call(3, 0, 3, &map(49701));
    refuses(&learn(&talk.frames), Refusal::Gap);
}

#[test]
fn a_connection_must_be_open() {
    // The server has not answered the SYN.
    let (talk, answer) = asked(49700);
    let frames = |without: usize| {
        let mut frames = talk.frames.clone();
        frames.push(talk.segment(SERVER, talk.sent[SERVER], &answer));
        frames.remove(without);
        frames
    };
    refuses(&learn(&frames(1)), Refusal::NotEstablished);
    // The client has not answered the server's.
    let mut early = Talk::between("192.0.2.10", "192.0.2.20");
    early.frames.truncate(2);
    early.say(SERVER, &answer);
    refuses(&learn(&early.frames), Refusal::NotEstablished);
    // The file begins after the SYN, and before the bind.
    let later = frames(0)[2..].to_vec();
    assert_eq!(ports(&learn(&later)), [49700]);
    // It begins after the bind.
    refuses(&learn(&later[2..]), Refusal::NotEstablished);
    // After a reset nothing comes.
    let (mut talk, answer) = asked(49700);
    let reset = Packet::ip(&talk.client, &talk.server).tcp(50000, 135);
    let number = 0xffff_ff01_u32.wrapping_add(talk.sent[CLIENT]);
    talk.frames
        .push(reset.sequence(number).flags(tcp_flag::RST).build());
    talk.say(SERVER, &answer);
    refuses(&learn(&talk.frames), Refusal::NotEstablished);
}

#[test]
fn what_is_no_unit_ends_the_learning() {
    let mut talk = Talk::bound();
    talk.say(SERVER, b"GET / HTTP/1.1");
    talk.call(2, 0, 3, &map(49700));
    refuses(&learn(&talk.frames), Refusal::MalformedPdu);
    // A new connection between the same ports is another one.
    let mut frames = talk.frames;
    let mut again = Talk::bound();
    again.call(2, 0, 3, &map(49700));
    for frame in &mut again.frames {
        // Other numbers than before: the checksum is nobody's business here.
        let is_answer = frame[34..36] == [0, 135];
        let at = if is_answer { 42 } else { 38 };
        frame[at] = 0x33;
    }
    frames.extend(again.frames);
    assert_eq!(ports(&learn(&frames)), [49700]);
}

/// Whoever is on a connection decides what is kept of it.
#[test]
fn what_is_never_finished_takes_bounded_memory() {
    let mut learner = Learner::new(Bounds::default());
    let mut see = |frames: &mut Vec<Vec<u8>>| {
        for frame in frames.drain(..) {
            learner.see(1, &frame);
        }
        learner.connections.held()
    };
    // Answers of which the first fragment comes, and no other.
    let mut talk = Talk::bound();
    for call in 2..2_000 {
        let asks = wire::request(Unit::new(0, call), 0, 3, b"what?");
        talk.say(CLIENT, &asks);
        let unit = Unit {
            flags: 1,
            ..Unit::new(2, call)
        };
        talk.say(SERVER, &wire::response(unit, 0, &[0; 4_000]));
        let held = see(&mut talk.frames);
        assert!(held < 1 << 20, "{call}: {held}");
    }
    // Connections of which the first byte never comes.
    for number in 0..2_000 {
        let (high, low) = (number / 250, number % 250);
        let mut talk = Talk::between(&format!("10.0.{high}.{low}"), "192.0.2.20");
        for piece in 0..40 {
            let bytes = talk.segment(CLIENT, 10 + 1_401 * piece, &[0; 1_400]);
            talk.frames.push(bytes);
        }
        assert!(see(&mut talk.frames) <= connections::MOST_HELD);
    }
    // The last of them are still followed.
    let (mut talk, answer) = asked(49_700);
    talk.say(SERVER, &answer);
    see(&mut talk.frames);
    assert!(learner.connections.held() > connections::MOST_HELD / 4);
}

#[test]
fn the_document_names_every_reason() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/rpc.md");
    let document = std::fs::read_to_string(path).unwrap();
    for reason in Refusal::ALL {
        let row = format!("| `{}` | {} |", reason.label(), reason.text());
        assert!(document.contains(&row), "docs/rpc.md lacks: {row}");
    }
}
