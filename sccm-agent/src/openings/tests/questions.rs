//! An answer needs its question, and the context in which that was asked.

use super::super::Learned;
use super::talk::{CLIENT, SERVER, Talk};
use super::{HOST, NONE, learn, map, ports, reasons, refuses};
use sccm_common::rpc::Refusal;
use sccm_tests::packet::rpc::{self as wire, Unit};

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
