use super::{Progress, Spot, Stage, Summary, Wish};
use crate::config;
use crate::policy::prefix;
use pcap_file::pcap::{PcapPacket, PcapWriter};
use sccm_tests::packet::Packet;
use sccm_tests::packet::tcp_flag::{ACK, SYN};
use serde_json::{Value, json};
use std::fs::{self, File};
use std::path::PathBuf;
use std::time::Duration;
use tempfile::{TempDir, tempdir};

/// A packet: at this second, with so many bytes of it in the file.
type Packets = Vec<(u64, Vec<u8>, usize)>;

struct Site {
    directory: TempDir,
    wish: Wish,
    files: Vec<PathBuf>,
}

impl Site {
    fn new(policy: &str, spot: Spot, protected: &[&str]) -> Self {
        let directory = tempdir().unwrap();
        let wish = Wish {
            policy: load(&directory, policy),
            against: None,
            spot,
            protected: protected.iter().map(|one| prefix(one).unwrap()).collect(),
            own: Vec::new(),
            interfaces: Vec::new(),
            count: u64::MAX,
        };
        Self {
            directory,
            wish,
            files: Vec::new(),
        }
    }

    fn file(mut self, packets: &Packets) -> Self {
        let name = format!("{}.pcap", self.files.len());
        let path = self.directory.path().join(name);
        let mut writer = PcapWriter::new(File::create(&path).unwrap()).unwrap();
        for (second, bytes, had) in packets {
            let packet = PcapPacket::new(
                Duration::from_secs(*second),
                bytes.len() as u32,
                &bytes[..*had],
            );
            writer.write_packet(&packet).unwrap();
        }
        self.files.push(path);
        self
    }

    fn summary(self) -> (Summary, Value) {
        let stage = Stage::new(self.wish).unwrap();
        let replayed = stage.run(&self.files, None, &mut |_: Progress| {}).unwrap();
        let summary = stage.summary(&replayed, 50);
        let json = serde_json::to_value(&summary).unwrap();
        (summary, json)
    }

    fn json(self) -> Value {
        self.summary().1
    }
}

fn load(directory: &TempDir, text: &str) -> crate::policy::SitePolicy {
    let path = directory.path().join("policy.toml");
    fs::write(&path, text).unwrap();
    config::load(&path).unwrap()
}

fn whole(second: u64, bytes: Vec<u8>) -> (u64, Vec<u8>, usize) {
    let had = bytes.len();
    (second, bytes, had)
}

fn tcp(from: (&str, u16), to: (&str, u16), flags: u8) -> Vec<u8> {
    Packet::ip(from.0, to.0)
        .tcp(from.1, to.1)
        .flags(flags)
        .build()
}

/// Reason, direction, service and packets of each row.
fn rows(json: &Value) -> Vec<String> {
    let mut rows: Vec<String> = json["counts"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| {
            let text = |key: &str| row[key].as_str().unwrap_or("-").to_owned();
            let parts = [
                text("direction"),
                text("reason"),
                text("service"),
                row["packets"].to_string(),
            ];
            parts.join(" ")
        })
        .collect();
    rows.sort();
    rows
}

const POINT: &str = "[[protect]]\nname = \"point\"\nroles = [\"distribution-point\"]\n";
const HOST: (&str, &str) = ("192.0.2.2", "192.0.2.1");

