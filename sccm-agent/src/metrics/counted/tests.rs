use super::*;
use sccm_common::counter::{index, peer_index};
use sccm_common::usage::Row;
use sccm_common::{Peer, ServiceClass, Verdict, counter};

/// Pages with these counters.
fn page(counts: &[(Reason, u8, u64)]) -> Vec<Counter> {
    let mut page = vec![Counter::default(); counter::PAGE_COUNTERS];
    for (reason, class, packets) in counts {
        page[index(*reason, ServiceClass(*class))] = Counter {
            packets: *packets,
            bytes: packets * 100,
        };
    }
    page
}

/// What a direction refused of a class, by peer.
fn by_peer(direction: Direction, class: u8, counts: &[(u8, u64)]) -> Vec<Counter> {
    let mut page = vec![Counter::default(); counter::PEER_COUNTERS];
    for (peer, packets) in counts {
        let verdict = Verdict {
            reason: peer_reason(direction),
            service: ServiceClass(class),
            peer: Peer(*peer),
            row: Row::NONE,
        };
        page[peer_index(direction, verdict).unwrap()] = Counter {
            packets: *packets,
            bytes: packets * 100,
        };
    }
    page
}

/// Two classes of one name, and one of another; and the peer 2.
fn names() -> ServiceNames {
    let mut names = ServiceNames::default();
    names.peers.insert(Peer(2), "client".to_owned());
    for (class, service) in [(20, "http"), (21, "http"), (22, "smb")] {
        let name = crate::policy::ServiceName {
            protocol: "tcp".to_owned(),
            service: service.to_owned(),
        };
        names.insert(ServiceClass(class), name);
    }
    names
}

fn tally() -> Tally {
    Tally {
        interface: "a\"b\\".to_owned(),
        direction: Direction::Inbound,
        obeyed: [
            page(&[
                (Reason::Service, 20, 1),
                (Reason::Service, 21, 2),
                (Reason::NotAllowed, 22, 5),
            ]),
            // The last has no name: it adds up with those who are no peers.
            by_peer(Direction::Inbound, 22, &[(1, 4), (2, 6), (3, 1)]),
        ]
        .concat(),
        observed: page(&[
            (Reason::Service, 20, 10),
            (Reason::NotAllowed, 22, 7),
            (Reason::Arp, 0, 9),
        ]),
        shadow: page(&[(Reason::NotAllowed, 20, 3)]),
    }
}

#[test]
fn every_series_is_written_once_and_what_shares_its_labels_adds_up() {
    let mut text = String::new();
    write_all(&mut text, Format::Text, &[tally()], &names()).unwrap();
    let samples: Vec<&str> = text.lines().filter(|line| !line.starts_with('#')).collect();
    let series = |name: &str, labels: &str, value: u64| {
        [("packets", value), ("bytes", value * 100)].map(|(unit, value)| {
            format!(
                "sccm_{name}_{unit}_total{{interface=\"a\\\"b\\\\\",direction=\"inbound\",\
                 {labels}}} {value}"
            )
        })
    };
    let smb = "reason=\"not-allowed\",protocol=\"tcp\",service=\"smb\"";
    let http = "protocol=\"tcp\",service=\"http\"";
    let mut expected = [
        series("passed", &format!("reason=\"service\",{http}"), 13),
        series("passed", "reason=\"arp\",protocol=\"\",service=\"\"", 9),
        series("dropped", &format!("{smb},peer=\"\""), 6),
        series("dropped", &format!("{smb},peer=\"other\""), 4),
        series("dropped", &format!("{smb},peer=\"client\""), 6),
        series("would_drop", &format!("{smb},peer=\"\""), 7),
        series(
            "shadow_dropped",
            &format!("reason=\"not-allowed\",{http}"),
            3,
        ),
    ]
    .concat();
    let mut found: Vec<String> = samples.into_iter().map(str::to_owned).collect();
    expected.sort();
    found.sort();
    assert_eq!(found, expected);
    // Only families that have series, each with its head.
    let types = text.lines().filter(|line| line.starts_with("# TYPE"));
    assert_eq!(types.count(), 8, "{text}");
}

#[test]
fn open_metrics_differs_in_the_heads_alone() {
    let written = |format| {
        let mut text = String::new();
        write_all(&mut text, format, &[tally()], &names()).unwrap();
        text
    };
    let [text, open] = [Format::Text, Format::OpenMetrics].map(written);
    let samples = |text: &str| -> Vec<String> {
        let lines = text.lines().filter(|line| !line.starts_with('#'));
        lines.map(str::to_owned).collect()
    };
    assert_eq!(samples(&text), samples(&open));
    let head = "# TYPE sccm_dropped_bytes counter\n# UNIT sccm_dropped_bytes bytes\n\
                # HELP sccm_dropped_bytes Bytes of packets that were dropped.\n";
    assert!(open.contains(head), "{open}");
    let head = "# HELP sccm_dropped_bytes_total Bytes of packets that were dropped.\n\
                # TYPE sccm_dropped_bytes_total counter\n";
    assert!(text.contains(head), "{text}");
}

#[test]
fn numbers_are_decimal() {
    for value in [0, 9, 10, 123_456_789_012, u64::MAX] {
        let mut text = String::from("x");
        push_decimal(&mut text, value);
        assert_eq!(text, format!("x{value}"));
    }
}
