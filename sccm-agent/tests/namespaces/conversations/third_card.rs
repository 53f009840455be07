//! A third card, which nobody named: what comes in there is judged where it leaves into the segment.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use sccm_tests::agent::{Agent, LONG, run};
use sccm_tests::gateway::{CLIENT, FAMILIES, SERVER, Stage, Topology};
use sccm_tests::netns::{Namespace, veth_pair};
use sccm_tests::traffic::{Server, tcp_server};

use super::management::reaches;
use super::support::{Told, end};

/// A port of the role, and one that it knows nothing of.
const PORTS: [u16; 2] = [80, 23];

/// The gateway's addresses at the third card, and a host's there.
const MANAGEMENT: [[IpAddr; 2]; 2] = [
    [
        IpAddr::V4(Ipv4Addr::new(10, 8, 0, 1)),
        IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 8, 0, 0, 0, 0, 1)),
    ],
    [
        IpAddr::V4(Ipv4Addr::new(10, 8, 0, 7)),
        IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 8, 0, 0, 0, 0, 7)),
    ],
];

fn servers(stage: &Stage) -> Result<Vec<Server>> {
    let server = |port| tcp_server(&stage.server, (Ipv6Addr::UNSPECIFIED, port).into());
    PORTS.into_iter().map(server).collect()
}

/// Whether the host reaches the server's ports from `own`.
#[track_caller]
fn assert_reaches(host: &Namespace, own: IpAddr, family: usize, expected: [bool; 2]) -> Result<()> {
    for (port, expected) in PORTS.into_iter().zip(expected) {
        let reached = reaches(host, own, (SERVER[family], port), expected)?;
        assert_eq!(reached, expected, "from {own} to {port}");
    }
    Ok(())
}

/// What log and `status` say of interfaces that are not enforced.
fn assert_named(stage: &Stage, agent: &Agent, names: &[&str]) -> Result<()> {
    let text = run(stage.command("status")?)?.stdout;
    let line = format!(
        "Forwards from, but does not enforce: {}\n",
        names.join(", ")
    );
    assert!(text.contains(&line), "{text}");
    let json = run(stage.command("status -o json")?)?.stdout;
    let json: serde_json::Value = serde_json::from_str(&json)?;
    let told = json["not_enforced"].as_array().context("no list")?;
    let told: Vec<_> = told.iter().filter_map(|name| name.as_str()).collect();
    assert_eq!(told, names);
    let log = agent.log()?;
    let line = format!(
        "forwards what comes in at {}, which is not",
        names.join(", ")
    );
    assert!(log.contains(&line), "{log}");
    Ok(())
}

fn assert_counted(agent: &Agent) -> Result<()> {
    let metrics = agent.metrics()?;
    let at = |reason| {
        [
            ("reason", reason),
            ("interface", "seg0"),
            ("direction", "inbound"),
        ]
    };
    metrics.tells_dropped(&at("not-allowed"))?;
    metrics.tells_passed(&at("service"))
}

/// A card that was named, came later, and could not get its programs.
#[test]
fn a_named_card_without_programs_is_like_one_that_nobody_named() -> Result<()> {
    let stage = Stage::new(Topology::Routed)?;
    let _servers = servers(&stage)?;
    let third = Namespace::new("third")?;
    // It is not ready as long as a card is missing.
    let line = "enforce --role distribution-point --uplink up0 --uplink mg0 --segment seg0 --hook xdp \
                --wait-for-interfaces";
    let agent = Agent::start_guarded(stage.gateway(), stage.command(line)?)?;
    // Its other end has more queues than the driver takes.
    stage.gateway().ip(&format!(
        "link add name mg0 numtxqueues 1 numrxqueues 1 type veth peer name eth0 numtxqueues 4 \
         numrxqueues 4 netns {}",
        third.name()
    ))?;
    let [gateway, host] = MANAGEMENT;
    for (inside, card, [four, six]) in [(stage.gateway(), "mg0", gateway), (&third, "eth0", host)] {
        inside.ip(&format!("link set dev {card} up"))?;
        inside.ip(&format!("address add {four}/24 dev {card}"))?;
        inside.ip(&format!("address add {six}/64 dev {card} nodad"))?;
    }
    for (to, via) in SERVER.into_iter().zip(gateway) {
        third.route(&format!("{to} via {via}"))?;
    }
    let end = Instant::now() + LONG;
    while !agent.log()?.contains("mg0 is not enforced") {
        ensure!(Instant::now() < end, "no trouble: {}", agent.log()?);
        sleep(Duration::from_millis(20));
    }
    for family in FAMILIES {
        assert_reaches(&third, host[family], family, [true, false])?;
        assert_reaches(&stage.client, CLIENT[family], family, [true, false])?;
    }
    assert_counted(&agent)
}

#[test]
fn a_router_judges_it_at_the_segment() -> Result<()> {
    let stage = Stage::new(Topology::Routed)?;
    let _servers = servers(&stage)?;
    let third = Namespace::new("third")?;
    let (outside, card) = veth_pair(&third, "eth0", stage.gateway(), "mg0")?;
    let [gateway, host] = MANAGEMENT;
    for (card, [four, six]) in [(card, gateway), (outside, host)] {
        card.address(&format!("{four}/24"))?
            .address(&format!("{six}/64"))?;
    }
    for (to, via) in SERVER.into_iter().zip(gateway) {
        third.route(&format!("{to} via {via}"))?;
    }
    let agent = stage.enforce("distribution-point", "")?;
    for family in FAMILIES {
        // What comes in by the uplink is judged there, and only there.
        assert_reaches(&stage.client, CLIENT[family], family, [true, false])?;
    }
    let at_segment = [
        ("interface", "seg0"),
        ("direction", "inbound"),
        ("protocol", "tcp"),
    ];
    let metrics = agent.metrics()?;
    assert_eq!(
        (metrics.passed(&at_segment), metrics.dropped(&at_segment)),
        (0, 0)
    );
    for family in FAMILIES {
        assert_reaches(&third, host[family], family, [true, false])?;
        // The segment's systems open what they like, and get their answers.
        let server = (host[family], 80);
        let _answers = tcp_server(&third, server.into())?;
        assert!(reaches(&stage.server, SERVER[family], server, true)?);
    }
    assert_counted(&agent)?;
    assert_named(&stage, &agent, &["mg0"])?;
    end(agent)
}

#[test]
fn a_bridge_judges_what_another_member_carries() -> Result<()> {
    let stage = Stage::new(Topology::Bridged)?;
    let _servers = servers(&stage)?;
    let third = Namespace::new("third")?;
    let (outside, _) = veth_pair(&third, "eth0", stage.gateway(), "mg0")?;
    stage.gateway().ip("link set dev mg0 master br0")?;
    let host = ["198.51.100.77", "2001:db8:2::77"];
    outside
        .address(&format!("{}/24", host[0]))?
        .address(&format!("{}/64", host[1]))?;
    let agent = stage.enforce("distribution-point", "")?;
    for family in FAMILIES {
        // Neighbours are found: ARP and neighbour discovery cross.
        assert_reaches(&third, host[family].parse()?, family, [true, false])?;
    }
    assert_counted(&agent)?;
    let metrics = agent.metrics()?;
    metrics.tells_passed(&[
        ("reason", "arp"),
        ("interface", "seg0"),
        ("direction", "inbound"),
    ])?;
    assert_named(&stage, &agent, &["mg0"])?;
    end(agent)
}
