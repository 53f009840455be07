use super::*;
use crate::Reason;
use crate::wire::ethernet::HEADER;
use sccm_packets::Packet;
use std::vec;
use std::vec::Vec;

struct Memory {
    sets: Vec<Set>,
    buckets: Vec<Bucket>,
    told: Vec<Event>,
    room: usize,
}

impl Memory {
    fn new() -> Self {
        Self {
            sets: vec![[BlockedFlow::NONE; WAYS]; SETS as usize],
            buckets: vec![Bucket::default(); BUCKETS as usize],
            told: Vec::new(),
            room: usize::MAX,
        }
    }

    fn flows(&self) -> Vec<BlockedFlow> {
        let taken = self.sets.iter().flatten();
        taken
            .filter(|flow| flow.key != BlockedKey::NONE)
            .copied()
            .collect()
    }

    fn bucket_of(&self, reason: Reason) -> Bucket {
        self.buckets[reason as usize]
    }
}

impl Notebook for Memory {
    fn set(&mut self, index: u32) -> Option<&mut Set> {
        self.sets.get_mut(index as usize)
    }

    fn bucket(&mut self, reason: u8) -> Option<&mut Bucket> {
        self.buckets.get_mut(usize::from(reason))
    }

    fn tell(&mut self, event: &Event) -> bool {
        let fits = self.told.len() < self.room;
        if fits {
            self.told.push(*event);
        }
        fits
    }
}

fn key(number: u32, reason: Reason) -> BlockedKey {
    BlockedKey {
        source: Address::v4(number.to_be_bytes()),
        destination: Address::v4([192, 0, 2, 2]),
        port: 445,
        protocol: 6,
        reason: reason as u8,
        ..BlockedKey::NONE
    }
}

#[test]
fn a_flow_is_told_once_and_counted_always() {
    let mut memory = Memory::new();
    for (length, now) in [(60, 100), (1500, 100), (60, 700)] {
        note(&mut memory, &key(7, Reason::NotAllowed), length, now);
    }
    let expected = BlockedFlow {
        key: key(7, Reason::NotAllowed),
        packets: 3,
        bytes: 1620,
        first: 100,
        last: 700,
    };
    assert_eq!(memory.flows(), [expected]);
    assert_eq!(memory.told.len(), 1);
    assert_eq!((memory.told[0].length, memory.told[0].at), (60, 100));
}

#[test]
fn a_flood_of_new_flows_is_limited_and_its_rest_counted() {
    let mut memory = Memory::new();
    let packets = 10 * BURST;
    for number in 0..packets {
        note(&mut memory, &key(number, Reason::NotAllowed), 60, 100);
    }
    assert_eq!(memory.told.len(), BURST as usize);
    let suppressed = memory.bucket_of(Reason::NotAllowed).suppressed;
    assert_eq!(suppressed, u64::from(packets - BURST));
    // Another reason has tokens of its own, and what is noted goes on being counted.
    note(&mut memory, &key(1, Reason::UnlistedHost), 60, 100);
    note(&mut memory, &key(1, Reason::NotAllowed), 60, 100);
    assert_eq!(memory.told.len(), BURST as usize + 1);
    assert_eq!(memory.bucket_of(Reason::NotAllowed).suppressed, suppressed);
}

#[test]
fn tokens_come_back_with_time_and_never_beyond_the_burst() {
    let mut memory = Memory::new();
    let mut number = 0;
    let mut flood = |memory: &mut Memory, now| {
        let before = memory.told.len();
        for _ in 0..2 * BURST {
            number += 1;
            note(memory, &key(number, Reason::NotAllowed), 60, now);
        }
        memory.told.len() - before
    };
    assert_eq!(flood(&mut memory, 100), BURST as usize);
    assert_eq!(flood(&mut memory, 101), RATE as usize);
    assert_eq!(flood(&mut memory, 103), 2 * RATE as usize);
    assert_eq!(flood(&mut memory, 100_000), BURST as usize);
}

#[test]
fn the_quieter_entry_of_a_set_makes_room() {
    let mut memory = Memory::new();
    let set = key(0, Reason::NotAllowed).set();
    let mut alike = (0..)
        .map(|number| key(number, Reason::NotAllowed))
        .filter(|key| key.set() == set);
    let (one, two, three) = (
        alike.next().unwrap(),
        alike.next().unwrap(),
        alike.next().unwrap(),
    );
    note(&mut memory, &one, 60, 1);
    note(&mut memory, &two, 60, 2);
    note(&mut memory, &one, 60, 3);
    note(&mut memory, &three, 60, 4);
    let keys: Vec<BlockedKey> = memory.flows().iter().map(|flow| flow.key).collect();
    assert!(keys.contains(&one) && keys.contains(&three) && keys.len() == 2);
}

#[test]
fn what_the_agent_was_not_told_is_counted() {
    let mut memory = Memory::new();
    memory.room = 1;
    for number in 0..3 {
        note(&mut memory, &key(number, Reason::NotAllowed), 60, 1);
    }
    assert_eq!(memory.bucket_of(Reason::NotAllowed).lost, 2);
    assert_eq!(memory.flows().len(), 3);
}

#[test]
fn flows_spread_over_the_sets() {
    let mut used = vec![0; SETS as usize];
    for number in 0..SETS {
        used[key(number, Reason::NotAllowed).set() as usize] += 1;
    }
    // Two thirds of the sets, as from a fair die (1 - 1/e), and no heap of them.
    let taken = used.iter().filter(|count| **count > 0).count();
    assert!(taken > SETS as usize / 2, "{taken}");
    assert!(used.iter().all(|count| *count < 12));
}

