//! The two formats of `/metrics`, with the same figures.

use std::collections::BTreeSet;

use anyhow::Result;
use sccm_tests::agent::{Hosts, METRICS, POINT};
use sccm_tests::scrape::Metrics;
use sccm_tests::traffic::Outcome;

use super::client::{ask, request};

fn scrape(hosts: &Hosts, accept: &str) -> Result<(String, String)> {
    let lines = format!("Host: localhost\r\nAccept: {accept}\r\n");
    let answer = ask(&hosts.point, METRICS, &request("GET", "/metrics", &lines))?;
    assert_eq!(answer.status, 200);
    let kind = answer.header("content-type").unwrap_or_default().to_owned();
    Ok((kind, answer.body))
}

/// What is told without what never stands still: the process's own metrics, how many flows are alive,
/// and times of use, which two clocks tell to the second each.
fn of_the_kernel(text: &str) -> Result<Metrics> {
    let mut metrics = Metrics::parse(text)?;
    let samples = metrics.samples.len();
    metrics.samples.retain(|sample| {
        !sample.name.starts_with("process_")
            && sample.name != "sccm_flow_entries"
            && sample.name != "sccm_service_last_used_timestamp_seconds"
    });
    assert!(metrics.samples.len() < samples);
    Ok(metrics)
}

#[test]
fn both_formats_say_the_same() -> Result<()> {
    let hosts = Hosts::new()?;
    let _servers = hosts.tcp_servers(&[80, 21])?;
    let _agent = hosts.enforce(POINT)?;
    hosts.assert_tcp(&[80], Outcome::Connected);
    hosts.assert_tcp(&[21], Outcome::TimedOut);
    // No packet comes any more.
    hosts.point.ip("link set eth0 down")?;

    let (kind, text) = scrape(&hosts, "*/*")?;
    assert_eq!(kind, "text/plain; version=0.0.4; charset=utf-8");
    let (kind, open) = scrape(
        &hosts,
        "application/openmetrics-text;version=1.0.0,*/*;q=0.1",
    )?;
    assert_eq!(
        kind,
        "application/openmetrics-text; version=1.0.0; charset=utf-8"
    );

    assert!(Metrics::parse(&text)?.dropped(&[]) > 0);
    assert!(Metrics::parse(&text)?.passed(&[]) > 0);
    assert_eq!(of_the_kernel(&text)?, of_the_kernel(&open)?);
    let types = |body: &str| -> BTreeSet<String> {
        let lines = body.lines().filter(|line| line.starts_with("# TYPE "));
        lines.map(str::to_owned).collect()
    };
    let named = |family: &str| format!("# TYPE sccm_{family} counter");
    assert!(types(&text).contains(&named("dropped_packets_total")));
    assert!(types(&open).contains(&named("dropped_packets")));
    assert!(!types(&open).iter().any(|line| line.contains("_total")));
    assert!(open.contains("\n# UNIT sccm_dropped_bytes bytes\n"));
    assert!(open.ends_with("\n# EOF\n"));
    assert!(!text.contains("# EOF"));
    Ok(())
}
