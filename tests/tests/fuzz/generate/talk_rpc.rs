//! Clients that ask an endpoint mapper, and connect to what it hands out: most of them as they should.

use fastrand::Rng;
use sccm_packets::rpc::{
    self, ACTIVATOR, Context, INTEGRITY, LEGACY, MAPPER, NDR32, NDR64, Name, PRIVACY, RESOLVER,
    Unit,
};

use super::frame::{ACK, FIN, RST, SYN};
use super::places::{Ends, Places};
use super::talk::{Said, Streams};

/// Of the range of most policies, and of that of some, with services of their own among them.
const HIGH: [u16; 9] = [
    49_152, 49_200, 49_201, 50_001, 50_002, 50_003, 60_000, 65_535, 49_250,
];
const LOW: [u16; 9] = [
    1_024, 1_025, 1_433, 2_701, 3_000, 3_001, 3_389, 5_000, 1_723,
];
const ELSEWHERE: [u16; 8] = [0, 80, 135, 445, 5_985, 6_000, 40_000, 49_151];

/// What is wrong with a call or its answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Flaw {
    None,
    OtherCall,
    OtherContext,
    OtherPlace,
    Unasked,
    AgainTheSame,
    AgainAnother,
    SplitQuestion,
    SplitAnswer,
    Fragment,
    Signed,
    Private,
    Fault,
    BigEndian,
    Broken,
    Failed,
    Object,
    Late,
}

const FLAWS: [Flaw; 17] = [
    Flaw::OtherCall,
    Flaw::OtherContext,
    Flaw::OtherPlace,
    Flaw::Unasked,
    Flaw::AgainTheSame,
    Flaw::AgainAnother,
    Flaw::SplitQuestion,
    Flaw::SplitAnswer,
    Flaw::Fragment,
    Flaw::Signed,
    Flaw::Private,
    Flaw::Fault,
    Flaw::BigEndian,
    Flaw::Broken,
    Flaw::Failed,
    Flaw::Object,
    Flaw::Late,
];

/// What is asked.
#[derive(Debug, Clone, Copy)]
struct Question {
    interface: Name<'static>,
    context: u16,
    operation: u16,
    is_64: bool,
}

/// A connection to a mapper, and those to the ports that it names.
pub fn conversation(random: &mut Rng, places: &Places, ends: &Ends, outward: bool) -> Vec<Said> {
    let mapper = Ends {
        server: 135,
        ..*ends
    };
    let mut streams = Streams::new(random, &mapper, outward);
    streams.open();
    let mut question = ask(random);
    propose(random, &mut streams, question);
    let mut ports = Vec::new();
    for _ in 0..random.usize(1..4) {
        let handed = some_ports(random, places.has_low_range);
        exchange(random, &mut streams, question, &handed);
        ports.extend(handed);
        if random.u8(..4) == 0 {
            question = ask(random);
            propose(random, &mut streams, question);
        }
    }
    let mut talk = streams.talk;
    for _ in 0..random.usize(1..6) {
        let port = match random.u8(..6) {
            0 => some_ports(random, places.has_low_range)[0],
            _ => ports[random.usize(..ports.len())],
        };
        let who = match random.u8(..8) {
            0 => places.others(random, ends),
            _ => *ends,
        };
        talk.extend(connect(
            random,
            &Ends {
                server: port,
                ..who
            },
            outward,
        ));
    }
    talk
}

/// Somebody who connects without asking.
pub fn stranger(random: &mut Rng, places: &Places, ends: &Ends, outward: bool) -> Vec<Said> {
    let server = some_ports(random, places.has_low_range)[0];
    connect(random, &Ends { server, ..*ends }, outward)
}

fn ask(random: &mut Rng) -> Question {
    let (interface, operation) = match random.u8(..12) {
        0 => (ACTIVATOR, 3),
        1 => (ACTIVATOR, 4),
        2 => (LEGACY, 0),
        3 => (RESOLVER, 0),
        4 => (RESOLVER, 4),
        5 => (
            [MAPPER, ACTIVATOR, RESOLVER][random.usize(..3)],
            random.u16(..6),
        ),
        _ => (MAPPER, 3),
    };
    let is_64 = interface == MAPPER && random.bool();
    // A context of its own for each, so that most proposals do not contradict earlier ones.
    let services = [MAPPER, ACTIVATOR, LEGACY, RESOLVER];
    let place = services.iter().position(|one| *one == interface);
    let context = match random.u8(..16) {
        0 => random.u16(..8),
        _ => 2 * place.unwrap_or_default() as u16 + u16::from(is_64),
    };
    Question {
        interface,
        context,
        operation,
        is_64,
    }
}

