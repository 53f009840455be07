mod written;

use super::{Reader, Way};
use flate2::Compression;
use flate2::write::GzEncoder;
use ruzstd::encoding::{CompressionLevel, compress_to_vec};
use sccm_tests::packet::Packet;
use std::io::{Cursor, Read, Write as _};
use std::time::Duration;
use written::Order::{Big, Little};

/// What was read of a frame.
type Seen = (u64, String, Duration, Option<Way>, Vec<u8>, u32);

/// All frames, and whether the file ended early.
fn all(file: Vec<u8>) -> Result<(Vec<Seen>, bool), String> {
    let size = file.len() as u64;
    let words = |error: anyhow::Error| format!("{error:#}");
    let mut reader = Reader::new(Box::new(Cursor::new(file)), size).map_err(words)?;
    let mut seen = Vec::new();
    while let Some(frame) = reader.next_frame().map_err(words)? {
        let (number, at, way) = (frame.number, frame.at, frame.way);
        let (bytes, length, index) = (frame.bytes.to_vec(), frame.length, frame.interface);
        assert_eq!(frame.is_cut(), bytes.len() < length as usize);
        let interface = frame.interface_name.to_owned();
        assert_eq!(reader.interfaces()[index], interface);
        seen.push((number, interface, at, way, bytes, length));
    }
    Ok((seen, reader.ended_early()))
}

/// The bytes and lengths alone.
fn frames(file: Vec<u8>) -> Vec<(Vec<u8>, u32)> {
    let (seen, ended_early) = all(file).unwrap();
    assert!(!ended_early);
    let of = |(_, _, _, _, bytes, length)| (bytes, length);
    seen.into_iter().map(of).collect()
}

fn why_not(file: Vec<u8>) -> String {
    all(file).unwrap_err()
}

fn syn() -> Vec<u8> {
    Packet::ip("192.0.2.1", "192.0.2.2").tcp(40000, 80).build()
}

#[test]
fn both_formats_in_both_orders_with_all_units_of_time() {
    let syn = syn();
    let length = syn.len() as u32;
    for order in [Little, Big] {
        for (magic, unit) in [(0xa1b2_c3d4, 1000), (0xa1b2_3c4d, 1)] {
            let file = order.pcap(magic, 1, &[(7, 5, &syn, length), (8, 0, &syn[..20], 2000)]);
            let (seen, ended_early) = all(file).unwrap();
            let interface = "interface 0".to_owned();
            let at = Duration::new(7, 5 * unit);
            let first = (1, interface.clone(), at, None, syn.clone(), length);
            let cut = (
                2,
                interface,
                Duration::from_secs(8),
                None,
                syn[..20].to_vec(),
                2000,
            );
            assert_eq!((seen, ended_early), (vec![first, cut], false));
        }
        // The default is microseconds; 2^-10 seconds; nanoseconds, and 100 seconds later.
        for (options, ticks, at) in [
            (vec![], 5_000_001, Duration::new(5, 1000)),
            (vec![(9, &[0x8a][..])], 1536, Duration::new(1, 500_000_000)),
            (
                vec![(9, &[9][..]), (14, &[0; 8][..])],
                3_000_000_007,
                Duration::new(3, 7),
            ),
            (vec![(9, &[127][..])], 1, Duration::ZERO),
        ] {
            let mut file = order.section();
            file.extend(order.interface(1, &options));
            file.extend(order.packet(0, ticks, &syn, length));
            let (seen, _) = all(file).unwrap();
            assert_eq!(seen.len(), 1);
            assert_eq!(seen[0].2, at, "{options:?}");
        }
    }
}

#[test]
fn interfaces_have_one_number_in_all_sections() {
    let syn = syn();
    let length = syn.len() as u32;
    let mut file = Vec::new();
    for order in [Little, Big] {
        file.extend(order.section());
        file.extend(order.interface(1, &[(2, b"eth0")]));
        file.extend(order.interface(1, &[(2, b"eth1")]));
        file.extend(order.interface(1, &[]));
        // Blocks of other kinds are no packets.
        file.extend(order.block(5, &[0; 12]));
        file.extend(order.block(0x0bad, &[0; 12]));
        let left = [order.option(1, &[0xff]), order.option(2, &order.u32(2))].concat();
        file.extend(order.packet_with(1, 10, &syn, length, &left));
        file.extend(order.packet_with(0, 11, &syn, length, &order.option(2, &order.u32(1))));
        // The two older kinds of packets; a simple one has no time of its own.
        let older = [
            &order.u16(2)[..],
            &order.u16(9),
            &order.u32(0),
            &order.u32(12),
        ]
        .concat();
        let lengths = [order.u32(length), order.u32(length)].concat();
        file.extend(order.block(2, &[&older[..], &lengths, &syn].concat()));
        file.extend(order.block(3, &[&order.u32(length)[..], &syn].concat()));
    }
    let (seen, _) = all(file).unwrap();
    let of = |(number, name, at, way, bytes, _): &Seen| {
        assert_eq!(*bytes, syn);
        (*number, name.clone(), at.as_micros(), *way)
    };
    let one = |number: u64| {
        [
            (number, "eth1".to_owned(), 10, Some(Way::Left)),
            (number + 1, "eth0".to_owned(), 11, Some(Way::Arrived)),
            (number + 2, "interface 2".to_owned(), 12, None),
            (number + 3, "eth0".to_owned(), 12, None),
        ]
    };
    let expected = [one(1), one(5)].concat();
    assert_eq!(seen.iter().map(of).collect::<Vec<_>>(), expected);
}

