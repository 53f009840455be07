//! What the commands that prove something print, as files in `tests/golden`: a change of words, of
//! order or of a verdict is seen when somebody reads the difference.

use crate::config::parse;
use crate::coverage::Coverage;
use crate::diff::{Difference, Side, openings};
use crate::expect;
use crate::export::{self, Place};
use crate::learn::{Lesson, of_capture};
use crate::policy::{SitePolicy, Surroundings, prefix};
use crate::replay::{Progress, Spot, Stage, Wish};
use crate::unused::{Idle, Unused, UnusedRight, UnusedWord};
use pcap_file::pcap::{PcapPacket, PcapWriter};
use sccm_tests::document::assert_golden;
use sccm_tests::packet::Packet;
use sccm_tests::packet::tcp_flag::{ACK, SYN};
use std::fs::File;
use std::time::Duration;
use tempfile::tempdir;

const POLICY: &str = include_str!("golden/policy.toml");

const NOW: u64 = 2_000_000_000;
const DAY: u64 = 86_400;

fn policy() -> SitePolicy {
    parse(POLICY).unwrap()
}

/// The policy of the file with another range of clients, and a rule less.
fn next() -> SitePolicy {
    let mut policy = parse(&POLICY.replace("10.64.0.0/12", "10.64.0.0/13")).unwrap();
    policy.allow.clear();
    policy
}

fn side(name: &str, policy: SitePolicy) -> Side {
    Side::written(name.to_owned(), policy, &Surroundings::default()).unwrap()
}

/// A connection that passes, one that does not, a datagram of a rule, and a scan.
fn packets() -> Vec<Vec<u8>> {
    let (client, server, other) = ("10.64.0.7", "10.2.0.20", "10.9.9.9");
    let to = |port| Packet::ip(client, server).tcp(40_000, port);
    let from = |port| Packet::ip(server, client).tcp(port, 40_000);
    let mut packets = vec![
        to(80).syn().build(),
        from(80).flags(SYN | ACK).build(),
        to(80).payload(100).build(),
        to(1433).syn().build(),
        Packet::ip(other, server).udp(5_000, 7).build(),
        Packet::ip(server, other).udp(7, 5_000).build(),
    ];
    for attempt in 0..3 {
        let client = format!("10.64.0.{}", 20 + attempt);
        let there = Packet::ip(&client, server);
        let back = Packet::ip(server, &client);
        packets.push(there.clone().tcp(41_000, 9_999).syn().build());
        packets.push(back.tcp(9_999, 41_000).flags(SYN | ACK).build());
        packets.push(there.tcp(41_000, 9_999).payload(10).build());
    }
    for port in 1..40 {
        packets.push(Packet::ip(other, server).tcp(42_000, port).syn().build());
    }
    packets
}

/// What `replay` and `learn` print of these packets.
fn of_packets() -> (String, String) {
    let directory = tempdir().unwrap();
    let path = directory.path().join("monday.pcap");
    let mut writer = PcapWriter::new(File::create(&path).unwrap()).unwrap();
    for (second, bytes) in (1_700_000_000..).zip(packets()) {
        let packet = PcapPacket::new(Duration::from_secs(second), bytes.len() as u32, &bytes);
        writer.write_packet(&packet).unwrap();
    }
    drop(writer);
    let stage = Stage::new(Wish {
        policy: policy(),
        against: Some(next()),
        spot: Spot::Host,
        protected: vec![prefix("10.2.0.20").unwrap()],
        own: Vec::new(),
        interfaces: Vec::new(),
        count: u64::MAX,
    })
    .unwrap();
    let replayed = stage.run(&[path], None, &mut |_: Progress| {}).unwrap();
    let seen = of_capture(replayed.conversations());
    let lesson = Lesson::new(&policy(), &Surroundings::default(), seen).unwrap();
    let summary = stage.summary(&replayed, 50).text();
    let folder = format!("{}/", directory.path().display());
    (summary.replace(&folder, ""), lesson.toml().to_owned())
}

fn unused() -> Unused {
    let idle = |last_used: Option<u64>, counted_since, counted_throughout| Idle {
        last_used,
        counted_since,
        counted_throughout,
    };
    let right = |peers: &str, service: &str, ports: &[&str], idle| UnusedRight {
        direction: "inbound",
        systems: "content".to_owned(),
        peers: peers.to_owned(),
        protocol: "tcp".to_owned(),
        service: service.to_owned(),
        ports: ports.iter().map(|port| (*port).to_owned()).collect(),
        packets: 0,
        idle,
    };
    let (long, short) = (NOW - 100 * DAY, NOW - 3 * DAY);
    Unused {
        hash: "80d3a01bda57".repeat(5),
        within: 90 * DAY,
        counted_since: Some(long),
        rights: 12,
        uncounted: 0,
        unused: vec![
            right(
                "client",
                "https",
                &["443"],
                idle(Some(NOW - 95 * DAY), long, true),
            ),
            right("client", "smb", &["139", "445"], idle(None, short, false)),
            right(
                "site-server",
                "rpc",
                &["1", "2", "3", "4", "5", "6"],
                idle(None, long, true),
            ),
        ],
        rules: Some(vec![UnusedWord {
            name: "echo".to_owned(),
            stands_in: "allow".to_owned(),
            idle: idle(None, long, true),
        }]),
        prefixes: Some(vec![UnusedWord {
            name: "10.2.0.5/32".to_owned(),
            stands_in: "peers site-server".to_owned(),
            idle: idle(None, long, true),
        }]),
    }
}

/// One file for each: `UPDATE_DOCS=1 cargo test --lib the_document` writes them.
#[test]
fn the_documents_of_what_commands_print_are_current() {
    let here = Surroundings::default();
    let coverage = Coverage::new(&policy(), &here, false).unwrap();
    let (before, after) = (side("before.toml", policy()), side("after.toml", next()));
    let difference = Difference::new(&before, &after).unwrap();
    let open = openings(&before).unwrap();
    let verdicts = expect::test(&policy(), &here).unwrap();
    let (replay, learn) = of_packets();
    for (name, printed) in [
        ("coverage.txt", coverage.text()),
        ("diff.txt", difference.text()),
        ("test.txt", super::test::text(&verdicts)),
        ("test.xml", super::test::junit(&verdicts, "policy.toml")),
        (
            "export.nft",
            export::nftables(&open, &before.tables().nobody(), &Place::Host),
        ),
        ("export.csv", export::csv(&open)),
        (
            "export-aerleon.yaml",
            export::policy(&open, "cisco: sccm-{} extended"),
        ),
        (
            "export-aerleon-definitions.yaml",
            export::definitions(&open),
        ),
        ("replay.txt", replay),
        ("learn.toml", learn),
        ("unused.txt", unused().text(NOW)),
    ] {
        assert_golden(name, &(printed + "\n"));
    }
}
