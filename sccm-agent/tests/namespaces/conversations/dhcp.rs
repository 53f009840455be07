//! A lease from a DHCP server in the segment: by broadcast through a bridge, and by a relay that
//! runs on a router. The client is udhcpc, server and relay are dnsmasq.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use anyhow::{Context, Result};
use sccm_tests::agent::run;
use sccm_tests::gateway::{SERVER, Stage, Topology, UPLINK};
use sccm_tests::netns::Namespace;

use super::dnsmasq::{dhcp_relay, dhcp_server};
use super::support::{Told, end};

/// Asks for a lease on `eth0` and returns the address that it is about.
pub fn lease(client: &Namespace) -> Result<Option<String>> {
    let directory = tempfile::tempdir()?;
    let (script, result) = (
        directory.path().join("script"),
        directory.path().join("lease"),
    );
    // The address is written down and not set: the host has its addresses.
    let text = "#!/bin/sh\n[ \"$1\" = bound ] && echo \"$ip\" > \"$LEASE\"\nexit 0\n";
    fs::write(&script, text)?;
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755))?;
    let mut command = client.command("udhcpc");
    command
        .args(["-i", "eth0", "-f", "-n", "-q", "-t", "3", "-T", "1", "-s"])
        .arg(&script)
        .env("LEASE", &result);
    let finished = run(command)?;
    if finished.code == Some(0) {
        let address = fs::read_to_string(&result).context("no lease")?;
        return Ok(Some(address.trim().to_owned()));
    }
    assert!(!Path::new(&result).exists(), "{finished:?}");
    Ok(None)
}

/// Leases with the role that may, with further arguments, and without.
fn lease_by_role(stage: &Stage, outbound: &str, more: &str, expected: &str) -> Result<()> {
    let arguments = format!("--outbound {outbound} {more}");
    // A rule gives the port a name of its own besides.
    let service = if more.is_empty() {
        "dhcp"
    } else {
        "dhcp+udp/67"
    };
    let allowed = stage.enforce("pxe-service-point", &arguments)?;
    let address = lease(&stage.client)?;
    assert!(
        address.as_ref().is_some_and(|it| it.starts_with(expected)),
        "{address:?}, {:#?}",
        allowed.metrics()?
    );
    let metrics = allowed.metrics()?;
    metrics.tells_passed(&[
        ("reason", "service"),
        ("service", service),
        ("interface", "up0"),
    ])?;
    metrics.tells_no_drop(&[])?;
    end(allowed)?;

    let refused = stage.enforce("distribution-point", &format!("--outbound {outbound}"))?;
    assert_eq!(lease(&stage.client)?, None);
    let metrics = refused.metrics()?;
    let dropped = metrics.samples.iter().any(|sample| {
        sample.name == "sccm_dropped_packets_total"
            && sample.labels["service"].contains("dhcp")
            && sample.value > 0.0
    });
    assert!(dropped, "{metrics:#?}");
    end(refused)
}

#[test]
fn a_lease_comes_by_broadcast_through_a_bridge() -> Result<()> {
    let stage = Stage::new(Topology::Bridged)?;
    let _server = dhcp_server(&stage.server, "198.51.100.100,198.51.100.150")?;
    for outbound in ["track", "enforce"] {
        lease_by_role(&stage, outbound, "", "198.51.100.1")?;
    }
    Ok(())
}

#[test]
fn a_lease_comes_through_a_relay_on_the_router() -> Result<()> {
    let stage = Stage::new(Topology::Routed)?;
    let _server = dhcp_server(&stage.server, "192.0.2.100,192.0.2.150,255.255.255.0")?;
    let _relay = dhcp_relay(stage.gateway(), UPLINK[0], &[SERVER[0]])?;
    for outbound in ["track", "enforce"] {
        // A program of the gateway hears broadcasts only by a rule.
        lease_by_role(&stage, outbound, "--manage udp/67@0.0.0.0", "192.0.2.1")?;
    }
    Ok(())
}

#[test]
fn a_protected_system_gets_a_lease_from_outside() -> Result<()> {
    for (topology, card) in [(Topology::Bridged, "seg0"), (Topology::Host, "eth0")] {
        let stage = Stage::new(topology)?;
        let _server = dhcp_server(&stage.client, "192.0.2.100,192.0.2.150,255.255.255.0")?;
        for outbound in ["track", "enforce"] {
            let agent = stage.enforce("distribution-point", &format!("--outbound {outbound}"))?;
            let address = lease(&stage.server)?;
            let metrics = agent.metrics()?;
            assert!(address.is_some(), "{topology:?}, {outbound}: {metrics:#?}");
            metrics.tells_passed(&[("reason", "dhcp-reply"), ("direction", "inbound")])?;
            metrics.tells_no_drop(&[])?;
            if outbound == "enforce" {
                metrics.tells_passed(&[("reason", "dhcp-request"), ("interface", card)])?;
            }
            end(agent)?;
        }
        let without = "--outbound enforce --without-essential dhcp-reply";
        let without = stage.enforce("distribution-point", without)?;
        assert_eq!(lease(&stage.server)?, None);
        without
            .metrics()?
            .tells_dropped(&[("reason", "essential-removed"), ("interface", card)])?;
    }
    Ok(())
}