#[test]
fn every_link_type_becomes_ethernet() {
    let syn = syn();
    let v6 = Packet::ip("2001:db8::1", "2001:db8::2").udp(5, 6).build();
    let (packet, length) = (&syn[14..], syn.len() as u32);
    let source = [2, 0, 0, 0, 0, 7];
    let ethernet = |destination: [u8; 6], source: [u8; 6], protocol: &[u8], packet: &[u8]| {
        [&destination[..], &source, protocol, packet].concat()
    };
    let nobody = [0; 6];

    // Raw IP.
    let raw = |packet: &[u8]| {
        frames(Little.pcap(0xa1b2_c3d4, 101, &[(0, 0, packet, packet.len() as u32)]))
    };
    assert_eq!(
        raw(packet),
        [(ethernet(nobody, nobody, &[8, 0], packet), length)]
    );
    let expected = ethernet(nobody, nobody, &[0x86, 0xdd], &v6[14..]);
    assert_eq!(raw(&v6[14..]), [(expected, v6.len() as u32)]);

    // Cooked: from us; then to many, of LLC.
    let cooked = |kind: u8, protocol: [u8; 2], packet: &[u8]| {
        let head = [0, kind, 0, 1, 0, 6, 2, 0, 0, 0, 0, 7, 0, 0];
        [&head[..], &protocol, packet].concat()
    };
    let (ours, llc) = (
        cooked(4, [8, 0], packet),
        cooked(2, [0, 4], &[0x42, 0x42, 3]),
    );
    let file = [
        (0, 0, &ours[..], ours.len() as u32),
        (0, 0, &llc[..], llc.len() as u32),
    ];
    let (seen, _) = all(Little.pcap(0xa1b2_c3d4, 113, &file)).unwrap();
    assert_eq!(seen[0].3, Some(Way::Left));
    assert_eq!(seen[0].4, ethernet(nobody, source, &[8, 0], packet));
    assert_eq!(seen[0].5, length);
    assert_eq!(seen[1].3, Some(Way::Arrived));
    let group = [1, 0, 0, 0, 0, 0];
    assert_eq!(
        seen[1].4,
        ethernet(group, source, &[0, 3], &[0x42, 0x42, 3])
    );

    // The second version names the interface; a snap length may cut into the head.
    let head = [8, 0, 0, 0, 0, 0, 0, 3, 0, 1, 0, 6, 2, 0, 0, 0, 0, 7, 0, 0];
    let whole = [&head[..], packet].concat();
    let file = [
        (0, 0, &whole[..], 20 + packet.len() as u32),
        (0, 0, &whole[..30], 20 + packet.len() as u32),
        (0, 0, &whole[..19], 20 + packet.len() as u32),
    ];
    let (seen, _) = all(Little.pcap(0xa1b2_c3d4, 276, &file)).unwrap();
    let expected = ethernet(nobody, source, &[8, 0], packet);
    assert_eq!(seen[0].1, "interface index 3");
    assert_eq!((&seen[0].4, seen[0].5), (&expected, length));
    assert_eq!((&seen[1].4[..], seen[1].5), (&expected[..24], length));
    assert!(seen[2].4.is_empty() && seen[2].5 > 0);

    for (link, name) in [
        (105, "802.11 (105)"),
        (127, "radiotap"),
        (9999, "link type 9999"),
    ] {
        let why = why_not(Little.pcap(0xa1b2_c3d4, link, &[(0, 0, packet, 1)]));
        assert!(why.starts_with("packet 1: is of link type"), "{why}");
        assert!(why.contains(name), "{why}");
    }
    // An interface of another type costs nothing while no packet is of it.
    let mut file = Little.section();
    file.extend(Little.interface(105, &[]));
    file.extend(Little.interface(1, &[]));
    file.extend(Little.packet(1, 0, &syn, length));
    assert_eq!(frames(file.clone()).len(), 1);
    file.extend(Little.packet(0, 0, &syn, length));
    assert!(why_not(file).contains("packet 2: is of link type 802.11"));
}

