//! PPTP between site servers (link 1, note 3): TCP 1723, and GRE between the same two hosts.

use std::net::IpAddr;

use anyhow::Result;
use sccm_tests::gateway::{CLIENT, FAMILIES, SERVER, STRANGER, Stage, Topology};
use sccm_tests::traffic::{tcp_exchange, tcp_server};

use super::crossing::{Crossing, packet};
use super::support::{LONG, Told};

const CONTROL: u16 = 1723;

/// Whether GRE from `from` reaches the server.
fn tunnel(crossing: &Crossing, from: IpAddr, family: usize) -> Result<bool> {
    crossing.reaches(packet(from, SERVER[family]).gre())
}

/// Lets one side open the control connection, and tries the tunnel before and after.
fn a_tunnel_follows_its_control_connection(opened_inside: bool) -> Result<()> {
    for outbound in ["track", "enforce"] {
        let stage = Stage::new(Topology::Routed)?;
        let agent = stage.enforce("site-server", &format!("--outbound {outbound}"))?;
        let crossing = Crossing::new(&stage)?;
        for family in FAMILIES {
            assert!(!tunnel(&crossing, CLIENT[family], family)?);
            let (listener, opener, address) = match opened_inside {
                true => (&stage.client, &stage.server, CLIENT[family]),
                false => (&stage.server, &stage.client, SERVER[family]),
            };
            let server = tcp_server(listener, (address, CONTROL).into())?;
            assert!(tcp_exchange(opener, server.address(), LONG));
            assert!(tunnel(&crossing, CLIENT[family], family)?);
            assert!(!tunnel(&crossing, STRANGER[family], family)?);
        }
        let metrics = agent.metrics()?;
        metrics.tells_passed(&[("service", "pptp")])?;
        assert_eq!(
            metrics.passed(&[("reason", "reply"), ("service", "gre")]),
            2
        );
        assert_eq!(
            metrics.dropped(&[("reason", "not-allowed"), ("service", "gre")]),
            4
        );
    }
    Ok(())
}

#[test]
fn a_tunnel_follows_a_connection_from_outside() -> Result<()> {
    a_tunnel_follows_its_control_connection(false)
}

#[test]
fn a_tunnel_follows_a_connection_from_the_segment() -> Result<()> {
    a_tunnel_follows_its_control_connection(true)
}
