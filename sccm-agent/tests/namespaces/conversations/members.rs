//! A bridge given in place of its ports, and several cards on either side.

use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use sccm_agent::kernel::PinDir;
use sccm_tests::agent::{Agent, FORBIDDEN, Hosts};
use sccm_tests::flows::Flows;
use sccm_tests::gateway::{SERVER, Stage, Topology};
use sccm_tests::netns::{Namespace, veth_pair};
use sccm_tests::packet::Packet;
use sccm_tests::traffic::{FrameSocket, Outcome, tcp_connect, tcp_exchange, tcp_server};

use super::support::{LONG, PATIENCE};

const BRIDGED: &str = "--role distribution-point --interface br0";

/// A point whose addresses are on a bridge with the one port `eth0`.
fn point_behind_bridge() -> Result<Hosts> {
    let hosts = Hosts::new()?;
    hosts.point.ip("link add br0 type bridge")?;
    for address in ["192.0.2.2/24", "2001:db8::2/64"] {
        hosts
            .point
            .ip(&format!("address delete {address} dev eth0"))?;
    }
    hosts.point.ip("link set dev eth0 master br0")?;
    let bridge = hosts.point.interface("br0").up()?;
    bridge.address("192.0.2.2/24")?.address("2001:db8::2/64")?;
    Ok(hosts)
}

/// Somebody else, at the point's card `eth1`.
fn neighbour(hosts: &Hosts) -> Result<Namespace> {
    let neighbour = Namespace::new("neighbour")?;
    let (card, _) = veth_pair(&neighbour, "eth0", &hosts.point, "eth1")?;
    card.address("192.0.2.3/24")?.address("2001:db8::3/64")?;
    Ok(neighbour)
}

fn enforcing(agent: &Agent, interface: &str) -> Result<f64> {
    let metrics = agent.metrics()?;
    Ok(metrics.sum("sccm_enforcing", &[("interface", interface)]))
}

