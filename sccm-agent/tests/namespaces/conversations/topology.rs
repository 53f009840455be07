//! More cards than one on a side: a gateway with two uplinks and two segments, and a host that
//! relays between two cards.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use anyhow::Result;
use sccm_tests::agent::Agent;
use sccm_tests::gateway::{CLIENT, FAMILIES, SERVER, Stage, Topology};
use sccm_tests::netns::{Namespace, veth_pair};
use sccm_tests::traffic::{Outcome, Server, tcp_connect, tcp_exchange, tcp_server};

use super::support::{LONG, PATIENCE, Told, end};

const ALLOWED: u16 = 80;
const FORBIDDEN: u16 = 8080;

/// A further host on a cable of its own.
struct Annex {
    host: Namespace,
    addresses: [IpAddr; 2],
}

impl Annex {
    /// Joins a new host to the new card `card` of `router`, in subnet number `net`. The router is
    /// its way to everywhere else.
    fn new(router: &Namespace, card: &str, net: u16) -> Result<Self> {
        let host = Namespace::new("annex")?;
        let (own, routers) = veth_pair(&host, "eth0", router, card)?;
        let address = |number: u16| -> [IpAddr; 2] {
            [
                Ipv4Addr::new(203, 0, 113, (16 * net + number) as u8).into(),
                Ipv6Addr::new(0x2001, 0xdb8, 0x100 + net, 0, 0, 0, 0, number).into(),
            ]
        };
        let (router, addresses) = (address(1), address(2));
        for (card, [four, six]) in [(own, addresses), (routers, router)] {
            card.address(&format!("{four}/28"))?
                .address(&format!("{six}/64"))?;
        }
        for address in router {
            host.route(&format!("default via {address}"))?;
        }
        Ok(Self { host, addresses })
    }
}

/// A host and its addresses.
type Known<'h> = (&'h Namespace, [IpAddr; 2]);

/// Servers of a host on the allowed and the forbidden port.
fn servers(host: &Namespace) -> Result<[Server; 2]> {
    let start = |port| tcp_server(host, (Ipv6Addr::UNSPECIFIED, port).into());
    Ok([start(ALLOWED)?, start(FORBIDDEN)?])
}

/// Asserts that `from` reaches the allowed port of `to`, and not the forbidden one.
#[track_caller]
fn assert_enforced(from: &Namespace, to: [IpAddr; 2]) {
    for address in to {
        assert!(
            tcp_exchange(from, (address, ALLOWED).into(), LONG),
            "{address}"
        );
        let forbidden = tcp_connect(from, (address, FORBIDDEN).into(), PATIENCE);
        assert_eq!(forbidden, Outcome::TimedOut, "{address}");
    }
}

/// Asserts that a card has let the service in and nothing else.
fn tells_enforced(agent: &Agent, card: &str) -> Result<()> {
    let card = ("interface", card);
    let metrics = agent.metrics()?;
    metrics.tells_passed(&[card, ("reason", "service"), ("service", "http")])?;
    metrics.tells_dropped(&[card, ("reason", "not-allowed"), ("protocol", "tcp")])
}

#[test]
fn every_uplink_is_judged_for_every_segment() -> Result<()> {
    let stage = Stage::new(Topology::Routed)?;
    let outer = Annex::new(stage.gateway(), "up1", 1)?;
    let inner = Annex::new(stage.gateway(), "seg1", 2)?;
    let outside: [Known; 2] = [(&stage.client, CLIENT), (&outer.host, outer.addresses)];
    let inside: [Known; 2] = [(&stage.server, SERVER), (&inner.host, inner.addresses)];
    let _inside = [servers(&stage.server)?, servers(&inner.host)?];
    for outbound in ["track", "enforce"] {
        let arguments = format!("--uplink up1 --segment seg1 --outbound {outbound}");
        let agent = stage.enforce("distribution-point", &arguments)?;
        for (from, _) in outside {
            for (_, to) in inside {
                assert_enforced(from, to);
            }
        }
        for card in ["up0", "up1"] {
            tells_enforced(&agent, card)?;
        }
        for card in ["seg0", "seg1"] {
            let answers = [("interface", card), ("reason", "outbound")];
            agent.metrics()?.tells_passed(&answers)?;
        }
        end(agent)?;
    }
    Ok(())
}

