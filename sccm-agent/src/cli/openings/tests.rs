//! What the command prints, and by which bounds it judges.

use super::{bounds, learn, text};
use crate::openings::{Learned, Opening, Refused, Way};
use pcap_file::pcap::{PcapPacket, PcapWriter};
use sccm_common::rpc::{How, Refusal, Uuid};
use sccm_tests::packet::Packet;
use std::time::Duration;

fn learned() -> Learned {
    let server = "192.0.2.20".parse().unwrap();
    let client = "192.0.2.10".parse().unwrap();
    Learned {
        openings: vec![Opening {
            server,
            client,
            port: 49700,
            interface: Uuid(0x367abb81_9844_35f1_ad32_98f038001003),
            how: Way::EptMap,
            asked: How::Map,
            frame: 7,
        }],
        refused: vec![Refused {
            server,
            client,
            port: Some(445),
            reason: Refusal::ForbiddenPort,
            frame: 9,
        }],
        left_out: 3,
    }
}

#[test]
fn people_are_told_who_was_handed_what_and_what_opens_nothing() {
    let text = text(&learned());
    for part in [
        "49700",
        "service control",
        "(367abb81-9844-35f1-ad32-98f038001003)",
        "ept_map",
        "forbidden-port: the port belongs to another service",
        "3 more are not listed.",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    let nothing = super::text(&Learned::default());
    assert_eq!(nothing, "No mapper handed out a port.");
}

#[test]
fn programs_are_told_the_same() {
    let json = serde_json::to_value(learned()).unwrap();
    let expected = serde_json::json!({
        "openings": [{
            "server": "192.0.2.20", "client": "192.0.2.10", "port": 49700,
            "interface": "367abb81-9844-35f1-ad32-98f038001003", "how": "ept_map", "frame": 7,
        }],
        "refused": [{
            "server": "192.0.2.20", "client": "192.0.2.10", "port": 445,
            "reason": "forbidden-port", "frame": 9,
        }],
        "left_out": 3,
    });
    assert_eq!(json, expected);
}

#[test]
fn the_range_and_the_ports_of_other_services_are_those_of_the_policy() {
    let usual = bounds(&[], None);
    assert_eq!(usual.ranges, [(49152, 65535), (1025, 5000)]);
    // SQL Server and remote tools are in the table; no row of dynamic RPC is.
    for port in [(1433, 1433), (2701, 2701)] {
        assert!(usual.known.contains(&port), "{port:?}");
    }
    let is_wide = |(low, high): &(u16, u16)| high - low > 100;
    assert!(!usual.known.iter().any(is_wide), "{:?}", usual.known);

    let text = "[site]\nrpc-range = \"50000-50100\"\nhttp-port = 50080\n\
                [[protect]]\nname = \"dp\"\naddresses = [\"192.0.2.20\"]\n\
                roles = [\"distribution-point\"]\n\
                [[allow]]\nname = \"backup\"\nprotocol = \"tcp\"\nports = [50001]\nfrom = \"any\"\nreason = \"backup\"\n\
                [[allow]]\nname = \"all\"\nprotocol = \"tcp\"\nports = [\"49152-65535\"]\nfrom = \"any\"\nreason = \"RPC\"\n";
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("policy.toml");
    std::fs::write(&path, text).unwrap();
    let policy = crate::config::read(&path).unwrap().policy;
    let own = bounds(&[], Some(&policy));
    assert_eq!(own.ranges, [(50000, 50100)]);
    assert!(own.known.contains(&(50080, 50080)));
    assert!(own.known.contains(&(50001, 50001)));
    assert!(!own.known.contains(&(49152, 65535)), "that is about RPC");
    let range = "50000-50010".parse().unwrap();
    assert_eq!(bounds(&[range], Some(&policy)).ranges, [(50000, 50010)]);
}

#[test]
fn a_file_is_read_and_packets_count_from_one() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("some.pcap");
    let file = std::fs::File::create(&path).unwrap();
    let mut writer = PcapWriter::new(file).unwrap();
    let packet = Packet::ipv4("192.0.2.20", "192.0.2.10");
    let answer = packet.tcp(135, 50000).ack().payload(40).build();
    let other = Packet::ipv4("192.0.2.10", "192.0.2.20").udp(53, 53).build();
    for frame in [other, answer] {
        let length = frame.len() as u32;
        let packet = PcapPacket::new(Duration::ZERO, length, &frame);
        writer.write_packet(&packet).unwrap();
    }
    drop(writer);
    let learned = learn(&path, bounds(&[], None)).unwrap();
    assert_eq!(learned.openings, []);
    let [refused] = learned.refused.as_slice() else {
        panic!("{learned:?}")
    };
    assert_eq!(
        (refused.reason, refused.frame),
        (Refusal::NotEstablished, 2)
    );
}