/// One to four ports, sometimes more, mostly of the range.
fn some_ports(random: &mut Rng, is_low: bool) -> Vec<u16> {
    let count = match random.u8(..8) {
        0 => random.usize(2..=5),
        1 => 2,
        _ => 1,
    };
    let range = if is_low { LOW } else { HIGH };
    (0..count)
        .map(|_| match random.u8(..10) {
            0 => ELSEWHERE[random.usize(..ELSEWHERE.len())],
            1 => [LOW, HIGH][random.usize(..2)][random.usize(..9)],
            // Few of them, so that they are handed out again.
            _ => range[random.usize(3..7)],
        })
        .collect()
}

/// A bind, or an alter context, with its answer.
fn propose(random: &mut Rng, streams: &mut Streams<'_>, question: Question) {
    let other = ("4b324fc8-1670-01d3-1278-5a47bf6ee188", 3);
    let (uuid, version) = question.interface;
    let version = match random.u8(..24) {
        0 => version + 1,
        _ => version,
    };
    let both: [Name<'_>; 3] = [NDR32, NDR64, rpc::FEATURES];
    let count = random.usize(1..=both.len());
    let own: Context<'_> = (question.context, (uuid, version), &both[..count]);
    let mut contexts: Vec<Context<'_>> = Vec::new();
    // Before it, and behind it; of more than eight, only so many are read.
    let before = match random.u8(..8) {
        0 => random.usize(5..10),
        1 | 2 => 1,
        _ => 0,
    };
    for number in 0..before {
        contexts.push((20 + number as u16, other, &both[..1]));
    }
    contexts.push(own);
    if random.bool() {
        contexts.push((21, other, &both[1..]));
    }
    let (asks, answers) = if random.u8(..4) == 0 {
        (14, 15)
    } else {
        (11, 12)
    };
    let mut unit = Unit::new(asks, random.u32(..3));
    unit.trailer = random.choice([None, None, Some((INTEGRITY, 4))]).flatten();
    let data = rpc::proposal(unit, &contexts);
    if random.u8(..16) == 0 {
        let at = random.usize(1..data.len());
        streams.say(true, ACK, &data[..at]);
        streams.say(true, ACK, &data[at..]);
    } else {
        streams.say(true, ACK, &data);
    }
    let results = vec![(0, NDR32); contexts.len()];
    let agreed = rpc::agreement(Unit::new(answers, unit.call), &results);
    streams.say(false, ACK, &agreed);
}

/// A call and its answer, which may be wrong.
fn exchange(random: &mut Rng, streams: &mut Streams<'_>, question: Question, ports: &[u16]) {
    let flaw = match random.bool() {
        true => Flaw::None,
        false => FLAWS[random.usize(..FLAWS.len())],
    };
    let number = match random.u8(..4) {
        0 => random.u32(..),
        _ => random.u32(2..6),
    };
    let is_big = flaw == Flaw::BigEndian;
    let mut asks = Unit::new(0, number);
    asks.is_big = is_big && random.bool();
    if flaw == Flaw::Object {
        asks.flags |= 0x80;
    }
    if random.u8(..16) == 0 {
        asks.flags = random.u8(..4);
    }
    if matches!(flaw, Flaw::Signed | Flaw::Private) {
        asks.trailer = Some((INTEGRITY, random.u8(..8)));
    }
    let size = match random.u8(..8) {
        0 => random.usize(..40),
        1 => random.usize(40..2_200),
        _ => 40,
    };
    let call = rpc::request(asks, question.context, question.operation, &vec![0; size]);
    let call = among_others(random, call, question);
    let place = streams.next[1];
    match flaw {
        Flaw::Unasked => {}
        Flaw::SplitQuestion => {
            let at = random.usize(1..call.len());
            streams.say(true, ACK, &call[..at]);
            streams.say(true, ACK, &call[at..]);
        }
        _ => streams.say(true, ACK, &call),
    }
    let stub = stub(random, question, ports, flaw);
    let answered = |random: &mut Rng, stub: &[u8]| {
        let mut unit = Unit::new(if flaw == Flaw::Fault { 3 } else { 2 }, number);
        unit.is_big = is_big;
        let mut context = question.context;
        match flaw {
            Flaw::OtherCall => unit.call ^= 1 << random.u8(..32),
            Flaw::OtherContext => context ^= 1 << random.u8(..16),
            Flaw::Fragment => unit.flags = random.u8(..3),
            Flaw::Signed => unit.trailer = Some((INTEGRITY, random.u8(..8))),
            Flaw::Private => unit.trailer = Some((PRIVACY, random.u8(..8))),
            _ => {}
        }
        rpc::response(unit, context, stub)
    };
    let answer = answered(random, &stub);
    match flaw {
        Flaw::OtherPlace => {
            let off = [1, 0u32.wrapping_sub(1), 1 << 20][random.usize(..3)];
            streams.say_ahead(false, ACK, &answer, (off, 0));
        }
        Flaw::SplitAnswer => {
            let at = random.usize(1..answer.len());
            streams.say(false, ACK, &answer[..at]);
            streams.say(false, ACK, &answer[at..]);
        }
        Flaw::AgainTheSame | Flaw::AgainAnother => {
            streams.say(false, ACK, &answer);
            let again = match flaw {
                Flaw::AgainTheSame => answer,
                _ => {
                    let others: Vec<u16> = ports.iter().map(|port| port ^ 1).collect();
                    let stub = self::stub(random, question, &others, flaw);
                    answered(random, &stub)
                }
            };
            let next = streams.next[1];
            if random.bool() {
                streams.say(true, ACK, &call);
            }
            streams.next[1] = place;
            streams.say(false, ACK, &again);
            streams.next[1] = next;
        }
        Flaw::Late => {
            streams.say(false, ACK, &[]);
            streams.say(true, ACK, &[]);
            streams.say(false, ACK, &answer);
        }
        _ => {
            let answer = match random.u8(..16) {
                0 => [rpc::agreement(Unit::new(15, 1), &[(0, NDR32)]), answer].concat(),
                1 => [answer.clone(), answer].concat(),
                _ => answer,
            };
            streams.say(false, ACK, &answer);
        }
    }
}

/// The call, sometimes behind or before other units of its segment.
fn among_others(random: &mut Rng, call: Vec<u8>, question: Question) -> Vec<u8> {
    let third = Unit::new(16, 1);
    let third = third.with(third.out().raw(&[0; 20]));
    let more = rpc::request(Unit::new(0, 9), question.context, 3, &[0; 8]);
    match random.u8(..24) {
        0 => [third, call].concat(),
        1 => [call, more].concat(),
        2 => [third.clone(), third, call].concat(),
        3 => [third.clone(), third.clone(), third, call].concat(),
        4 => [more, call].concat(),
        _ => call,
    }
}

/// What an answer says.
fn stub(random: &mut Rng, question: Question, ports: &[u16], flaw: Flaw) -> Vec<u8> {
    let is_big = flaw == Flaw::BigEndian;
    let status = match (flaw, random.bool()) {
        (Flaw::Failed, true) => 0x16c9_a0d6,
        (Flaw::Failed, false) => 5,
        _ => 0,
    };
    let mut stub = match (question.interface, question.operation) {
        (MAPPER, _) => {
            let tower = |port: &u16| {
                let protocol = match flaw {
                    Flaw::Broken => [7, 8, 0x1f][random.usize(..3)],
                    _ => 7,
                };
                rpc::tower(protocol, *port, [10, 1, 2, 3])
            };
            let towers: Vec<Vec<u8>> = ports.iter().map(tower).collect();
            rpc::towers(is_big, question.is_64, &towers, status)
        }
        (interface, operation) => {
            let one = ports[0];
            let other = match random.u8(..6) {
                0 => one ^ 1,
                _ => one,
            };
            let pipe = "\\\\CM01\\PIPE\\atsvc".to_owned();
            let (name, address) = (format!("CM01[{one}]"), format!("10.1.2.3[{other}]"));
            let without = match random.u8(..8) {
                0 => "CM01[]",
                1 => "CM01]",
                2 => "CM01[70000]",
                _ => "CM01",
            };
            let mut texts: Vec<(u16, &str)> = vec![(7, &name), (7, &address)];
            if random.bool() {
                texts.insert(0, (15, &pipe));
            }
            if random.u8(..4) == 0 {
                texts.push((7, without));
            }
            match interface {
                ACTIVATOR => rpc::activated(is_big, &texts, status),
                LEGACY => rpc::legacy(is_big, &texts),
                _ => rpc::resolved(operation, is_big, false, &texts),
            }
        }
    };
    if flaw == Flaw::Broken && random.bool() {
        let at = random.usize(..stub.len());
        match random.u8(..4) {
            0 => stub.truncate(at),
            1 => stub[at] ^= 1 << random.u8(..8),
            2 => stub.extend([0; 4]),
            _ => stub[at] = random.u8(..),
        }
    }
    stub
}

/// A connection to a port, whoever named it.
fn connect(random: &mut Rng, ends: &Ends, outward: bool) -> Vec<Said> {
    let client = match random.u8(..8) {
        0 => 50_000 + random.u16(..5),
        _ => 40_000 + random.u16(..4),
    };
    let ends = Ends { client, ..*ends };
    let mut streams = Streams::new(random, &ends, outward);
    streams.open();
    for _ in 0..random.usize(..5) {
        let size = if random.bool() { 0 } else { 9 };
        streams.say(random.bool(), ACK, &[5; 9][..size]);
    }
    match random.u8(..4) {
        0 => streams.say(random.bool(), FIN | ACK, &[]),
        1 => streams.say(random.bool(), RST, &[]),
        2 => streams.say(random.bool(), SYN, &[]),
        _ => {}
    }
    streams.talk
}
