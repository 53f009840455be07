//! BINL, the second half of a PXE boot: the client asks UDP 4011 of the boot server (link 8).
//!
//! No package serves it, so both ends are sockets. Clients ask from 68, or from 4011 itself.

use anyhow::Result;
use sccm_tests::gateway::{CLIENT, FAMILIES, SERVER, Stage, Topology};

use super::support::{Told, assert_silent, receive, udp};

#[test]
fn a_boot_server_answers_from_4011() -> Result<()> {
    for outbound in ["track", "enforce"] {
        let stage = Stage::new(Topology::Routed)?;
        let agent = stage.enforce("pxe-service-point", &format!("--outbound {outbound}"))?;
        for family in FAMILIES {
            let server = udp(&stage.server, (SERVER[family], 4011))?;
            for port in [68, 4011] {
                let client = udp(&stage.client, (CLIENT[family], port))?;
                client.send_to(b"request", server.local_addr()?)?;
                let (_, from) = receive(&server)?;
                assert_eq!(from, client.local_addr()?);
                server.send_to(b"acknowledgement", from)?;
                assert_eq!(receive(&client)?.0, b"acknowledgement");
            }
            let other = udp(&stage.server, (SERVER[family], 4012))?;
            let client = udp(&stage.client, (CLIENT[family], 4011))?;
            client.send_to(b"request", other.local_addr()?)?;
            assert_silent(&other);
        }
        let metrics = agent.metrics()?;
        metrics.tells_passed(&[("reason", "service"), ("service", "binl")])?;
        metrics.tells_passed(&[("reason", "outbound"), ("service", "binl")])?;
        metrics.tells_no_drop(&[("direction", "outbound")])?;
        assert_eq!(
            metrics.dropped(&[("reason", "not-allowed"), ("protocol", "udp")]),
            2
        );
    }
    Ok(())
}
