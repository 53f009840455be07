//! What a distribution point opens itself: HTTPS to "the Internet", which no link of it has.

use anyhow::Result;
use sccm_tests::gateway::{CLIENT, FAMILIES, Stage, Topology};
use sccm_tests::scrape::Metrics;
use sccm_tests::traffic::{Server, tcp_exchange, tcp_server};

use super::support::{LONG, PATIENCE, Told};

/// Lets the protected system try in both families, and returns what the agent counted.
fn try_https(topology: Topology, outbound: &str, answered: bool) -> Result<Metrics> {
    let stage = Stage::new(topology)?;
    // Answers to ports of the RPC range come in as that service, whoever asked.
    stage
        .server
        .sysctl("net.ipv4.ip_local_port_range", "40000 48000")?;
    let agent = stage.enforce("distribution-point", &format!("--outbound {outbound}"))?;
    let patience = if answered { LONG } else { PATIENCE };
    for family in FAMILIES {
        let internet: Server = tcp_server(&stage.client, (CLIENT[family], 443).into())?;
        assert_eq!(
            tcp_exchange(&stage.server, internet.address(), patience),
            answered,
            "{topology:?}, {outbound}, {}",
            internet.address()
        );
    }
    agent.metrics()
}

const TOPOLOGIES: [Topology; 3] = [Topology::Routed, Topology::Bridged, Topology::Host];

const HTTPS: [(&str, &str); 2] = [("protocol", "tcp"), ("service", "https")];

fn with(reason: &'static str) -> Vec<(&'static str, &'static str)> {
    [HTTPS.as_slice(), &[("reason", reason)]].concat()
}

#[test]
fn enforce_drops_it_by_name() -> Result<()> {
    for topology in TOPOLOGIES {
        let metrics = try_https(topology, "enforce", false)?;
        metrics.tells_dropped(&with("outbound-not-allowed"))?;
        assert_eq!(metrics.passed(&HTTPS), 0, "{metrics:#?}");
    }
    Ok(())
}

#[test]
fn track_lets_it_out_and_the_answers_in() -> Result<()> {
    for topology in TOPOLOGIES {
        let metrics = try_https(topology, "track", true)?;
        metrics.tells_passed(&with("outbound"))?;
        metrics.tells_passed(&with("reply"))?;
        metrics.tells_no_drop(&[])?;
    }
    Ok(())
}

#[test]
fn off_lets_it_out_and_no_answer_in() -> Result<()> {
    for topology in TOPOLOGIES {
        let metrics = try_https(topology, "off", false)?;
        metrics.tells_passed(&[("direction", "outbound"), ("reason", "outbound")])?;
        metrics.tells_dropped(&[("direction", "inbound"), ("reason", "not-allowed")])?;
        assert_eq!(metrics.passed(&[("reason", "reply")]), 0, "{metrics:#?}");
    }
    Ok(())
}
