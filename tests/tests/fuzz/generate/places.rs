//! Who speaks, and where it is seen.

use std::net::IpAddr;

use fastrand::Rng;
use ipnet::IpNet;
use sccm_tests::reading::Document;

use super::frame;
use crate::case::{HOST_ID, SEGMENT_ID, Setting, Spot, Step, UPLINK_ID};

/// A machine's own addresses.
pub const OWN: [&str; 2] = ["10.1.2.3", "fd00:1:2:3::a"];

/// A broadcast address of its networks.
pub const BROADCAST: &str = "10.1.2.127";

/// Addresses that mean something by themselves.
const SPECIAL: [&str; 19] = [
    "0.0.0.0",
    "255.255.255.255",
    "239.1.2.3",
    "224.0.0.1",
    "8.8.8.8",
    "127.0.0.1",
    "10.1.2.255",
    BROADCAST,
    "240.0.0.1",
    "0.1.2.3",
    "::",
    "::1",
    "::2",
    "ff02::1:2",
    "ff02::16",
    "fe80::1",
    "2600::1",
    "::ffff:10.1.2.3",
    "2002:a01:203::1",
];

/// Ports of the document, of rules and of settings, with their neighbours, and some of clients.
const PORTS: [u16; 63] = [
    0, 7, 9, 21, 22, 25, 53, 67, 68, 69, 79, 80, 81, 88, 123, 135, 137, 138, 139, 389, 443, 445,
    500, 546, 547, 636, 1024, 1025, 1433, 1434, 1723, 2701, 3268, 4011, 4022, 4500, 4999, 5000,
    5001, 5010, 5011, 8003, 8004, 8005, 8080, 8443, 8530, 8531, 9971, 9972, 10123, 10124, 10139,
    14330, 25536, 40000, 40001, 49151, 49152, 49200, 62005, 63500, 65535,
];

/// Those that most roles offer.
const OFFERED: [u16; 6] = [69, 80, 135, 443, 445, 49200];

/// A few ends and ports of a case, and its cards.
pub struct Places {
    inside: [Vec<IpAddr>; 2],
    outside: [Vec<IpAddr>; 2],
    ports: Vec<u16>,
    is_gateway: bool,
    /// Some ports are open only once they are handed out.
    pub tracks: bool,
    /// The dynamic range is that of old systems.
    pub has_low_range: bool,
}

/// Two ends of one family, and ports.
#[derive(Debug, Clone, Copy)]
pub struct Ends {
    pub inside: IpAddr,
    pub outside: IpAddr,
    /// A port of a client.
    pub client: u16,
    /// A port of a server.
    pub server: u16,
}

impl Places {
    pub fn random(random: &mut Rng, setting: &Setting) -> Self {
        let document = &setting.document;
        let mut known: Vec<IpAddr> = SPECIAL.iter().map(|text| parsed(text)).collect();
        known.extend(Document::prefixes().flat_map(|prefix| some(random, prefix)));
        let entries = document
            .protect
            .iter()
            .flat_map(|entry| entry.addresses.clone());
        let mut protected: Vec<IpAddr> = entries.flat_map(|prefix| some(random, prefix)).collect();
        protected.extend(&setting.machine.own);
        let peers = document
            .peers
            .iter()
            .flat_map(|peers| peers.values().flatten());
        let mut holders: Vec<IpAddr> = peers
            .copied()
            .flat_map(|prefix| some(random, prefix))
            .collect();
        holders.extend(&setting.machine.own);
        let mut few = |from: &[IpAddr]| {
            [true, false].map(|v4| {
                let of_family = |all: &[IpAddr]| -> Vec<IpAddr> {
                    all.iter()
                        .copied()
                        .filter(|address| address.is_ipv4() == v4)
                        .collect()
                };
                let mut chosen = random.choose_multiple(of_family(from), 4);
                chosen.extend(random.choose_multiple(of_family(&known), 3));
                chosen
            })
        };
        Self {
            inside: few(&protected),
            outside: few(&holders),
            ports: [OFFERED.to_vec(), random.choose_multiple(PORTS, 8)].concat(),
            is_gateway: setting.machine.is_gateway,
            tracks: document.tracks(),
            has_low_range: document.site.rpc_range.is_some(),
        }
    }

