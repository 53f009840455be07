//! What a distribution point opens itself: HTTPS to "the Internet", which no link of it has, and what
//! rules let it open.

use anyhow::Result;
use sccm_tests::agent::PolicyFile;
use sccm_tests::gateway::{CLIENT, FAMILIES, STRANGER, Stage, Topology};
use sccm_tests::scrape::Metrics;
use sccm_tests::traffic::{Server, tcp_exchange, tcp_server, udp_echo_server, udp_exchange};

use super::support::{LONG, PATIENCE, Told};

/// Lets the protected system try in both families, and returns what the agent counted.
fn try_https(topology: Topology, outbound: &str, answered: bool) -> Result<Metrics> {
    let stage = Stage::new(topology)?;
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

const NAMES: u16 = 53;

/// The policy of a distribution point that may ask one address for names, and the Internet for HTTPS.
const RULES: &str = r#"
[site]
outbound = "enforce"
internal = ["192.0.2.10", "2001:db8:1::10"]

[[protect]]
name = "point"
roles = ["distribution-point"]

[[outbound.allow]]
name = "names"
protocol = "udp"
ports = [53]
to = ["192.0.2.10", "2001:db8:1::10"]
reason = "it asks for names"

[[outbound.allow]]
name = "updates"
protocol = "tcp"
ports = [443]
to = ["internet"]
reason = "it fetches updates"
"#;

#[test]
fn rules_let_out_what_they_name_and_nothing_else() -> Result<()> {
    for topology in TOPOLOGIES {
        let stage = Stage::new(topology)?;
        let file = PolicyFile::allowing(&[])?;
        file.write(RULES)?;
        let cards = match topology {
            Topology::Host => "--interface eth0",
            _ => "--uplink up0 --segment seg0",
        };
        let config = file.path();
        let agent = stage.start(&format!("enforce {cards} --config {}", config.display()))?;
        for family in FAMILIES {
            let (known, internet) = (CLIENT[family], STRANGER[family]);
            let _servers: [Server; 4] = [
                udp_echo_server(&stage.client, (known, NAMES).into())?,
                udp_echo_server(&stage.client, (internet, NAMES).into())?,
                tcp_server(&stage.client, (known, 443).into())?,
                tcp_server(&stage.client, (internet, 443).into())?,
            ];
            for (to, answered, patience) in [(known, true, LONG), (internet, false, PATIENCE)] {
                let asked = udp_exchange(&stage.server, (to, NAMES).into(), patience);
                assert_eq!(asked, answered, "{topology:?}, names from {to}");
            }
            for (to, answered, patience) in [(known, false, PATIENCE), (internet, true, LONG)] {
                let asked = tcp_exchange(&stage.server, (to, 443).into(), patience);
                assert_eq!(asked, answered, "{topology:?}, HTTPS from {to}");
            }
        }
        let metrics = agent.metrics()?;
        for service in [("udp", "dns+udp/53"), ("tcp", "https+tcp/443")] {
            let of = |reason: &'static str| {
                let (protocol, service) = service;
                [
                    ("protocol", protocol),
                    ("service", service),
                    ("reason", reason),
                ]
            };
            metrics.tells_passed(&of("outbound"))?;
            metrics.tells_dropped(&of("outbound-not-allowed"))?;
        }
        let rule = [("rule", "names"), ("reason", "it asks for names")];
        assert_eq!(metrics.sum("sccm_policy_rule_info", &rule), 1.0);
        metrics.tells_no_drop(&[("direction", "inbound")])?;
    }
    Ok(())
}

#[test]
fn a_flag_lets_out_one_port_to_one_address() -> Result<()> {
    let stage = Stage::new(Topology::Host)?;
    let _agent = stage.enforce(
        "distribution-point",
        "--outbound enforce --allow-out udp/53@192.0.2.10",
    )?;
    for (family, answered) in FAMILIES.into_iter().zip([true, false]) {
        let server = udp_echo_server(&stage.client, (CLIENT[family], NAMES).into())?;
        let patience = if answered { LONG } else { PATIENCE };
        let asked = udp_exchange(&stage.server, server.address(), patience);
        assert_eq!(asked, answered, "{}", server.address());
    }
    Ok(())
}