#[test]
fn packed_files_are_unpacked() {
    let syn = syn();
    let length = syn.len() as u32;
    let file = Little.pcap(
        0xa1b2_c3d4,
        1,
        &[(7, 5, &syn, length), (8, 6, &syn, length)],
    );
    let expected = frames(file.clone());
    assert_eq!(expected.len(), 2);

    let gzip = |part: &[u8]| {
        let mut packer = GzEncoder::new(Vec::new(), Compression::fast());
        packer.write_all(part).unwrap();
        packer.finish().unwrap()
    };
    let zstd = |part: &[u8]| compress_to_vec(part, CompressionLevel::Fastest);
    let (one, other) = file.split_at(60);
    // In parts, as `cat` and programs for many processors write them; zstd's may be empty.
    let skipped = [0x50, 0x2a, 0x4d, 0x18, 3, 0, 0, 0, 1, 2, 3];
    for packed in [
        gzip(&file),
        [gzip(one), gzip(other)].concat(),
        zstd(&file),
        [&zstd(one)[..], &skipped, &zstd(other)].concat(),
    ] {
        assert_eq!(frames(packed.clone()), expected);
        // Cut anywhere, it gives what was whole, and says so; or it says that there is nothing.
        for end in 0..packed.len() {
            match all(packed[..end].to_vec()) {
                Ok((seen, ended_early)) => assert!(seen.len() < 2 || !ended_early || end > 0),
                Err(why) => assert!(why.contains("ends"), "{end}: {why}"),
            }
        }
        // Damaged in the middle, it never gives other packets as if they were whole.
        let mut damaged = packed;
        let middle = damaged.len() / 2;
        damaged[middle] ^= 0x55;
        damaged[middle + 1] ^= 0x55;
        if let Ok((seen, ended_early)) = all(damaged) {
            let bytes: Vec<_> = seen.into_iter().map(|seen| (seen.4, seen.5)).collect();
            assert!(ended_early || bytes == expected);
        }
    }
}

#[test]
fn what_is_broken_is_told_in_words() {
    let syn = syn();
    let length = syn.len() as u32;
    let says = |file: Vec<u8>, words: &str| {
        let why = why_not(file);
        assert!(why.contains(words), "{why}");
    };
    says(vec![], "ends before it says what it is");
    says(b"abc".to_vec(), "ends before it says what it is");
    says(b"hello, world".to_vec(), "no pcap or pcapng file");
    says(
        Little.pcap(0xa1b2_c3d4, 1, &[])[..20].to_vec(),
        "ends within its head",
    );
    says(Little.section()[..20].to_vec(), "ends within its head");

    let pcap = Little.pcap(
        0xa1b2_c3d4,
        1,
        &[(7, 5, &syn, length), (8, 6, &syn, length)],
    );
    let mut pcapng = Little.section();
    pcapng.extend(Little.interface(1, &[(2, b"eth0")]));
    pcapng.extend(Little.packet(0, 0, &syn, length));
    pcapng.extend(Little.packet(0, 0, &syn, length));
    for whole in [&pcap, &pcapng] {
        for end in whole.len() - length as usize..whole.len() {
            let (seen, ended_early) = all(whole[..end].to_vec()).unwrap();
            assert!(seen.len() == 1 && ended_early, "{end}");
        }
    }

    // Lengths that no packet has: of the packet, of its block, of an option.
    let mut long = pcap.clone();
    let second = 24 + 16 + syn.len();
    long[second + 8..second + 12].copy_from_slice(&2_000_000_u32.to_le_bytes());
    long.extend(vec![0; 2_000_000]);
    says(long, "packet 2: 2000000 bytes long");
    let mut long = pcap;
    long[second + 8..second + 12].copy_from_slice(&2_000_000_000_u32.to_le_bytes());
    long.extend(vec![0; 9_000_000]);
    says(long, "packet 2: a block of more than 8 MB");
    let mut shorter = Little.section();
    shorter.extend(Little.interface(1, &[]));
    let body = [0, 0, 0, 500, 500].map(u32::to_le_bytes).concat();
    shorter.extend(Little.block(6, &body));
    says(shorter, "packet 1: a packet is longer than its block");
    let mut stranger = Little.section();
    stranger.extend(Little.packet(3, 0, &syn, length));
    says(stranger, "of interface 3, which the file does not describe");
    let mut odd = pcapng.clone();
    odd.extend([6, 0, 0, 0, 13, 0, 0, 0, 0, 0, 0, 0]);
    says(odd, "packet 3: the file is damaged here");
}

/// A file without an end, or what unpacks to one, is read piece by piece; what would have to stay in
/// memory is refused.
#[test]
fn what_has_no_end_costs_no_memory() {
    let mut described = Little.section();
    for number in 0..5000 {
        described.extend(Little.interface(1, &[(2, format!("eth{number}").as_bytes())]));
    }
    assert!(why_not(described).contains("of more than 4096 interfaces"));
    let mut described = Little.section();
    for _ in 0..200 {
        described.extend(Little.interface(1, &[(2, &[b'a'; 8000])]));
    }
    assert!(why_not(described).contains("more than a mebibyte of descriptions"));

    let zeros = std::io::repeat(0);
    let why = Reader::new(Box::new(zeros), 0).err().unwrap();
    assert!(format!("{why:#}").contains("no pcap or pcapng file"));
    let head = Cursor::new(Little.pcap(0xa1b2_c3d4, 1, &[]));
    let mut endless = Reader::new(Box::new(head.chain(std::io::repeat(0))), 0).unwrap();
    for _ in 0..100_000 {
        let frame = endless.next_frame().unwrap().unwrap();
        assert!(frame.bytes.is_empty());
    }
    assert_eq!(endless.interfaces().len(), 1);
}
