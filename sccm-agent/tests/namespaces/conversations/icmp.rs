//! ICMP: errors about a flow, which pass, and about nothing, and ping in either direction.

use anyhow::Result;
use sccm_tests::gateway::{CLIENT, FAMILIES, SERVER, STRANGER, Stage, Topology};
use sccm_tests::packet::Packet;
use sccm_tests::traffic::ping;

use super::crossing::{Crossing, packet};
use super::support::{LONG, PATIENCE, Told, receive, udp};

/// "Too big, at most 1400 bytes", from a router on the way, about a datagram from the server.
fn too_big(about: &Packet, family: usize) -> Packet {
    let quoted = about.build()[14..].to_vec();
    let error = packet(STRANGER[family], SERVER[family]);
    let error = match family {
        0 => error.icmp(3, 4),
        _ => error.icmpv6(2, 0),
    };
    error.control_word(1400).data(quoted)
}

#[test]
fn the_path_mtu_of_a_flow_is_told_apart() -> Result<()> {
    for outbound in ["track", "enforce"] {
        let stage = Stage::new(Topology::Routed)?;
        // A role that opens UDP itself: BINL, to a PXE service point (link 8).
        let agent = stage.enforce("client", &format!("--outbound {outbound}"))?;
        let crossing = Crossing::new(&stage)?;
        for family in FAMILIES {
            let (client, server) = (CLIENT[family], SERVER[family]);
            let (opener, other) = (
                udp(&stage.server, (server, 0))?,
                udp(&stage.client, (client, 4011))?,
            );
            opener.send_to(b"request", (client, 4011))?;
            receive(&other)?;
            let port = opener.local_addr()?.port();
            for (port, peer) in [(port, 4011), (port, 4012)] {
                let quoted = packet(server, client).udp(port, peer).payload(100);
                crossing.send(&too_big(&quoted, family))?;
            }
        }
        let related = [("reason", "icmp-error-related"), ("direction", "inbound")];
        let unrelated = [("reason", "icmp-error-unrelated"), ("direction", "inbound")];
        let metrics = agent.metrics_when(|metrics| metrics.dropped(&unrelated) >= 2)?;
        assert_eq!(metrics.passed(&related), 2, "{metrics:#?}");
        assert_eq!(metrics.dropped(&unrelated), 2, "{metrics:#?}");
        // It was about the sender's path, and arrived.
        for client in CLIENT {
            let route = stage.server.ip(&format!("route get {client}"))?;
            assert!(route.contains("mtu 1400"), "{route}");
        }
    }
    Ok(())
}

#[test]
fn a_distribution_point_pings_and_is_not_pinged() -> Result<()> {
    let stage = Stage::new(Topology::Routed)?;
    let agent = stage.enforce("distribution-point", "")?;
    for family in FAMILIES {
        assert!(
            ping(&stage.server, CLIENT[family], LONG)?,
            "{}",
            CLIENT[family]
        );
        assert!(
            !ping(&stage.client, SERVER[family], PATIENCE)?,
            "{}",
            SERVER[family]
        );
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
            assert!(
                ping(&stage.client, SERVER[family], LONG)?,
                "{}",
                SERVER[family]
            );
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
