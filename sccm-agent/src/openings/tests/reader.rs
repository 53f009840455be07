//! Another reader of such connections, to compare with: it has the whole file at once, and looks for
//! the marks that a port has around it (the byte patterns of towers and of bindings) where the other
//! reads the layout.

use etherparse::{NetSlice, SlicedPacket, TransportSlice};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::IpAddr;

/// Client, server, port.
pub(super) type Opened = BTreeSet<(IpAddr, IpAddr, u16)>;

/// The bytes of one direction by their place, each with the frame that had it first.
#[derive(Default)]
struct Side {
    first: Option<u32>,
    bytes: BTreeMap<u32, (u8, usize)>,
}

impl Side {
    /// Units, each with the frame with which it was whole.
    fn units(&self) -> Vec<(usize, Vec<u8>)> {
        let mut stream = Vec::new();
        let mut latest = 0;
        for (place, (at, (byte, frame))) in self.bytes.iter().enumerate() {
            if *at != place as u32 {
                break;
            }
            latest = latest.max(*frame);
            stream.push((*byte, latest));
        }
        let mut units = Vec::new();
        let mut rest = stream.as_slice();
        while rest.len() >= 16 {
            let pair = [rest[8].0, rest[9].0];
            let length = match rest[4].0 {
                0 => u16::from_be_bytes(pair),
                _ => u16::from_le_bytes(pair),
            };
            let Some((unit, after)) = rest.split_at_checked(length.into()) else {
                break;
            };
            let bytes = unit.iter().map(|(byte, _)| *byte).collect();
            units.push((unit.last().unwrap().1, bytes));
            rest = after;
        }
        units
    }
}

pub(super) fn opened(frames: &[Vec<u8>]) -> Opened {
    let mut talks: HashMap<(IpAddr, IpAddr, u16), [Side; 2]> = HashMap::new();
    for (number, frame) in frames.iter().enumerate() {
        let packet = SlicedPacket::from_ethernet(frame).unwrap();
        let (from, to): (IpAddr, IpAddr) = match packet.net.unwrap() {
            NetSlice::Ipv4(ip) => (
                ip.header().source_addr().into(),
                ip.header().destination_addr().into(),
            ),
            NetSlice::Ipv6(ip) => (
                ip.header().source_addr().into(),
                ip.header().destination_addr().into(),
            ),
            NetSlice::Arp(_) => continue,
        };
        let Some(TransportSlice::Tcp(tcp)) = packet.transport else {
            continue;
        };
        let (key, side) = match tcp.destination_port() {
            135 => ((from, to, tcp.source_port()), 0),
            other => ((to, from, other), 1),
        };
        let side = &mut talks.entry(key).or_default()[side];
        if tcp.syn() {
            side.first = Some(tcp.sequence_number().wrapping_add(1));
        }
        for (place, byte) in tcp.payload().iter().enumerate() {
            let number_of = tcp.sequence_number().wrapping_sub(side.first.unwrap());
            let at = number_of + place as u32;
            side.bytes.entry(at).or_insert((*byte, number));
        }
    }
    let mut all = Opened::new();
    for ((client, server, _), sides) in talks {
        let [asked, answered] = &sides;
        let units = asked
            .units()
            .into_iter()
            .map(|(frame, unit)| (frame, 0, unit));
        let answers = answered.units().into_iter();
        let mut units: Vec<_> = units
            .chain(answers.map(|(frame, unit)| (frame, 1, unit)))
            .collect();
        // What comes in one frame keeps its order, and no frame has both.
        units.sort_by_key(|(frame, ..)| *frame);
        for port in ports(&units) {
            all.insert((client, server, port));
        }
    }
    all
}

fn number(unit: &[u8], at: usize, size: usize) -> u32 {
    let bytes = &unit[at..at + size];
    let add = |sum: u32, byte: &u8| sum << 8 | u32::from(*byte);
    match unit[4] {
        0 => bytes.iter().fold(0, add),
        _ => bytes.iter().rev().fold(0, add),
    }
}

