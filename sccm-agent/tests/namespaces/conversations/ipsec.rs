//! IPsec enforcement (link 11): IKE, NAT traversal, ESP and AH for the role that has the link.

use anyhow::Result;
use sccm_tests::gateway::{CLIENT, FAMILIES, SERVER, Stage, Topology};
use sccm_tests::packet::Packet;

use super::crossing::{Crossing, packet};
use super::support::Told;

/// One packet of each protocol, and the name of its service.
fn packets(family: usize) -> [(&'static str, Packet); 4] {
    let packet = || packet(CLIENT[family], SERVER[family]);
    [
        ("ike", packet().udp(500, 500)),
        ("ipsec-nat-traversal", packet().udp(4500, 4500)),
        ("esp", packet().esp()),
        ("ah", packet().ah()),
    ]
}

fn ipsec_reaches(role: &str, expected: bool) -> Result<()> {
    let stage = Stage::new(Topology::Routed)?;
    let agent = stage.enforce(role, "")?;
    let crossing = Crossing::new(&stage)?;
    for family in FAMILIES {
        for (service, packet) in packets(family) {
            assert_eq!(
                crossing.reaches(packet)?,
                expected,
                "{role}: {service}, family {family}"
            );
        }
    }
    let metrics = agent.metrics()?;
    for (service, _) in packets(0) {
        let service = ("service", service);
        if expected {
            metrics.tells_passed(&[("reason", "service"), service])?;
            metrics.tells_no_drop(&[service])?;
        } else {
            metrics.tells_dropped(&[("reason", "not-allowed"), service])?;
        }
    }
    Ok(())
}

#[test]
fn a_system_health_validator_is_reached() -> Result<()> {
    ipsec_reaches("system-health-validator", true)
}

#[test]
fn other_roles_are_not() -> Result<()> {
    ipsec_reaches("distribution-point", false)?;
    ipsec_reaches("site-server", false)
}