#[test]
fn the_port_is_what_people_would_name() {
    let packet = |destination_port, icmp_type| crate::packet::Packet {
        source_routed: false,
        fragment_edge: 0,
        family: Family::V4,
        source: Address::v4([192, 0, 2, 1]),
        destination: Address::v4([192, 0, 2, 2]),
        protocol: crate::packet::Protocol::ICMP,
        hop_limit: 64,
        has_options: false,
        fragment: crate::packet::Fragment::Whole,
        source_port: 0,
        destination_port,
        tcp_flags: crate::packet::TcpFlags(0),
        tcp_sequence: 0,
        tcp_acknowledgement: 0,
        icmp_type,
        fragment_id: 0,
        payload_offset: 0,
        payload: 0,
        ethertype: 0,
    };
    let judgement = Judgement {
        slot: 0,
        direction: Direction::Inbound,
        observing: false,
        verdict: crate::Verdict::without_service(Reason::NotAllowed),
        length: 60,
    };
    let port = |packet| BlockedKey::of(&packet, &judgement).port;
    assert_eq!(port(packet(445, 0)), 445);
    // Echo requests carry their identifier as a port.
    assert_eq!(port(packet(0x1234, 8)), 8);
    assert_eq!(port(packet(0, 13)), 13);
}

fn link_key(frame: &[u8]) -> BlockedKey {
    let mut bytes = [0; HEADER];
    for (byte, value) in bytes.iter_mut().zip(frame) {
        *byte = *value;
    }
    let header = Header::of(&bytes, frame.len() as u32);
    let judgement = Judgement {
        slot: 3,
        direction: Direction::Outbound,
        observing: false,
        verdict: crate::Verdict::without_service(Reason::EthertypeRefused),
        length: frame.len() as u64,
    };
    let mut key = BlockedKey::of_frame(&judgement);
    key.set_link(&header);
    assert_eq!(key.link(), Some(header));
    assert_eq!(key.reason, Reason::EthertypeRefused as u8);
    assert_eq!((key.slot, key.marks), (3, mark::OUTBOUND | mark::LINK));
    key
}

#[test]
fn a_frame_without_an_ip_packet_has_its_hardware_addresses() {
    let frame = Packet::ethertype(0x88b5)
        .source_mac([2, 0, 0, 0, 0, 9])
        .destination_mac([1, 0, 0x0c, 0xcc, 0xcc, 0xcd]);
    // However long, and in whatever VLAN.
    let frames = [
        frame.clone(),
        frame.clone().payload(46),
        frame.clone().vlan(7),
        frame.qinq(7, 8).payload(100),
    ];
    let header = Header {
        destination: 0x0100_0ccc_cccd,
        source: 0x0200_0000_0009,
        ethertype: 0x88b5,
        llc: 0,
    };
    let keys = frames.map(|frame| link_key(&frame.build()));
    assert!(keys.iter().all(|key| *key == keys[0]));
    assert_eq!(keys[0].link(), Some(header));
    // Other addresses, or another type, are another flow.
    assert_ne!(keys[0], link_key(&Packet::ethertype(0x88b5).build()));
    assert_ne!(
        link_key(&Packet::ethertype(0x88b5).build()),
        link_key(&Packet::ethertype(0x88b6).build())
    );
}

#[test]
fn an_802_3_frame_is_known_by_its_llc_header() {
    let link = |packet: Packet| link_key(&packet.build()).link().unwrap();
    let pvst = [0, 0, 0x0c, 0x01, 0x0b, 2, 2, 0x0e];
    for packet in [
        Packet::llc(0xaa, 0xaa).data(pvst),
        Packet::llc(0xaa, 0xaa).data(pvst).pad(200).vlan(7),
    ] {
        let header = link(packet);
        assert_eq!(header.ethertype, 0);
        assert_eq!(header.snap(), Some(([0, 0, 0x0c], 0x010b)));
        assert_eq!(header.llc, 0xaaaa_0300_000c_010b);
    }
    let netbios = link(Packet::llc(0xf0, 0xf0).payload(43));
    assert_eq!((netbios.llc >> 48, netbios.snap()), (0xf0f0, None));
    // From 0x0600 on it is an ethertype (IEEE 802.3, 3.2.6).
    for (kind, ethertype) in [(0x05ff, 0), (0x0600, 0x0600)] {
        let mut frame = Packet::ethertype(kind).payload(46).build();
        frame[12..14].copy_from_slice(&kind.to_be_bytes());
        assert_eq!(link_key(&frame).link().unwrap().ethertype, ethertype);
    }
    // Only the access points count.
    assert_eq!(netbios, link(Packet::llc(0xf0, 0xf0).data([7; 50])));
}

#[test]
fn what_is_cut_off_is_zero() {
    let frame = Packet::llc(0xaa, 0xaa).data([0, 0, 0x0c, 1, 0x0b]).build();
    for length in 0..frame.len() {
        let header = link_key(&frame[..length]).link().unwrap();
        assert_eq!(header.destination == 0, length == 0);
        assert_eq!(header.source == 0, length < 7);
        assert_eq!(header.llc == 0, length < 15, "{length}");
        assert_eq!(header.snap().is_some(), length >= 17, "{length}");
    }
    let deep = Packet::ethertype(0x88b5).vlan(7).vlan(8).vlan(9);
    assert_eq!(link_key(&deep.build()).port, 0x8100);
    let half = Packet::ethertype(0x8100).data([0, 7]);
    assert_eq!(link_key(&half.build()).port, 0x8100);
}