fn ports(units: &[(usize, usize, Vec<u8>)]) -> Vec<u16> {
    let mut proposed: HashMap<u32, Vec<(u32, u8)>> = HashMap::new();
    let mut contexts: HashMap<u32, u8> = HashMap::new();
    let mut asked: HashMap<u32, (u32, u32)> = HashMap::new();
    let mut stubs: HashMap<u32, Vec<u8>> = HashMap::new();
    let mut found = Vec::new();
    for (_, side, unit) in units {
        let call = number(unit, 12, 4);
        match (side, unit[2]) {
            (0, 11 | 14) => {
                let (mut at, mut all) = (28, Vec::new());
                for _ in 0..unit[24] {
                    // What tells the interfaces from each other: a byte of their names, in
                    // whichever order.
                    let name = number(unit, at + 4, 4);
                    all.push((number(unit, at, 2), (name >> 24) as u8));
                    at += 24 + 20 * usize::from(unit[at + 2]);
                }
                proposed.insert(call, all);
            }
            (1, 12 | 15) => {
                let address = number(unit, 24, 2) as usize;
                let mut at = (26 + address).next_multiple_of(4) + 4;
                for (context, name) in proposed.remove(&call).unwrap_or_default() {
                    if number(unit, at, 2) == 0 {
                        contexts.insert(context, name);
                    }
                    at += 24;
                }
            }
            (0, 0) => {
                asked.insert(call, (number(unit, 20, 2), number(unit, 22, 2)));
            }
            (1, 2) => {
                let Some((context, operation)) = asked.get(&call).copied() else {
                    continue;
                };
                let credentials = number(unit, 10, 2) as usize;
                let mut end = unit.len();
                if credentials > 0 {
                    let trailer = end - credentials - 8;
                    end = trailer - usize::from(unit[trailer + 2]);
                    if unit[trailer + 1] == 6 {
                        asked.remove(&call);
                        continue;
                    }
                }
                let stub = stubs.entry(call).or_default();
                stub.extend_from_slice(&unit[24..end]);
                if unit[3] & 2 == 0 {
                    continue;
                }
                asked.remove(&call);
                let stub = stubs.remove(&call).unwrap();
                match (contexts.get(&context), operation) {
                    (Some(0xe1), 3) => found.extend(of_towers(&stub)),
                    (Some(0x00), 3 | 4) | (Some(0x99), 0 | 4) | (Some(0x4d), 0) => {
                        // What is serialized by itself was always little endian.
                        found.extend(of_bindings(&stub, unit[4] == 0 && contexts[&context] != 0));
                    }
                    _ => {}
                }
            }
            (1, 3) => {
                asked.remove(&call);
            }
            _ => {}
        }
    }
    found.retain(|port| *port >= 49152);
    found
}

fn of_towers(stub: &[u8]) -> Vec<u16> {
    let around = stub.windows(12);
    let ports =
        around.filter(|bytes| bytes[..5] == [1, 0, 7, 2, 0] && bytes[7..] == [1, 0, 9, 4, 0]);
    ports
        .map(|bytes| u16::from_be_bytes([bytes[5], bytes[6]]))
        .collect()
}

fn of_bindings(stub: &[u8], is_big: bool) -> Vec<u16> {
    let mut ports = BTreeSet::new();
    for begin in (0..stub.len()).step_by(2) {
        let units = stub[begin..].chunks_exact(2);
        let mut units = units.map(|pair| match is_big {
            true => u16::from_be_bytes([pair[0], pair[1]]),
            false => u16::from_le_bytes([pair[0], pair[1]]),
        });
        if units.next() != Some(7) {
            continue;
        }
        let text: Vec<u16> = units.take_while(|unit| *unit != 0).collect();
        let text = String::from_utf16_lossy(&text);
        let inside = text
            .strip_suffix(']')
            .and_then(|text| text.rsplit_once('['));
        if let Some(port) = inside.and_then(|(_, port)| port.parse::<u16>().ok()) {
            ports.insert(port);
        }
    }
    match ports.len() {
        1 => ports.into_iter().collect(),
        _ => Vec::new(),
    }
}