fn await_enforcing(agent: &Agent, interface: &str, expected: f64) -> Result<()> {
    for _ in 0..500 {
        if enforcing(agent, interface)? == expected {
            return Ok(());
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    anyhow::bail!("{interface} is not as awaited: {}", agent.log()?)
}

#[track_caller]
fn assert_forbidden(from: &Namespace, expected: Outcome) {
    let patience = if expected == Outcome::Connected {
        LONG
    } else {
        PATIENCE
    };
    for address in Hosts::POINT {
        assert_eq!(
            tcp_connect(from, (address, FORBIDDEN).into(), patience),
            expected,
            "{address}"
        );
    }
}

#[test]
fn a_bridge_stands_for_its_members_as_they_come_and_go() -> Result<()> {
    let hosts = point_behind_bridge()?;
    let _servers = hosts.tcp_servers(&[80, FORBIDDEN])?;
    let agent = hosts.enforce(BRIDGED)?;
    hosts.assert_enforced();
    assert_eq!(
        (enforcing(&agent, "eth0")?, enforcing(&agent, "br0")?),
        (1.0, 0.0)
    );
    // What the point opens itself is noted where it leaves.
    let server = tcp_server(&hosts.client, (Hosts::CLIENT[0], 8443).into())?;
    assert!(tcp_exchange(&hosts.point, server.address(), LONG));

    let neighbour = neighbour(&hosts)?;
    assert!(!hosts.is_hooked("eth1")?);
    hosts.point.ip("link set dev eth1 master br0")?;
    await_enforcing(&agent, "eth1", 1.0)?;
    assert_forbidden(&neighbour, Outcome::TimedOut);
    for address in Hosts::POINT {
        assert!(tcp_exchange(&neighbour, (address, 80).into(), LONG));
    }
    let metrics = agent.metrics()?;
    assert!(metrics.dropped(&[("interface", "eth1"), ("reason", "not-allowed")]) >= 2);
    assert!(metrics.passed(&[("interface", "eth1"), ("service", "http")]) >= 2);

    hosts.point.ip("link set dev eth1 nomaster")?;
    await_enforcing(&agent, "eth1", 0.0)?;
    assert!(!hosts.is_hooked("eth1")?);
    assert_eq!(agent.get("/-/ready")?.0, 200);
    hosts.assert_enforced();
    Ok(())
}

/// Bridges see many cards in their life, and there are sixteen slots.
#[test]
fn members_that_have_gone_make_room() -> Result<()> {
    let hosts = point_behind_bridge()?;
    let agent = hosts.enforce(BRIDGED)?;
    for number in 0..18 {
        let name = format!("port{number}");
        hosts
            .point
            .ip(&format!("link add {name} type veth peer name peer{number}"))?;
        hosts
            .point
            .ip(&format!("link set dev {name} up master br0"))?;
        await_enforcing(&agent, &name, 1.0)?;
        hosts.point.ip(&format!("link delete dev {name}"))?;
        await_enforcing(&agent, &name, 0.0)?;
    }
    assert_eq!(enforcing(&agent, "eth0")?, 1.0);
    // The kernel tells of the last member before the agent has looked.
    let end = Instant::now() + LONG;
    while agent.get("/-/ready")?.0 != 200 {
        ensure!(Instant::now() < end, "{}", agent.log()?);
        sleep(Duration::from_millis(50));
    }
    Ok(())
}

/// The flows that the kernel remembers.
fn flows(hosts: &Hosts) -> Result<usize> {
    Ok(Flows::open(&PinDir::new(hosts.pins()))?.all().len())
}

/// What passes from one member to another leaves by the second as it came in by the first: it
/// is nothing that the point opens.
#[test]
fn what_crosses_a_bridge_opens_no_flow() -> Result<()> {
    let hosts = point_behind_bridge()?;
    let neighbour = neighbour(&hosts)?;
    hosts.point.ip("link set dev eth1 master br0")?;
    let agent = hosts.enforce(BRIDGED)?;
    await_enforcing(&agent, "eth1", 1.0)?;
    let outside = FrameSocket::open(hosts.client.interface("eth0"))?;
    let inside = FrameSocket::open(neighbour.interface("eth0"))?;
    let (from, to) = (
        hosts.client.interface("eth0").mac()?,
        neighbour.interface("eth0").mac()?,
    );
    let mark = b"crosses a bridge";
    // A scrape of this test's may have been open when the agent looked what is.
    let before = flows(&hosts)?;
    for packet in [
        Packet::ipv4("192.0.2.1", "192.0.2.3"),
        Packet::ipv6("2001:db8::1", "2001:db8::3"),
    ] {
        let frame = packet.source_mac(from).destination_mac(to);
        outside.send(&frame.udp(40000, 63500).data(mark).build())?;
        let arrived = inside.receive(LONG, |frame| {
            frame.windows(mark.len()).any(|bytes| bytes == mark)
        })?;
        ensure!(arrived.is_some(), "the datagram does not cross");
    }
    let metrics = agent.metrics()?;
    assert_eq!(
        metrics.passed(&[("interface", "eth0"), ("service", "multicast")]),
        2
    );
    assert_eq!(
        metrics.passed(&[("interface", "eth1"), ("protocol", "udp")]),
        0
    );
    assert_eq!(flows(&hosts)?, before);
    Ok(())
}

#[test]
fn a_bridge_that_is_made_anew_is_followed() -> Result<()> {
    let hosts = point_behind_bridge()?;
    let _servers = hosts.tcp_servers(&[80, FORBIDDEN])?;
    let agent = hosts.enforce(BRIDGED)?;
    hosts.point.ip("link delete dev br0")?;
    await_enforcing(&agent, "eth0", 0.0)?;
    hosts.point.ip("link add br0 type bridge")?;
    hosts.point.ip("link set dev eth0 master br0")?;
    let bridge = hosts.point.interface("br0").up()?;
    bridge.address("192.0.2.2/24")?.address("2001:db8::2/64")?;
    await_enforcing(&agent, "eth0", 1.0)?;
    hosts.assert_enforced();
    // Another name changes nothing.
    hosts.point.ip("link set dev br0 down")?;
    hosts.point.ip("link set dev br0 name lan0")?;
    let bridge = hosts.point.interface("lan0").up()?;
    hosts.point.ip("address flush dev lan0")?;
    bridge.address("192.0.2.2/24")?.address("2001:db8::2/64")?;
    hosts.assert_enforced();
    assert_eq!(enforcing(&agent, "eth0")?, 1.0);
    Ok(())
}

/// Two uplinks and two segments, of which each pair must work.
#[test]
fn every_card_of_a_side_is_judged_alike() -> Result<()> {
    let stage = Stage::new(Topology::Bridged)?;
    let gateway = stage.gateway();
    let (client, server) = (Namespace::new("client")?, Namespace::new("server")?);
    for (host, card, addresses) in [
        (&client, "up1", ["192.0.2.12/16", "2001:db8:1::12/32"]),
        (&server, "seg1", ["192.0.2.22/16", "2001:db8:1::22/32"]),
    ] {
        let (end, _) = veth_pair(host, "eth0", gateway, card)?;
        end.address(addresses[0])?.address(addresses[1])?;
        gateway.ip(&format!("link set dev {card} master br0"))?;
    }
    let agent = stage.enforce_cards("--uplink up0 --uplink up1 --segment seg0 --segment seg1")?;
    let mut servers = Vec::new();
    for port in [80, FORBIDDEN] {
        let any = std::net::Ipv6Addr::UNSPECIFIED;
        servers.push(tcp_server(&server, (any, port).into())?);
        servers.push(tcp_server(&stage.server, (any, port).into())?);
    }
    let second = ["192.0.2.22".parse()?, "2001:db8:1::22".parse()?];
    // The second client takes the whole of both subnets to be on its cable.
    for subnet in ["198.51.100.0/24", "2001:db8:2::/64"] {
        client.route(&format!("{subnet} dev eth0"))?;
    }
    for (from, to) in [
        (&stage.client, second),
        (&client, SERVER),
        (&client, second),
    ] {
        for address in to {
            assert!(tcp_connect(from, (address, 80).into(), LONG) == Outcome::Connected);
            assert!(tcp_connect(from, (address, FORBIDDEN).into(), PATIENCE) == Outcome::TimedOut);
        }
    }
    let metrics = agent.metrics()?;
    for card in ["up0", "up1"] {
        let inbound = [("interface", card), ("direction", "inbound")];
        assert!(
            metrics.dropped(&inbound) >= 2 && metrics.passed(&inbound) >= 2,
            "{card}"
        );
    }
    for card in ["seg0", "seg1"] {
        let outbound = [("interface", card), ("reason", "outbound")];
        assert!(metrics.passed(&outbound) >= 2, "{card}");
    }
    Ok(())
}
