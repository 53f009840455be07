//! ICMP: errors that speak of a flow and errors that do not, and ping in either direction.

use std::net::IpAddr;

use anyhow::Result;
use sccm_tests::gateway::{CLIENT, FAMILIES, SERVER, STRANGER, Stage, Topology};
use sccm_tests::packet::Packet;
use sccm_tests::traffic::{FrameSocket, ping};

use crate::support::{LONG, PATIENCE, Told, receive, udp};

/// "Too big, at most 1400 bytes", from a router on the way, about a datagram from the server.
fn too_big(about: &Packet, family: usize) -> Packet {
    let quoted = about.build()[14..].to_vec();
    let (from, to) = (STRANGER[family].to_string(), SERVER[family].to_string());
    let error = match family {
        0 => Packet::ipv4(&from, &to).icmp(3, 4),
        _ => Packet::ipv6(&from, &to).icmpv6(2, 0),
    };
    error.control_word(1400).data(quoted)
}

fn datagram(from: IpAddr, to: IpAddr, ports: (u16, u16)) -> Packet {
    let (source, destination) = (from.to_string(), to.to_string());
    let packet = match from {
        IpAddr::V4(_) => Packet::ipv4(&source, &destination),
        IpAddr::V6(_) => Packet::ipv6(&source, &destination),
    };
    packet.udp(ports.0, ports.1).payload(1400)
}

#[test]
fn the_path_mtu_of_a_flow_is_told_apart() -> Result<()> {
    for outbound in ["track", "enforce"] {
        let stage = Stage::new(Topology::Routed)?;
        // An answer to nobody is what a role has no link for; so the flow is one to port 1433.
        let agent = stage.enforce("pxe-service-point", &format!("--outbound {outbound} --sql-port 1433"))?;
        let (from, to) = (
            stage.client.interface("eth0").mac()?,
            stage.gateway().interface("up0").mac()?,
        );
        let wire = FrameSocket::open(stage.client.interface("eth0"))?;
        for family in FAMILIES {
            let (client, server) = (CLIENT[family], SERVER[family]);
            let known = udp(&stage.server, (server, 4011))?;
            let asking = udp(&stage.client, (client, 40000))?;
            // Opened by the server in one mode, answered by it in the other.
            asking.send_to(b"request", (server, 4011))?;
            receive(&known)?;
            known.send_to(b"answer", (client, 40000))?;
            receive(&asking)?;
            let _ = known;
            for ports in [(4011, 40000), (4012, 40000)] {
                let error = too_big(&datagram(server, client, ports), family);
                wire.send(&error.source_mac(from).destination_mac(to).build())?;
            }
        }
        let metrics = agent.metrics_when(|metrics| metrics.passed(&[("reason", "icmp-error")]) >= 2)?;
        metrics.tells_no_drop(&[])?;
    }
    Ok(())
}

#[test]
fn a_distribution_point_pings_and_is_not_pinged() -> Result<()> {
    let stage = Stage::new(Topology::Routed)?;
    let agent = stage.enforce("distribution-point", "")?;
    for family in FAMILIES {
        assert!(ping(&stage.server, CLIENT[family], LONG)?, "{}", CLIENT[family]);
        assert!(!ping(&stage.client, SERVER[family], PATIENCE)?, "{}", SERVER[family]);
    }
    let metrics = agent.metrics()?;
    for protocol in ["icmp", "icmpv6"] {
        let echo = [("protocol", protocol), ("service", "icmp-echo")];
        metrics.tells_passed(&[echo.as_slice(), &[("reason", "outbound")]].concat())?;
        metrics.tells_passed(&[echo.as_slice(), &[("reason", "reply")]].concat())?;
        metrics.tells_dropped(&[echo.as_slice(), &[("reason", "not-allowed")]].concat())?;
    }
    Ok(())
}

#[test]
fn a_client_is_pinged() -> Result<()> {
    for outbound in ["track", "enforce"] {
        let stage = Stage::new(Topology::Routed)?;
        let agent = stage.enforce("client", &format!("--outbound {outbound}"))?;
        for family in FAMILIES {
            assert!(ping(&stage.client, SERVER[family], LONG)?, "{}", SERVER[family]);
        }
        let metrics = agent.metrics()?;
        for protocol in ["icmp", "icmpv6"] {
            let echo = [("protocol", protocol), ("service", "icmp-echo")];
            metrics.tells_passed(&[echo.as_slice(), &[("reason", "service")]].concat())?;
        }
        metrics.tells_no_drop(&[])?;
    }
    Ok(())
}
