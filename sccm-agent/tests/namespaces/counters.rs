//! The counters tell the truth: every frame once, with its bytes, where it belongs.

use anyhow::Result;
use sccm_tests::agent::{Agent, Hosts, LONG, POINT};
use sccm_tests::scrape::Metrics;
use sccm_tests::traffic::{FrameSocket, Outcome, ping};

/// A series of equal frames, and where they are to be counted.
struct Series {
    frame: Vec<u8>,
    count: u64,
    passes: bool,
    labels: [(&'static str, &'static str); 5],
}

/// Sends series of different lengths to the point.
fn send_series(hosts: &Hosts) -> Result<Vec<Series>> {
    let mut all = Vec::new();
    for (packet, icmp) in hosts.packets()?.into_iter().zip(["icmp", "icmpv6"]) {
        let packet = packet.payload(100);
        let udp = |port| packet.clone().udp(40000, port);
        let syn = |port| packet.clone().tcp(40000, port).syn();
        for (packet, protocol, service, passes) in [
            (udp(63500), "udp", "multicast", true),
            (udp(161), "udp", "none", false),
            (syn(1433), "tcp", "sql", false),
            (syn(9999), "tcp", "none", false),
            (
                packet.clone().icmp_echo_request(1),
                icmp,
                "icmp-echo",
                false,
            ),
        ] {
            let reason = if passes { "service" } else { "not-allowed" };
            all.push(Series {
                frame: packet.build(),
                count: 10 + all.len() as u64,
                passes,
                labels: [
                    ("interface", "eth0"),
                    ("direction", "inbound"),
                    ("reason", reason),
                    ("protocol", protocol),
                    ("service", service),
                ],
            });
        }
    }
    let socket = FrameSocket::open(hosts.client.interface("eth0"))?;
    for series in &all {
        for _ in 0..series.count {
            socket.send(&series.frame)?;
        }
    }
    Ok(all)
}

/// Asserts that every frame is counted once, with its bytes, in `passed` or else in `other`, and
/// that nothing else is counted in `other`.
fn are_counted(agent: &Agent, all: &[Series], other: &str) -> Result<Metrics> {
    let table = |passes| if passes { "sccm_passed" } else { other };
    let of = |passes| all.iter().filter(move |series| series.passes == passes);
    let total = |passes| of(passes).map(|series| series.count).sum::<u64>();
    let packets = |metrics: &Metrics, passes| {
        let labels: &[_] = if passes {
            &[("service", "multicast"), ("direction", "inbound")]
        } else {
            &[]
        };
        metrics.sum(&format!("{}_packets_total", table(passes)), labels) as u64
    };
    let metrics = agent.metrics_when(|metrics| {
        [true, false]
            .iter()
            .all(|passes| packets(metrics, *passes) >= total(*passes))
    })?;
    assert_eq!(packets(&metrics, false), total(false));
    for series in all {
        let alike = || all.iter().filter(|other| other.labels == series.labels);
        let bytes = |series: &Series| series.count * series.frame.len() as u64;
        let counted = |unit| {
            let name = format!("{}_{unit}_total", table(series.passes));
            metrics.sum(&name, &series.labels) as u64
        };
        let name = &series.labels;
        let expected: u64 = alike().map(|series| series.count).sum();
        assert_eq!(counted("packets"), expected, "{name:?}");
        assert_eq!(
            counted("bytes"),
            alike().map(bytes).sum::<u64>(),
            "{name:?}"
        );
    }
    Ok(metrics)
}

#[test]
fn every_frame_is_counted_once() -> Result<()> {
    let hosts = Hosts::new()?;
    let agent = hosts.enforce(POINT)?;
    let all = send_series(&hosts)?;
    let metrics = are_counted(&agent, &all, "sccm_dropped")?;
    assert_eq!(metrics.sum("sccm_would_drop_packets_total", &[]), 0.0);
    Ok(())
}

#[test]
fn observing_drops_nothing_and_counts_the_same() -> Result<()> {
    let hosts = Hosts::new()?;
    let agent = hosts.enforce(&format!("{POINT} --observe"))?;
    let all = send_series(&hosts)?;
    let metrics = are_counted(&agent, &all, "sccm_would_drop")?;
    assert_eq!(
        metrics.sum("sccm_enforcing", &[("interface", "eth0")]),
        0.0,
        "observing is not enforcing"
    );

    let (tcp, udp) = ([21, 1433, 9999], [53, 161]);
    let _tcp = hosts.tcp_servers(&tcp)?;
    let _udp = hosts.udp_servers(&udp)?;
    hosts.assert_tcp(&tcp, Outcome::Connected);
    hosts.assert_udp(&udp, true);
    for address in Hosts::POINT {
        assert!(ping(&hosts.client, address, LONG)?);
    }
    assert_eq!(agent.metrics()?.dropped(&[]), 0, "nothing is dropped");
    let status = hosts.status()?;
    assert_eq!((status.of("eth0").0, status.code), ("observing", Some(4)));
    Ok(())
}