#[test]
fn state_and_time_are_the_captures() {
    let (host, client) = HOST;
    let out = |second, flags| whole(second, tcp((host, 40000), (client, 9100), flags));
    let back = |second, flags| whole(second, tcp((client, 9100), (host, 40000), flags));
    let first = vec![
        whole(1000, tcp((client, 1025), (host, 80), SYN)),
        whole(1000, tcp((host, 80), (client, 1025), SYN | ACK)),
        whole(1001, tcp((client, 1026), (host, 9999), SYN)),
        whole(1002, tcp((client, 1026), (host, 9999), SYN)),
        back(1002, ACK),
        out(1003, SYN),
        back(1003, SYN | ACK),
        out(1003, ACK),
    ];
    // What the first file opened is open in the second; a day later it is not.
    let second = vec![back(1010, ACK), back(100_000, ACK), back(99_000, ACK)];
    let site = Site::new(POINT, Spot::Host, &[host])
        .file(&first)
        .file(&second);
    let (summary, json) = site.summary();
    let expected = [
        "inbound not-allowed none 5",
        "inbound reply none 2",
        "inbound service http 1",
        "outbound outbound http 1",
        "outbound outbound none 2",
    ];
    assert_eq!(rows(&json), expected);
    assert_eq!(
        (&json["packets"], &json["passed"], &json["dropped"]),
        (&json!(11), &json!(6), &json!(5))
    );

    let talks = json["conversations"].as_array().unwrap();
    let of = |port: u16| talks.iter().find(|talk| talk["port"] == port).unwrap();
    let web = of(80);
    assert_eq!(
        (&web["opener"], &web["direction"]),
        (&json!(client), &json!("inbound"))
    );
    assert_eq!(
        (&web["packets_of_opener"], &web["packets_of_server"]),
        (&json!(1), &json!(1))
    );
    let refused = of(9999);
    assert_eq!(
        (&refused["dropped"], &refused["reasons"]),
        (&json!(2), &json!(["not-allowed"]))
    );
    assert_eq!(
        refused["first_dropped"],
        json!({"file": 0, "number": 3, "at": 1001.0})
    );
    let opened = of(9100);
    assert_eq!(
        (&opened["opener"], &opened["direction"]),
        (&json!(host), &json!("outbound"))
    );
    assert_eq!(
        (&opened["passed"], &opened["dropped"]),
        (&json!(4), &json!(2))
    );
    let text = summary.text();
    assert!(
        text.starts_with("11 packets of 2 files: 6 pass, 5 are dropped\n\n"),
        "{text}"
    );
    assert!(text.contains("#3 of file 1"), "{text}");
}

#[test]
fn a_gateway_judges_the_same_from_either_side() {
    const POLICY: &str = "[site]\noutbound = \"enforce\"\n\n[[protect]]\nname = \"points\"\n\
                          roles = [\"distribution-point\"]\naddresses = [\"10.2.0.0/24\"]\n";
    let (point, client, own) = ("10.2.0.10", "10.9.0.1", "10.2.0.1");
    let packets = vec![
        whole(0, tcp((client, 1025), (point, 80), SYN)),
        whole(0, tcp((point, 80), (client, 1025), SYN | ACK)),
        whole(0, tcp((client, 1026), (point, 22), SYN)),
        whole(0, tcp((point, 1027), (client, 25), SYN)),
        whole(0, tcp((own, 1028), (client, 53), SYN)),
        whole(0, tcp((client, 53), (own, 1028), SYN | ACK)),
        whole(0, tcp((client, 1029), (own, 22), SYN)),
    ];
    let at = |spot| {
        let mut site = Site::new(POLICY, spot, &[]).file(&packets);
        site.wish.own.push(own.parse().unwrap());
        site.json()
    };
    let (uplink, segment) = (at(Spot::Uplink), at(Spot::Segment));
    assert_eq!(rows(&uplink), rows(&segment));
    assert_eq!(
        (&uplink["passed"], &uplink["dropped"]),
        (&json!(4), &json!(3)),
        "{uplink:#}"
    );
    assert_eq!(uplink["elsewhere"], 0);
    assert_eq!(uplink["conversations"], segment["conversations"]);
}

#[test]
fn what_was_cut_off_is_judged_as_far_as_that_goes() {
    let (host, client) = HOST;
    let long = Packet::ip(client, host)
        .tcp(1025, 80)
        .flags(ACK)
        .payload(1000)
        .build();
    let error = Packet::ip(client, host).icmp(3, 1).payload(200).build();
    let of = |had: usize| {
        let packets = vec![
            (0, long.clone(), had),
            (0, error.clone(), had.min(error.len())),
        ];
        Site::new(POINT, Spot::Host, &[host]).file(&packets).json()
    };
    let whole = of(long.len());
    assert_eq!(
        (&whole["passed"], &whole["cut_off"]),
        (&json!(1), &json!(0))
    );
    assert_eq!(rows(&of(110)), rows(&whole));
    let headers = of(54);
    assert_eq!(
        (&headers["passed"], &headers["cut_off"]),
        (&json!(1), &json!(1))
    );
    let less = of(53);
    assert_eq!(
        (&less["passed"], &less["dropped"], &less["cut_off"]),
        (&json!(0), &json!(0), &json!(2))
    );
    assert_eq!(less["bytes"], whole["bytes"]);
}

