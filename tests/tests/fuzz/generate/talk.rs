//! Conversations that flows are made of.

use fastrand::Rng;

use super::frame::{self, ACK, FIN, Ip, RST, SYN};
use super::places::{Ends, Places};
use super::{link, talk_more, talk_rpc};

/// A frame, and whether it goes away from the protected system.
#[derive(Debug, Clone)]
pub struct Said {
    pub outward: bool,
    pub frame: Vec<u8>,
}

const ICMP: u8 = 1;
const TCP: u8 = 6;
const UDP: u8 = 17;
const GRE: u8 = 47;
const ICMPV6: u8 = 58;

impl Ends {
    /// An IP header one way or the other.
    pub fn ip(&self, outward: bool, protocol: u8) -> Ip {
        match outward {
            true => Ip::new(self.inside, self.outside, protocol),
            false => Ip::new(self.outside, self.inside, protocol),
        }
    }

    pub fn is_v4(&self) -> bool {
        self.inside.is_ipv4()
    }

    /// The number of ICMP for this family.
    pub fn icmp(&self) -> u8 {
        if self.is_v4() { ICMP } else { ICMPV6 }
    }

    pub fn said(&self, outward: bool, protocol: u8, payload: &[u8]) -> Said {
        let frame = self.ip(outward, protocol).frame(payload);
        Said { outward, frame }
    }

    pub fn udp(&self, outward: bool, ports: (u16, u16), data: &[u8]) -> Said {
        self.said(outward, UDP, &frame::udp(ports, data))
    }
}

/// Some conversation. `seen` are frames that went before.
pub fn random(random: &mut Rng, places: &Places, seen: &[Vec<u8>]) -> Vec<Said> {
    let ends = places.ends(random);
    let outward = random.bool();
    if places.tracks && !places.is_gateways(&ends) && random.u8(..4) == 0 {
        return match random.u8(..4) {
            0 => talk_rpc::stranger(random, places, &ends, outward),
            _ => talk_rpc::conversation(random, places, &ends, outward),
        };
    }
    match random.u8(..34) {
        0..8 => tcp(random, &ends, outward),
        8..14 => udp(random, &ends, outward),
        14 | 15 => echo(random, &ends, outward),
        16..19 => tftp(random, &ends, outward),
        19 => pptp(&ends, outward),
        20 => talk_more::dhcp(random, &ends),
        21 => {
            let others = places.others(random, &ends);
            talk_more::relayed(random, &ends, &others)
        }
        22 | 23 => talk_more::errors(random, &ends, seen),
        24..27 => talk_more::fragments(random, &ends, outward),
        27 => talk_more::chain(random, &ends, outward),
        28 => link::neighbours(random, &ends, outward),
        29 => link::membership(random, &ends, outward),
        30 if random.u8(..32) == 0 => talk_more::big(random, &ends, outward),
        30 => link::without_ip(random, outward),
        31 | 32 => talk_more::to_group(random, &ends, outward),
        _ => talk_more::odd(random, &ends, outward),
    }
}

/// Both streams of a connection, as far as they have come.
pub struct Streams<'a> {
    ends: &'a Ends,
    outward: bool,
    /// The next byte of who opened it, and of the other.
    pub next: [u32; 2],
    pub talk: Vec<Said>,
}

impl<'a> Streams<'a> {
    /// A connection that `outward` opens, of which nothing has been said.
    pub fn new(random: &mut Rng, ends: &'a Ends, outward: bool) -> Self {
        let near = random.bool();
        let mut first = || {
            if near {
                0_u32.wrapping_sub(40)
            } else {
                random.u32(..)
            }
        };
        Self {
            ends,
            outward,
            next: [first(), first()],
            talk: Vec::new(),
        }
    }

    /// Both sides open it.
    pub fn open(&mut self) {
        self.say(true, SYN, &[]);
        self.say(false, SYN | ACK, &[]);
        self.say(true, ACK, &[]);
    }

    /// The next segment of a side, `forth` that of who opened it.
    pub fn say(&mut self, forth: bool, flags: u8, data: &[u8]) {
        self.say_ahead(forth, flags, data, (0, 0));
        let next = &mut self.next[usize::from(!forth)];
        let ends = [SYN, FIN].into_iter().filter(|flag| flags & flag != 0);
        *next = next.wrapping_add((data.len() + ends.count()) as u32);
    }

    /// The same with numbers that are so many bytes off.
    pub fn say_ahead(&mut self, forth: bool, flags: u8, data: &[u8], off: (u32, u32)) {
        let Ends { client, server, .. } = *self.ends;
        let (ports, mine, other) = match forth {
            true => ((client, server), self.next[0], self.next[1]),
            false => ((server, client), self.next[1], self.next[0]),
        };
        let expected = if flags & ACK == 0 { 0 } else { other };
        let numbers = (mine.wrapping_add(off.0), expected.wrapping_add(off.1));
        let segment = frame::tcp_numbered(ports, flags, numbers, data);
        let outward = self.outward == forth;
        self.talk.push(self.ends.said(outward, TCP, &segment));
    }
}