#[test]
fn every_segment_gets_its_answers_by_every_uplink() -> Result<()> {
    let stage = Stage::new(Topology::Routed)?;
    let outer = Annex::new(stage.gateway(), "up1", 1)?;
    let inner = Annex::new(stage.gateway(), "seg1", 2)?;
    let outside: [Known; 2] = [(&stage.client, CLIENT), (&outer.host, outer.addresses)];
    let _outside = [servers(&stage.client)?, servers(&outer.host)?];
    let agent = stage.enforce("distribution-point", "--uplink up1 --segment seg1")?;
    for from in [&stage.server, &inner.host] {
        for (_, to) in outside {
            for address in to {
                let to = (address, FORBIDDEN).into();
                assert!(tcp_exchange(from, to, LONG), "{to}");
            }
        }
    }
    let metrics = agent.metrics()?;
    for card in ["up0", "up1"] {
        metrics.tells_passed(&[("interface", card), ("reason", "reply")])?;
    }
    metrics.tells_no_drop(&[])
}

/// The stage's server has a second card, and relays between both as it protects itself.
#[test]
fn a_host_that_relays_is_judged_at_both_cards() -> Result<()> {
    let stage = Stage::new(Topology::Host)?;
    let relay = &stage.server;
    let behind = Annex::new(relay, "eth1", 1)?;
    relay.sysctl("net.ipv4.ip_forward", "1")?;
    relay.sysctl("net.ipv6.conf.all.forwarding", "1")?;
    for address in SERVER {
        stage.client.route(&format!("default via {address}"))?;
    }
    let _servers = [
        servers(relay)?,
        servers(&behind.host)?,
        servers(&stage.client)?,
    ];
    let agent = stage.enforce("distribution-point", "--interface eth1")?;
    // To itself and through it, from either side.
    assert_enforced(&stage.client, SERVER);
    assert_enforced(&behind.host, SERVER);
    assert_enforced(&stage.client, behind.addresses);
    assert_enforced(&behind.host, CLIENT);
    for card in ["eth0", "eth1"] {
        tells_enforced(&agent, card)?;
    }
    // What it opens itself is answered at the card where it went out.
    for (card, to) in [("eth0", CLIENT), ("eth1", behind.addresses)] {
        let replies = [("interface", card), ("reason", "reply")];
        let before = agent.metrics()?.passed(&replies);
        for family in FAMILIES {
            let to = (to[family], FORBIDDEN).into();
            assert!(tcp_exchange(relay, to, LONG), "{to}");
        }
        agent.metrics_when(|metrics| metrics.passed(&replies) > before)?;
    }
    end(agent)?;

    // Enforced, what it sends on is judged as its own: that is a gateway's work.
    let agent = stage.enforce("distribution-point", "--interface eth1 --outbound enforce")?;
    assert_enforced(&stage.client, SERVER);
    assert_enforced(&behind.host, SERVER);
    let through = (behind.addresses[0], ALLOWED).into();
    let refused = tcp_connect(&stage.client, through, PATIENCE);
    assert_eq!(refused, Outcome::TimedOut);
    agent.metrics()?.tells_dropped(&[
        ("interface", "eth1"),
        ("reason", "outbound-not-allowed"),
        ("service", "http"),
    ])
}

/// A second card that was not named is not judged.
#[test]
fn a_card_that_was_not_named_is_left_alone() -> Result<()> {
    let stage = Stage::new(Topology::Host)?;
    let behind = Annex::new(&stage.server, "eth1", 1)?;
    let _servers = servers(&stage.server)?;
    let agent = stage.enforce("distribution-point", "")?;
    assert_enforced(&stage.client, SERVER);
    for address in SERVER {
        let to = (address, FORBIDDEN).into();
        assert_eq!(tcp_connect(&behind.host, to, LONG), Outcome::Connected);
    }
    tells_enforced(&agent, "eth0")?;
    let metrics = agent.metrics()?;
    assert_eq!(metrics.passed(&[("interface", "eth1")]), 0);
    metrics.tells_no_drop(&[("interface", "eth1")])
}
