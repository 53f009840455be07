//! Packets that are not simply TCP or UDP: essentials, errors, fragments, odd ones.

use fastrand::Rng;

use super::frame::{self, SYN};
use super::places::{BROADCAST, Ends};
use super::talk::Said;

const TCP: u8 = 6;
const UDP: u8 = 17;

/// Extension headers, and two that only look like some.
const EXTENSIONS: [u8; 9] = [0, 43, 44, 60, 135, 139, 140, 51, 50];

/// A client and a server, with addresses or without, directly or by a relay.
pub fn dhcp(random: &mut Rng, ends: &Ends) -> Vec<Said> {
    const GROUPS: [&str; 3] = ["ff02::1:2", "ff05::1:3", "ff02::fb"];
    let (client, server) = if ends.is_v4() { (68, 67) } else { (546, 547) };
    let outward = random.bool();
    let transactions = [random.u8(..4), random.u8(..4)];
    let message = |transaction| {
        let mut message = vec![1; 30];
        message[4..8].fill(transaction);
        message
    };
    let mut talk = Vec::new();
    let mut say = |outward, ports, transaction, ends: &Ends, to_all: bool, nowhere: bool| {
        let mut ip = ends.ip(outward, UDP);
        let everybody = match ends.is_v4() {
            true => "255.255.255.255",
            false => GROUPS[usize::from(transaction) % GROUPS.len()],
        };
        if to_all {
            ip.destination = everybody.parse().expect("an address");
        }
        if nowhere && ends.is_v4() {
            ip.source = std::net::Ipv4Addr::UNSPECIFIED.into();
        }
        let frame = ip.frame(&frame::udp(ports, &message(transaction)));
        talk.push(Said { outward, frame });
    };
    let [asked, answered] = transactions;
    let relay = random.u8(..4) == 0;
    let asker = if relay { server } else { client };
    say(
        outward,
        (asker, server),
        asked,
        ends,
        random.bool(),
        random.bool(),
    );
    let from = match random.u8(..4) {
        0 => random.u16(..),
        _ => server,
    };
    say(
        !outward,
        (from, asker),
        answered,
        ends,
        random.bool() && ends.is_v4(),
        false,
    );
    say(
        !outward,
        (server, client),
        asked,
        ends,
        random.bool() && ends.is_v4(),
        false,
    );
    say(random.bool(), (server, server), asked, ends, false, false);
    talk
}

/// A relay that asks, from one of its addresses, and servers that answer at another; or who says so.
pub fn relayed(random: &mut Rng, ends: &Ends, others: &Ends) -> Vec<Said> {
    let v4 = ends.is_v4();
    let server = if v4 { 67 } else { 547 };
    let outward = random.bool();
    let port = match random.u8(..3) {
        0 => 40_000,
        _ => server,
    };
    // Sometimes its own address, sometimes whoever else's.
    let elsewhere = match (random.u8(..4), outward) {
        (0, true) => ends.inside,
        (0, false) => ends.outside,
        (_, true) => others.inside,
        (_, false) => others.outside,
    };
    let message = |random: &mut Rng, question: bool| {
        let mut message = vec![0; 60];
        if random.u8(..8) == 0 {
            message.truncate([28, 33, 34][random.usize(..3)]);
        }
        message[0] = match (random.u8(..16), question, v4) {
            (0, ..) => random.u8(..),
            (_, true, true) => 1,
            (_, false, true) => 2,
            (_, true, false) => 12,
            (_, false, false) => 13,
        };
        // Of four exchanges.
        let exchange = random.u8(..8).min(1);
        match elsewhere {
            std::net::IpAddr::V4(relay) => {
                message[7] = exchange;
                message[24..28].copy_from_slice(&relay.octets());
            }
            std::net::IpAddr::V6(relay) => {
                message[2..18].copy_from_slice(&relay.octets());
                if let Some(last) = message.get_mut(33) {
                    *last = exchange;
                }
            }
        }
        message
    };
    let mut talk = Vec::new();
    for _ in 0..random.usize(1..3) {
        let asked = message(random, true);
        let mut ip = ends.ip(outward, UDP);
        if random.u8(..6) == 0 {
            ip.destination = if v4 { "255.255.255.255" } else { "ff05::1:3" }
                .parse()
                .expect("an address");
        }
        let frame = ip.frame(&frame::udp((port, server), &asked));
        talk.push(Said { outward, frame });
    }
    for _ in 0..random.usize(1..4) {
        let answered = message(random, false);
        let mut ip = ends.ip(!outward, UDP);
        if random.u8(..4) != 0 {
            ip.destination = elsewhere;
        }
        let from = if random.u8(..4) == 0 { 49_321 } else { server };
        let to = if random.u8(..3) == 0 { port } else { server };
        let frame = ip.frame(&frame::udp((from, to), &answered));
        talk.push(Said {
            outward: !outward,
            frame,
        });
    }
    talk
}