#[test]
fn two_policies_are_compared_packet_by_packet() {
    let (host, client) = HOST;
    let packets = vec![
        whole(0, tcp((client, 1025), (host, 80), SYN)),
        whole(0, tcp((client, 1026), (host, 22), SYN)),
        whole(0, tcp((client, 1027), (host, 9999), SYN)),
    ];
    let mut site = Site::new(POINT, Spot::Host, &[host]).file(&packets);
    let other = "[[protect]]\nname = \"point\"\nroles = [\"client\"]\n\n[[allow]]\nname = \"ssh\"\n\
                 protocol = \"tcp\"\nports = [22]\nfrom = \"any\"\nreason = \"a test\"\n";
    site.wish.against = Some(load(&site.directory, other));
    let (summary, json) = site.summary();
    assert_eq!(
        json["against"],
        json!({"opens": 1, "closes": 1, "conversations": 2})
    );
    let changed: Vec<_> = json["conversations"].as_array().unwrap().iter().collect();
    assert_eq!(
        changed
            .iter()
            .filter(|talk| talk["opens"] == 1 && talk["port"] == 22)
            .count(),
        1
    );
    assert_eq!(
        changed
            .iter()
            .filter(|talk| talk["closes"] == 1 && talk["port"] == 80)
            .count(),
        1
    );
    assert!(
        summary.text().contains("(1 would pass)"),
        "{}",
        summary.text()
    );
}

#[test]
fn damaged_files_give_what_they_have() {
    let (host, client) = HOST;
    let packets = vec![whole(0, tcp((client, 1025), (host, 80), SYN)); 3];
    let site = Site::new(POINT, Spot::Host, &[host])
        .file(&packets)
        .file(&packets)
        .file(&packets);
    let mut bytes = fs::read(&site.files[0]).unwrap();
    let long = match bytes[0] {
        0xa1 => 2_000_000_u32.to_be_bytes(),
        _ => 2_000_000_u32.to_le_bytes(),
    };
    bytes[24 + 16 + packets[0].2 + 8..][..4].copy_from_slice(&long);
    bytes.resize(bytes.len() + 2_000_000, 0);
    fs::write(&site.files[0], &bytes).unwrap();
    let cut = fs::read(&site.files[1]).unwrap();
    fs::write(&site.files[1], &cut[..cut.len() - 1]).unwrap();
    let (summary, json) = site.summary();
    let files = &json["files"];
    assert_eq!(
        (
            &files[0]["packets"],
            &files[1]["packets"],
            &files[2]["packets"]
        ),
        (&json!(1), &json!(2), &json!(3))
    );
    assert!(
        files[0]["error"].as_str().unwrap().contains("packet 2"),
        "{files}"
    );
    assert_eq!(
        (&files[1]["ended_early"], &files[2]["ended_early"]),
        (&json!(true), &json!(false))
    );
    assert_eq!(json["packets"], 6);
    for words in [
        "could not be read to its end, but for 1 packets",
        "ends within a packet",
    ] {
        assert!(summary.text().contains(words), "{}", summary.text());
    }
}

#[test]
fn bounds_hold() {
    let (host, client) = HOST;
    let packets = vec![whole(0, tcp((client, 1025), (host, 80), SYN)); 3];
    let mut site = Site::new(POINT, Spot::Host, &[host])
        .file(&packets)
        .file(&packets);
    site.wish.count = 4;
    assert_eq!(site.json()["packets"], 4);
    let mut site = Site::new(POINT, Spot::Host, &[host]).file(&packets);
    site.wish.interfaces.push("eth0".to_owned());
    assert_eq!(site.json()["packets"], 0);
}

#[test]
fn somebody_must_say_who_is_protected() {
    let nobody = Site::new(POINT, Spot::Host, &[]).wish;
    let why = Stage::new(nobody).err().unwrap().to_string();
    assert!(why.contains("--protected"), "{why}");
}
