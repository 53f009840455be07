//! Random conversations, cut anywhere, in any order, repeated: who wrote them, the learner and
//! another reader all say that the same ports are opened.

use super::talk::{CLIENT, SERVER, Talk};
use super::{HOST, learn, reader};
use fastrand::Rng;
use sccm_tests::packet::rpc::{self as wire, Unit};
use std::collections::BTreeSet;
use std::net::IpAddr;

/// Conversations that are tried.
const ROUNDS: u64 = 1000;

#[test]
fn all_readers_learn_the_same() {
    let mut learned_at_all = 0;
    for seed in 0..ROUNDS {
        let mut rng = Rng::with_seed(seed);
        let (frames, expected) = conversation(&mut rng);
        let learned = learn(&frames);
        let learned = learned.openings.iter();
        let learned: BTreeSet<_> = learned
            .map(|opening| (opening.client, opening.server, opening.port))
            .collect();
        assert_eq!(learned, expected, "seed {seed}");
        assert_eq!(
            reader::opened(&frames),
            expected,
            "the other reader, seed {seed}"
        );
        learned_at_all += learned.len();
    }
    assert!(learned_at_all as u64 > ROUNDS, "{learned_at_all}");
}

#[test]
fn nothing_but_the_range_is_opened_whatever_is_damaged() {
    for seed in 0..ROUNDS {
        let mut rng = Rng::with_seed(seed);
        let (mut frames, _) = conversation(&mut rng);
        for _ in 0..rng.usize(1..8) {
            let place = rng.usize(..frames.len());
            let frame = &mut frames[place];
            let at = rng.usize(..frame.len());
            frame[at] = rng.u8(..);
        }
        let place = rng.usize(..frames.len());
        let length = rng.usize(..=frames[place].len());
        frames[place].truncate(length);
        for opening in learn(&frames).openings {
            assert!(opening.port >= 49152, "seed {seed}");
        }
    }
}