    /// Two ends that may talk.
    pub fn ends(&self, random: &mut Rng) -> Ends {
        let family = usize::from(random.bool());
        let one = |random: &mut Rng, of: &[IpAddr]| of[random.usize(..of.len())];
        let client = match random.u8(..8) {
            0 => PORTS[random.usize(..PORTS.len())],
            _ => 40_000 + random.u16(..4),
        };
        let server = match random.u8(..16) {
            0 => random.u16(..),
            1..4 => PORTS[random.usize(..PORTS.len())],
            _ => self.ports[random.usize(..self.ports.len())],
        };
        Ends {
            inside: one(random, &self.inside[family]),
            outside: one(random, &self.outside[family]),
            client,
            server,
        }
    }

    /// Whether one of them is the gateway.
    pub fn is_gateways(&self, ends: &Ends) -> bool {
        let mut own = OWN.iter().map(|text| parsed(text));
        self.is_gateway && own.any(|own| own == ends.inside || own == ends.outside)
    }

    /// Two more of the same family.
    pub fn others(&self, random: &mut Rng, ends: &Ends) -> Ends {
        loop {
            let others = self.ends(random);
            if others.is_v4() == ends.is_v4() {
                return others;
            }
        }
    }

    /// Where a frame is seen: mostly where it would be.
    pub fn step(&self, random: &mut Rng, outward: bool, frame: Vec<u8>) -> Step {
        let lost = random.u8(..16) == 0;
        let outward = outward != lost;
        let trunk = random.u8(..6) == 0;
        let spot = match (self.is_gateway, outward) {
            (false, _) => Spot::Host,
            (true, true) => Spot::Segment,
            (true, false) => Spot::Uplink,
        };
        // A gateway's own frames leave; what it forwards came in first, unless that was at a card
        // that nobody enforces.
        let leaves = match self.is_gateway {
            true => random.u8(..6) == 0,
            false => outward,
        };
        let spot = match spot {
            Spot::Uplink if leaves && random.bool() => Spot::Segment,
            spot => spot,
        };
        let (spot, frame) = match trunk {
            false => (spot, frame),
            true => (Spot::Trunk, tagged(random, spot, frame)),
        };
        // The kernel makes no test of longer ones for what leaves.
        match leaves && frame.len() <= 3_000 {
            true => Step::Leaves(spot, frame),
            false => Step::Arrives(spot, frame),
        }
    }
}

/// In the VLAN that stands for a kind of card, or near it.
fn tagged(random: &mut Rng, spot: Spot, frame: Vec<u8>) -> Vec<u8> {
    let id = match spot {
        Spot::Host | Spot::Trunk => HOST_ID,
        Spot::Uplink => UPLINK_ID,
        Spot::Segment => SEGMENT_ID,
    };
    let kind = if random.u8(..4) == 0 { 0x88a8 } else { 0x8100 };
    let priority = random.u16(..8) << 13;
    match random.u8(..16) {
        0 => frame,
        1 => frame::tag(&frame, kind, priority | 40),
        2 => frame::tag(&frame, kind, priority),
        3 => frame::tag(&frame::tag(&frame, kind, id), 0x8100, priority),
        4 => frame::tag(&frame::tag(&frame, kind, 40), 0x8100, id),
        _ => frame::tag(&frame, kind, priority | id),
    }
}

/// Ends of a prefix, their neighbours outside, and one within.
fn some(random: &mut Rng, prefix: IpNet) -> Vec<IpAddr> {
    let (first, last) = match prefix {
        IpNet::V4(prefix) => (
            u128::from(prefix.network().to_bits()),
            u128::from(prefix.broadcast().to_bits()),
        ),
        IpNet::V6(prefix) => (prefix.network().to_bits(), prefix.broadcast().to_bits()),
    };
    let within = first + random.u128(..=last - first);
    let all = [
        first.saturating_sub(1),
        first,
        last,
        last.saturating_add(1),
        within,
    ];
    all.into_iter()
        .map(|bits| match prefix {
            IpNet::V4(_) => IpAddr::V4((bits as u32).into()),
            IpNet::V6(_) => IpAddr::V6(bits.into()),
        })
        .collect()
}

fn parsed(text: &str) -> IpAddr {
    text.parse().expect("an address")
}
