//! A router that translates addresses with nftables or iptables: what protected systems open comes back, and
//! published ports reach the systems behind them.

use std::io::Write as _;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use sccm_tests::agent::{Agent, PolicyFile, run};
use sccm_tests::gateway::{CLIENT, FAMILIES, SERVER, STRANGER, Stage, Topology, UPLINK};
use sccm_tests::traffic::{ping, tcp_exchange, tcp_server, udp_echo_server, udp_exchange};
use tempfile::NamedTempFile;

use super::management::reaches;
use super::support::{LONG, PATIENCE, Told, end};

/// Addresses that the router translates to, and nobody has.
const POOL: [IpAddr; 2] = [
    IpAddr::V4(Ipv4Addr::new(203, 0, 113, 5)),
    IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 9, 0, 0, 0, 0, 5)),
];

/// A port that a software update point opens to the Internet, and one that it does not.
const ALLOWED: u16 = 80;
const OTHER: u16 = 8080;

/// Replaces the router's rules by chains of one table.
pub(super) fn translate(stage: &Stage, chains: &str) -> Result<()> {
    let mut file = NamedTempFile::new()?;
    write!(
        file,
        "table inet nat\ndelete table inet nat\ntable inet nat {{\n{chains}\n}}\n"
    )?;
    let mut load = stage.gateway().command("nft");
    load.arg("--file").arg(file.path());
    let finished = run(load)?;
    ensure!(finished.code == Some(0), "{finished:?}");
    Ok(())
}

pub(super) const MASQUERADE: &str = "chain out { type nat hook postrouting priority srcnat;
    oifname \"up0\" masquerade\n }";

pub(super) fn to_pool() -> String {
    format!(
        "chain out {{ type nat hook postrouting priority srcnat;
    oifname \"up0\" meta nfproto ipv4 snat ip to {}
    oifname \"up0\" meta nfproto ipv6 snat ip6 to {}\n }}",
        POOL[0], POOL[1]
    )
}

/// Waits until the agent has said this.
fn wait_for(agent: &Agent, said: &str) -> Result<()> {
    let started = Instant::now();
    while !agent.log()?.contains(said) {
        ensure!(
            started.elapsed() < LONG,
            "not said: {said}\n{}",
            agent.log()?
        );
        thread::sleep(Duration::from_millis(100));
    }
    Ok(())
}

#[test]
fn what_the_segment_opens_comes_back() -> Result<()> {
    for (chains, outbound) in [
        (MASQUERADE.to_owned(), "track"),
        (to_pool(), "track"),
        (MASQUERADE.to_owned(), "enforce"),
        (to_pool(), "enforce"),
    ] {
        let stage = Stage::new(Topology::Routed)?;
        translate(&stage, &chains)?;
        let agent = stage.enforce("software-update-point", &format!("--outbound {outbound}"))?;
        let tracks = outbound == "track";
        for family in FAMILIES {
            let outside = CLIENT[family];
            let _servers = [
                tcp_server(&stage.client, (outside, ALLOWED).into())?,
                tcp_server(&stage.client, (outside, OTHER).into())?,
                udp_echo_server(&stage.client, (outside, OTHER).into())?,
            ];
            let told = format!("{chains} {outbound} {outside}");
            assert!(
                tcp_exchange(&stage.server, (outside, ALLOWED).into(), LONG),
                "{told}"
            );
            let patience = if tracks { LONG } else { PATIENCE };
            let other = (outside, OTHER).into();
            assert_eq!(
                tcp_exchange(&stage.server, other, patience),
                tracks,
                "{told}"
            );
            assert_eq!(
                udp_exchange(&stage.server, other, patience),
                tracks,
                "{told}"
            );
            assert_eq!(ping(&stage.server, outside, patience)?, tracks, "{told}");
        }
        let metrics = agent.metrics()?;
        metrics.tells_passed(&[("interface", "up0"), ("reason", "reply")])?;
        if tracks {
            metrics.tells_no_drop(&[])?;
        } else {
            metrics.tells_dropped(&[("interface", "seg0"), ("reason", "outbound-not-allowed")])?;
        }
        // Nobody else gets in by the address that is translated to.
        for (from, to) in CLIENT
            .into_iter()
            .zip(POOL)
            .chain(STRANGER.into_iter().zip(UPLINK))
        {
            assert!(!reaches(&stage.client, from, (to, 445), false)?);
        }
        end(agent)?;
    }
    Ok(())
}