/// What each kind of question is asked on.
const CONTEXTS: [(u16, wire::Name<'_>); 4] = [
    (0, wire::MAPPER),
    (1, wire::ACTIVATOR),
    (2, wire::RESOLVER),
    (3, wire::LEGACY),
];

fn conversation(rng: &mut Rng) -> (Vec<Vec<u8>>, reader::Opened) {
    let (client, server) = match rng.bool() {
        true => ("192.0.2.10", "192.0.2.20"),
        false => ("2001:db8::a", "2001:db8::b"),
    };
    let ends: (IpAddr, IpAddr) = (client.parse().unwrap(), server.parse().unwrap());
    let mut talk = Talk::between(client, server);
    talk.is_big = rng.bool();
    let is_64 = rng.bool();
    let syntax = if is_64 { wire::NDR64 } else { wire::NDR32 };
    // Those of DCOM were never seen with 64 bits.
    let syntaxes = [syntax, wire::NDR32, syntax, wire::NDR32];
    let contexts = CONTEXTS.iter().zip(&syntaxes);
    let contexts = contexts
        .map(|((context, interface), syntax)| (*context, *interface, std::slice::from_ref(syntax)));
    let contexts: Vec<_> = contexts.collect();
    let asks = wire::proposal(talk.unit(11, 1), &contexts);
    flight(&mut talk, rng, CLIENT, &asks);
    let accepted = syntaxes.map(|syntax| (0, syntax));
    let answer = wire::agreement(talk.unit(12, 1), &accepted);
    flight(&mut talk, rng, SERVER, &answer);

    let mut expected = reader::Opened::new();
    let mut call = 1;
    for _ in 0..rng.usize(1..4) {
        let (mut asks, mut answers) = (Vec::new(), Vec::new());
        for _ in 0..rng.usize(1..4) {
            call += 1;
            let (question, answer, ports) = exchange(&talk, rng, call, is_64);
            asks.extend(question);
            answers.push(answer);
            expected.extend(ports.into_iter().map(|port| (ends.0, ends.1, port)));
        }
        rng.shuffle(&mut answers);
        flight(&mut talk, rng, CLIENT, &asks);
        flight(&mut talk, rng, SERVER, &answers.concat());
    }
    (talk.frames, expected)
}

/// A question, its answer, and the ports that it opens.
fn exchange(talk: &Talk, rng: &mut Rng, call: u32, is_64: bool) -> (Vec<u8>, Vec<u8>, Vec<u16>) {
    let port = rng.u16(49152..);
    let name = format!("cm01[{port}]");
    let texts = [(15, r"\\CM01[\PIPE\winmgmt]"), (7, name.as_str())];
    let is_big = talk.is_big;
    let towers = |towers: &[Vec<u8>], status| wire::towers(is_big, is_64, towers, status);
    let tower = |port| wire::tower(7, port, HOST);
    let (context, operation, stub, mut ports) = match rng.u8(..10) {
        0 => {
            let two = port ^ 1;
            (0, 3, towers(&[tower(port), tower(two)], 0), vec![port, two])
        }
        1 => (
            0,
            3,
            towers(&[wire::tower(8, port, HOST), tower(port)], 0),
            vec![port],
        ),
        2 => (0, 3, towers(&[], 0x16c9_a0d6), vec![]),
        3 => (0, 2, towers(&[tower(port)], 0), vec![]),
        4 => (
            1,
            rng.u16(3..5),
            wire::activated(is_big, &texts, 0),
            vec![port],
        ),
        5 => (2, 4, wire::resolved(4, is_big, is_64, &texts), vec![port]),
        6 => (3, 0, wire::legacy(is_big, &texts), vec![port]),
        7 => (9, 3, towers(&[tower(port)], 0), vec![]),
        8 => (0, 3, towers(&[tower(port & 0x3ff)], 0), vec![]),
        _ => (0, 3, towers(&[tower(port)], 0), vec![port]),
    };
    let flags = if rng.bool() { 0x83 } else { 3 };
    let unit = Unit {
        flags,
        ..talk.unit(0, call)
    };
    let question = wire::request(unit, context, operation, b"what?");
    let level = *rng
        .choice(&[0, wire::INTEGRITY, wire::INTEGRITY, wire::PRIVACY])
        .unwrap();
    if level == wire::PRIVACY {
        ports.clear();
    }
    let padding = rng.u8(..16);
    let trailer = (level > 0).then_some((level, padding));
    let kind = if rng.u8(..16) == 0 { 3 } else { 2 };
    if kind == 3 {
        ports.clear();
    }
    let mut answer = Vec::new();
    let cuts = if kind == 3 { 0 } else { rng.usize(..4) };
    let mut cuts: Vec<usize> = (0..cuts).map(|_| rng.usize(..=stub.len())).collect();
    cuts.sort_unstable();
    cuts.insert(0, 0);
    cuts.push(stub.len());
    for (place, part) in cuts.windows(2).enumerate() {
        let first = u8::from(place == 0);
        let last = 2 * u8::from(place + 2 == cuts.len());
        let unit = Unit {
            flags: first | last,
            trailer,
            ..talk.unit(kind, call)
        };
        answer.extend(wire::response(unit, context, &stub[part[0]..part[1]]));
    }
    (question, answer, ports)
}

/// An end sends bytes: cut anywhere, in any order, some more than once.
fn flight(talk: &mut Talk, rng: &mut Rng, end: usize, bytes: &[u8]) {
    let begin = talk.sent[end];
    let mut segments = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        let longest = *rng.choice(&[1, 7, 100, 1400]).unwrap();
        let until = (at + rng.usize(1..=longest)).min(bytes.len());
        segments.push(talk.segment(end, begin + at as u32, &bytes[at..until]));
        at = until;
    }
    for _ in 0..rng.usize(..3) {
        let from = rng.usize(..bytes.len());
        let until = rng.usize(from..bytes.len()) + 1;
        let until = until.min(from + 1400);
        segments.push(talk.segment(end, begin + from as u32, &bytes[from..until]));
    }
    if rng.bool() {
        rng.shuffle(&mut segments);
    }
    talk.frames.extend(segments);
    talk.sent[end] += bytes.len() as u32;
    // The other end says that it has all, and something else is sent once more.
    let done = talk.segment(1 - end, talk.sent[1 - end], b"");
    talk.frames.push(done);
    let length = bytes.len().min(200);
    if length > 1 && rng.u8(..4) == 0 {
        let mut other = bytes[..length].to_vec();
        let place = rng.usize(..length);
        other[place] ^= 0x41;
        talk.frames.push(talk.segment(end, begin, &other));
    }
}