/// Errors that quote frames that were seen, either way, or nothing of the kind.
pub fn errors(random: &mut Rng, ends: &Ends, seen: &[Vec<u8>]) -> Vec<Said> {
    let count = random.usize(1..4);
    (0..count).map(|_| error(random, ends, seen)).collect()
}

fn error(random: &mut Rng, ends: &Ends, seen: &[Vec<u8>]) -> Said {
    let v4 = ends.is_v4();
    let kind: u8 = match (random.u8(..8), v4) {
        (0, _) => random.u8(..),
        (_, true) => [3, 11, 12, 4, 5][random.usize(..5)],
        (_, false) => random.u8(1..=4),
    };
    let wanted = if v4 { [8, 0] } else { [0x86, 0xdd] };
    let fits = |frame: &&Vec<u8>| frame.get(12..14) == Some(&wanted) && frame.len() >= 54;
    let fitting: Vec<&Vec<u8>> = seen.iter().filter(fits).collect();
    let quoted = random.choice(fitting);
    let outward = random.u8(..3) == 0;
    let mut ends = *ends;
    let mut quote = vec![0x45; random.usize(..60)];
    if let Some(frame) = quoted {
        let packet = &frame[14..];
        let size = packet
            .len()
            .min(if v4 { 28 } else { 48 } + random.usize(..40));
        quote = packet[..size].to_vec();
        // An error goes to the sender of what it quotes.
        if random.u8(..8) != 0 {
            let receiver = match outward {
                true => &mut ends.outside,
                false => &mut ends.inside,
            };
            *receiver = match v4 {
                true => <[u8; 4]>::try_from(&packet[12..16])
                    .expect("four bytes")
                    .into(),
                false => <[u8; 16]>::try_from(&packet[8..24])
                    .expect("sixteen bytes")
                    .into(),
            };
        }
        if random.u8(..8) == 0 {
            quote.truncate(random.usize(..quote.len()));
        }
    }
    let message = frame::control(kind, 0, &quote);
    let mut said = ends.said(outward, ends.icmp(), &message);
    // What pads a frame is no part of it.
    if random.u8(..8) == 0 {
        said.frame.extend([0; 8]);
    }
    said
}

/// A datagram in parts, in some order, sometimes of a form that no host sends.
pub fn fragments(random: &mut Rng, ends: &Ends, outward: bool) -> Vec<Said> {
    let (protocol, payload) = match random.u8(..4) {
        0 => (
            TCP,
            frame::tcp((ends.client, ends.server), random.u8(..32), &[7; 60]),
        ),
        1 => (ends.icmp(), frame::control(random.u8(..), 9, &[7; 60])),
        2 => (random.u8(..), vec![1; 60]),
        _ => (
            UDP,
            frame::udp((ends.client, ends.server), &[0, 3, 0, 1, 7, 7, 7, 7]),
        ),
    };
    let mut ip = ends.ip(outward, protocol);
    ip.id = random.u32(..4) << random.u32(..20);
    let first = match random.u8(..4) {
        0 => random.usize(..payload.len()),
        _ => payload.len() & !7,
    };
    let chained = !ends.is_v4() && random.u8(..4) == 0;
    // Behind the fragment header, where it moves the transport header.
    let behind = random.bool();
    let units = random.u8(..4);
    let mut padding = vec![0; 8 + usize::from(units) * 8];
    padding[1] = units;
    let part = |ip: &mut frame::Ip, offset: u16, more: bool, data: &[u8]| {
        (ip.offset, ip.more) = (offset, more);
        let extra = match chained {
            true if behind && offset == 0 => vec![(44, ip.fragment()), (60, padding.clone())],
            true => vec![(60, padding.clone())],
            false => Vec::new(),
        };
        let frame = ip.frame_with(&extra, data);
        Said { outward, frame }
    };
    let mut parts = vec![
        part(&mut ip, 0, true, &payload[..first]),
        part(&mut ip, (first / 8) as u16, false, &[1; 20]),
    ];
    let offset = [1, 2, 3, 4, 5, 100, 8_180, 8_188, 8_191];
    let offset = offset[random.usize(..offset.len())];
    ip.id += random.u32(..2);
    let more = random.bool();
    parts.push(part(&mut ip, offset, more, &vec![1; random.usize(..200)]));
    if !ends.is_v4() {
        (ip.offset, ip.more) = (0, false);
        let atomic = [(44, ip.fragment())];
        let frame = ip.frame_with(&atomic, &payload);
        parts.push(Said { outward, frame });
    }
    random.shuffle(&mut parts[1..]);
    if random.u8(..4) == 0 {
        random.shuffle(&mut parts);
    }
    parts
}