#[test]
fn rules_that_come_later_are_followed() -> Result<()> {
    let stage = Stage::new(Topology::Routed)?;
    let agent = stage.enforce("software-update-point", "")?;
    translate(&stage, MASQUERADE)?;
    wait_for(&agent, "this machine translates addresses")?;
    for family in FAMILIES {
        let server = tcp_server(&stage.client, (CLIENT[family], OTHER).into())?;
        assert!(tcp_exchange(&stage.server, server.address(), LONG));
    }
    agent.metrics()?.tells_no_drop(&[])?;
    translate(&stage, "")?;
    wait_for(&agent, "this machine no longer translates addresses")?;
    for family in FAMILIES {
        let server = tcp_server(&stage.client, (CLIENT[family], OTHER).into())?;
        assert!(tcp_exchange(&stage.server, server.address(), LONG));
    }
    end(agent)
}

/// The older programs are found at their tables, those that write for nftables at their targets.
#[test]
fn iptables_is_found() -> Result<()> {
    for kind in ["nft", "legacy"] {
        let stage = Stage::new(Topology::Routed)?;
        for program in ["iptables", "ip6tables"] {
            let mut masquerade = stage.gateway().command(format!("{program}-{kind}"));
            masquerade.args("-t nat -A POSTROUTING -o up0 -j MASQUERADE".split(' '));
            let finished = run(masquerade)?;
            ensure!(finished.code == Some(0), "{finished:?}");
        }
        let agent = stage.enforce("software-update-point", "--outbound enforce")?;
        for outside in CLIENT {
            for (port, passes) in [(ALLOWED, true), (OTHER, false)] {
                let server = tcp_server(&stage.client, (outside, port).into())?;
                let patience = if passes { LONG } else { PATIENCE };
                assert_eq!(
                    tcp_exchange(&stage.server, server.address(), patience),
                    passes,
                    "{kind} {outside} {port}"
                );
            }
        }
        let metrics = agent.metrics()?;
        metrics.tells_passed(&[("interface", "up0"), ("reason", "reply")])?;
        metrics.tells_dropped(&[("interface", "seg0"), ("reason", "outbound-not-allowed")])?;
        end(agent)?;
    }
    Ok(())
}

fn publishing() -> String {
    let mut text = String::from(
        "[site]\noutbound = \"enforce\"\n[[protect]]\nname = \"point\"\nroles = [\"distribution-point\"]\n",
    );
    text += &format!("addresses = [\"{}\", \"{}\"]\n", SERVER[0], SERVER[1]);
    text += "[[allow]]\nname = \"echo\"\nprotocol = \"udp\"\nports = [5000]\nfrom = \"any\"\nreason = \"a test\"\n";
    for (family, server) in SERVER.into_iter().enumerate() {
        for (protocol, port, behind) in
            [("tcp", 8081, 80), ("tcp", 8082, 8080), ("udp", 5001, 5000)]
        {
            let port = port + 10 * family;
            text += &format!(
                "[[publish]]\nname = \"{protocol}-{port}\"\nprotocol = \"{protocol}\"\nports = [{port}]\n\
                 to = \"{server}\"\nto-port = {behind}\nreason = \"a test\"\n"
            );
        }
    }
    text
}