/// A connection that `outward` opens, with more or less of everything.
fn tcp(random: &mut Rng, ends: &Ends, outward: bool) -> Vec<Said> {
    let mut streams = Streams::new(random, ends, outward);
    if random.u8(..4) != 0 {
        let refused = random.u8(..8) == 0;
        streams.say(true, SYN, &[]);
        streams.say(false, if refused { RST | ACK } else { SYN | ACK }, &[]);
    }
    for _ in 0..random.usize(..5) {
        let data = [0xaa; 60];
        let size = if random.bool() { 0 } else { random.usize(..60) };
        streams.say(random.bool(), ACK, &data[..size]);
        if random.u8(..4) == 0 {
            streams.say(random.bool(), FIN | ACK, &[]);
        }
        if random.u8(..4) == 0 {
            forge(random, &mut streams);
        }
    }
    match random.u8(..8) {
        0 => streams.say(random.bool(), RST, &[]),
        1 => streams.say(random.bool(), random.u8(..), &[]),
        2 => streams.say(true, SYN | FIN, &[]),
        3 => streams.say(true, SYN, &[]),
        4 => streams.say(random.bool(), ACK, &vec![0; random.usize(1_000..9_000)]),
        5 => {
            streams.say(true, FIN | ACK, &[]);
            streams.say(false, ACK, &[2; 9]);
            streams.say(true, ACK, &[]);
        }
        _ => {
            streams.say(true, FIN | ACK, &[]);
            streams.say(false, FIN | ACK, &[]);
            streams.say(true, ACK, &[]);
        }
    }
    streams.talk
}

/// Says something with numbers that are a little, or far, off.
fn forge(random: &mut Rng, streams: &mut Streams<'_>) {
    const OFF: [u32; 8] = [
        0,
        1,
        500,
        (1 << 18) - 1,
        1 << 18,
        1 << 31,
        u32::MAX,
        0xdead_beef,
    ];
    let flags = [RST, RST | ACK, FIN | ACK, FIN, ACK][random.usize(..5)];
    let mut off = || OFF[random.usize(..OFF.len())];
    let off = (off(), if flags == ACK { off() } else { 0 });
    let data = [3; 5];
    let size = random.usize(..=data.len());
    streams.say_ahead(random.bool(), flags, &data[..size], off);
}

fn udp(random: &mut Rng, ends: &Ends, outward: bool) -> Vec<Said> {
    let count = random.usize(1..5);
    let mut talk = Vec::new();
    for number in 0..count {
        let data = &[0, random.u8(..8), 0, 1, 5, 5, 5, 5][..random.usize(..=8)];
        let forth = number == 0 || random.bool();
        let ports = match forth {
            true => (ends.client, ends.server),
            false => (ends.server, ends.client),
        };
        talk.push(ends.udp(outward == forth, ports, data));
    }
    talk
}

fn echo(random: &mut Rng, ends: &Ends, outward: bool) -> Vec<Said> {
    let (request, reply) = if ends.is_v4() { (8, 0) } else { (128, 129) };
    // Sometimes over the other family, where it is no echo.
    let protocol = match random.u8(..12) {
        0 => ICMP + ICMPV6 - ends.icmp(),
        _ => ends.icmp(),
    };
    let kinds = match protocol {
        ICMP => (8, 0),
        _ => (128, 129),
    };
    let (request, reply) = if random.u8(..8) == 0 {
        kinds
    } else {
        (request, reply)
    };
    let other = random.u8(..);
    let identifier = if random.bool() { 0 } else { ends.client };
    [
        (true, request),
        (false, reply),
        (random.bool(), other),
        (false, reply),
    ]
    .into_iter()
    .take(random.usize(1..=4))
    .map(|(forth, kind)| {
        let message = frame::control(kind, identifier, &[]);
        ends.said(outward == forth, protocol, &message)
    })
    .collect()
}

/// A transfer from a server's new port, with options or not, to its end or not.
fn tftp(random: &mut Rng, ends: &Ends, outward: bool) -> Vec<Said> {
    const SIZES: [usize; 5] = [512, 1024, 2, 0, 100];
    let server = match random.u8(..16) {
        0 => 0,
        1 => 69,
        _ => 50_000 + random.u16(..3),
    };
    let mut talk = Vec::new();
    let mut say = |forth: bool, port: u16, opcode: u16, number: u16, size: usize| {
        let mut data = [opcode.to_be_bytes(), number.to_be_bytes()].concat();
        data.resize(4 + size, 0x55);
        let ports = if forth {
            (ends.client, port)
        } else {
            (port, ends.client)
        };
        talk.push(ends.udp(outward == forth, ports, &data));
    };
    if random.u8(..8) != 0 {
        say(true, 69, random.u16(1..=2), 0x6100, 8);
    }
    if random.bool() {
        say(false, server, 6, 0, 10);
        say(true, server, 4, 0, 0);
    }
    for number in 1..=random.u16(1..4) {
        say(false, server, 3, number, SIZES[random.usize(..SIZES.len())]);
        say(true, server, 4, number, 0);
    }
    match random.u8(..4) {
        0 => say(random.bool(), server, 5, 0, 3),
        1 => say(random.bool(), server, random.u16(..8), random.u16(..4), 0),
        2 => say(true, 69, 1, 0x6100, 8),
        _ => {}
    }
    talk
}

fn pptp(ends: &Ends, outward: bool) -> Vec<Said> {
    let (there, back) = ((ends.client, 1723), (1723, ends.client));
    let segments = [
        (true, frame::tcp(there, SYN, &[])),
        (false, frame::tcp(back, SYN | ACK, &[])),
        (true, frame::tcp(there, ACK, &[1; 12])),
        (false, frame::tcp(back, ACK, &[1; 12])),
    ];
    let mut talk: Vec<Said> = segments
        .iter()
        .map(|(forth, segment)| ends.said(outward == *forth, TCP, segment))
        .collect();
    talk.push(ends.said(!outward, GRE, &[0x30, 1, 0x88, 0x0b, 0, 0, 0, 1]));
    talk.push(ends.said(outward, GRE, &[0x30, 1, 0x88, 0x0b]));
    talk
}
