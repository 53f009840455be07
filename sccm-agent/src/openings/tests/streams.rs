//! Answers in fragments and segments, cut anywhere, in any order, or not whole.

use super::super::{Bounds, Learner, connections};
use super::talk::{CLIENT, SERVER, Talk};
use super::{learn, map, ports, reasons, refuses};
use sccm_common::rpc::Refusal;
use sccm_tests::packet::rpc::{self as wire, Unit};
use sccm_tests::packet::{Packet, tcp_flag};

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