fn published() -> String {
    let mut rules = String::new();
    for (family, server) in SERVER.into_iter().enumerate() {
        let (proto, host) = match server {
            IpAddr::V4(host) => ("ip", host.to_string()),
            IpAddr::V6(host) => ("ip6", format!("[{host}]")),
        };
        for (protocol, port, behind) in
            [("tcp", 8081, 80), ("tcp", 8082, 8080), ("udp", 5001, 5000)]
        {
            let port = port + 10 * family;
            rules += &format!(
                "iifname \"up0\" meta nfproto ipv{} {protocol} dport {port} dnat {proto} to {host}:{behind}\n",
                4 + 2 * family
            );
        }
    }
    format!("chain in {{ type nat hook prerouting priority dstnat;\n{rules} }}")
}

/// Whoever may open the port behind the gateway may open the published one, and nobody else.
#[test]
fn published_ports_reach_the_systems_behind_them() -> Result<()> {
    let stage = Stage::new(Topology::Routed)?;
    let _servers = [
        tcp_server(&stage.server, (Ipv6Addr::UNSPECIFIED, 80).into())?,
        tcp_server(&stage.server, (Ipv6Addr::UNSPECIFIED, 8080).into())?,
        udp_echo_server(&stage.server, (SERVER[0], 5000).into())?,
        udp_echo_server(&stage.server, (SERVER[1], 5000).into())?,
        tcp_server(stage.gateway(), (Ipv6Addr::UNSPECIFIED, 22).into())?,
    ];
    translate(&stage, &published())?;
    let file = PolicyFile::allowing(&[])?;
    file.write(&publishing())?;
    let line = format!(
        "enforce --config {} --uplink up0 --segment seg0",
        file.path().display()
    );
    let agent = Agent::start(stage.gateway(), stage.command(&line)?)?;
    for family in FAMILIES {
        let own = UPLINK[family];
        let port = |port: usize| (port + 10 * family) as u16;
        assert!(tcp_exchange(&stage.client, (own, port(8081)).into(), LONG));
        // No link of a distribution point has it.
        assert!(!tcp_exchange(
            &stage.client,
            (own, port(8082)).into(),
            PATIENCE
        ));
        assert!(!tcp_exchange(&stage.client, (own, 22).into(), PATIENCE));
        // Under `enforce`, what was asked of the gateway is answered by the system behind it.
        assert!(udp_exchange(&stage.client, (own, port(5001)).into(), LONG));
    }
    let metrics = agent.metrics()?;
    metrics.tells_passed(&[
        ("interface", "up0"),
        ("reason", "service"),
        ("protocol", "tcp"),
    ])?;
    metrics.tells_passed(&[
        ("interface", "up0"),
        ("reason", "service"),
        ("protocol", "udp"),
    ])?;
    metrics.tells_dropped(&[
        ("interface", "up0"),
        ("reason", "not-allowed"),
        ("protocol", "tcp"),
    ])?;
    metrics.tells_no_drop(&[("interface", "seg0")])?;
    let log = agent.log()?;
    assert!(!log.contains("[[publish]]"), "{log}");
    end(agent)
}

#[test]
fn translation_that_the_policy_does_not_fit_is_told() -> Result<()> {
    let stage = Stage::new(Topology::Routed)?;
    translate(&stage, &published())?;
    let agent = stage.enforce("distribution-point", "")?;
    let told = "gives packets another destination (nftables: table nat, chain in), and the policy \
                publishes no port";
    wait_for(&agent, told)?;
    let file = PolicyFile::allowing(&[])?;
    let check = format!("check {}", file.path().display());
    let finished = run(stage.command(&check)?)?;
    let text = finished
        .stdout
        .split_whitespace()
        .collect::<Vec<_>>()
        .join(" ");
    assert!(text.contains("policy publishes no port"), "{text}");
    end(agent)?;

    translate(&stage, "")?;
    file.write(&publishing())?;
    let line = format!(
        "enforce --config {} --uplink up0 --segment seg0",
        file.path().display()
    );
    let agent = Agent::start(stage.gateway(), stage.command(&line)?)?;
    wait_for(&agent, "no rule of this machine sends a port on")?;
    end(agent)
}