/// Options, or extension headers in any number and order.
pub fn chain(random: &mut Rng, ends: &Ends, outward: bool) -> Vec<Said> {
    let segment = frame::tcp((ends.client, ends.server), SYN, &[]);
    let ip = ends.ip(outward, TCP);
    let mut extra = Vec::new();
    let count = if random.u8(..4) == 0 {
        7
    } else {
        random.usize(1..4)
    };
    for place in 0..count {
        let number = match place {
            0 if random.bool() => 0,
            // Others end the chain, or may stand there only once.
            _ if count == 7 => 60,
            _ => EXTENSIONS[random.usize(1..EXTENSIONS.len())],
        };
        let body = match (ends.is_v4(), number) {
            (true, _) => match random.u8(..6) {
                0 => vec![random.u8(..), random.u8(..6), random.u8(..), random.u8(..)],
                1 => vec![[131, 137][random.usize(..2)], 4, 4, 0],
                2 => vec![0, 131, 4, 4],
                _ => vec![1; 4],
            },
            (false, 44) => ip.fragment(),
            (false, _) => {
                let units = random.u8(..3);
                let mut body = vec![random.u8(..3); 8 + usize::from(units) * 8];
                body[1] = units;
                body
            }
        };
        extra.push((number, body));
    }
    let frame = ip.frame_with(&extra, &segment);
    vec![Said { outward, frame }]
}

/// TCP data of about as much as a length field can tell, the field 0, and what a kernel would put
/// before it. The programs read little of it.
pub fn big(random: &mut Rng, ends: &Ends, outward: bool) -> Vec<Said> {
    let port = [80, 445, 8530, 23][random.usize(..4)];
    let protocol = [TCP, TCP, TCP, UDP][random.usize(..4)];
    let mut ip = ends.ip(outward, protocol);
    ip.more = random.u8(..16) == 0;
    let mut payload = match protocol {
        TCP => frame::tcp((40_000, port), frame::ACK, &[]),
        _ => frame::udp((40_000, port), &[]),
    };
    payload.resize(65_500 + random.usize(..100), 0);
    let size = payload.len() as u32 + 8;
    let size = if random.u8(..4) == 0 {
        random.u32(..70_000)
    } else {
        size
    };
    let [a, b, c, d] = size.to_be_bytes();
    let jumbo = vec![(0, vec![0, 0, 0xc2, 4, a, b, c, d])];
    let extra = match ends.is_v4() || random.bool() {
        true => Vec::new(),
        false => jumbo,
    };
    let mut frame = ip.frame_with(&extra, &payload);
    let length = if ends.is_v4() { 16 } else { 18 };
    frame[length..length + 2].copy_from_slice(&[0, 0]);
    vec![Said { outward, frame }]
}

/// All kinds of packets to broadcast and multicast addresses, and what would answer them.
pub fn to_group(random: &mut Rng, ends: &Ends, outward: bool) -> Vec<Said> {
    const GROUPS: [&str; 5] = [
        "224.0.0.9",
        "255.255.255.255",
        "239.1.2.3",
        "10.1.2.255",
        BROADCAST,
    ];
    const GROUPS_V6: [&str; 3] = ["ff02::1", "ff15::1", "ff0e::1:3"];
    const PORTS: [u16; 12] = [9, 67, 68, 80, 135, 138, 445, 500, 546, 4011, 63_000, 63_500];
    let mut ip = ends.ip(outward, UDP);
    let groups = if ends.is_v4() {
        &GROUPS[..]
    } else {
        &GROUPS_V6[..]
    };
    ip.destination = groups[random.usize(..groups.len())]
        .parse()
        .expect("an address");
    let mut talk = Vec::new();
    for _ in 0..random.usize(1..6) {
        let mut port = || match random.u8(..4) {
            0 => ends.client,
            1 => ends.server,
            _ => PORTS[random.usize(..PORTS.len())],
        };
        let ports = (port(), port());
        let payload = match random.u8(..8) {
            0 | 1 => {
                ip.protocol = TCP;
                frame::tcp(ports, random.u8(..32), &[])
            }
            2 => {
                ip.protocol = ends.icmp();
                let kinds = [8, 0, 13, 128, 129];
                frame::control(kinds[random.usize(..kinds.len())], ends.client, &[])
            }
            3 => {
                ip.protocol = [2, 47, 50, 51, 89, 112, 132][random.usize(..7)];
                vec![8; 12]
            }
            _ => {
                ip.protocol = UDP;
                frame::udp(ports, &[0, 1, 2, 3])
            }
        };
        let frame = ip.frame(&payload);
        talk.push(Said { outward, frame });
    }
    talk.push(ends.udp(!outward, (ends.server, ends.client), &[5]));
    talk
}

/// Protocols without ports, and lengths that do not fit.
pub fn odd(random: &mut Rng, ends: &Ends, outward: bool) -> Vec<Said> {
    const PROTOCOLS: [u8; 12] = [0, 1, 2, 4, 47, 50, 51, 58, 59, 89, 132, 255];
    let number = PROTOCOLS[random.usize(..PROTOCOLS.len())];
    let size = random.usize(..24);
    let mut talk = vec![ends.said(outward, number, &vec![8; size])];
    let transport = [TCP, UDP, 1, 58][random.usize(..4)];
    talk.push(ends.said(outward, transport, &vec![random.u8(..); size]));
    talk.push(ends.said(!outward, number, &[0; 12]));
    talk
}
