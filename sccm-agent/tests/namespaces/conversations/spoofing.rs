//! Somebody outside borrows the address of a protected system. What is behind this machine never
//! comes from outside; what is behind another gateway does.

use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::Path;
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use sccm_tests::agent::Agent;
use sccm_tests::gateway::{CLIENT, FAMILIES, SEGMENT, SERVER, Stage, Topology, UPLINK};
use sccm_tests::traffic::{Server, tcp_server};

use super::management::reaches;
use super::support::{LONG, Told, end};

/// A site server in the segment.
const SITE: [IpAddr; 2] = [v4([198, 51, 100, 5]), v6(2, 5)];

/// One in a subnet of its own.
const FAR: [IpAddr; 2] = [v4([203, 0, 113, 5]), v6(5, 5)];

const fn v4([a, b, c, d]: [u8; 4]) -> IpAddr {
    IpAddr::V4(Ipv4Addr::new(a, b, c, d))
}

const fn v6(net: u16, host: u16) -> IpAddr {
    IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, net, 0, 0, 0, 0, host))
}

/// A distribution point, and two site servers that may use it.
fn write_policy(path: &Path, elsewhere: bool, site: &str) -> Result<()> {
    let entry = |name: &str, role: &str, at: [IpAddr; 2], more: &str| {
        let [four, six] = at;
        format!(
            "[[protect]]\nname = \"{name}\"\nroles = [\"{role}\"]\n\
             addresses = [\"{four}\", \"{six}\"]\n{more}\n"
        )
    };
    let more = if elsewhere { "elsewhere = true" } else { "" };
    let text = [
        format!("[site]\n{site}\n[peers]\nclient = [\"{}\"]\n", CLIENT[0]),
        entry("point", "distribution-point", SERVER, ""),
        entry("site", "site-server", SITE, more),
        entry("far", "site-server", FAR, ""),
    ];
    Ok(fs::write(path, text.concat())?)
}

fn enforce<'s>(stage: &'s Stage, policy: &Path) -> Result<Agent<'s>> {
    let line = format!(
        "enforce --config {} --uplink up0 --segment seg0",
        policy.display()
    );
    Agent::start(stage.gateway(), stage.command(&line)?)
}

/// Gives the client's host these addresses, too.
fn borrow(stage: &Stage, addresses: [IpAddr; 2]) -> Result<()> {
    for (address, length) in addresses.iter().zip([32, 128]) {
        stage
            .client
            .ip(&format!("address add {address}/{length} dev eth0 nodad"))?;
    }
    Ok(())
}

/// Whether the client's host reaches SMB of the server from these addresses.
#[track_caller]
fn assert_reached(stage: &Stage, from: [IpAddr; 2], expected: bool) -> Result<()> {
    for family in FAMILIES {
        let to = (SERVER[family], 445);
        let reached = reaches(&stage.client, from[family], to, expected)?;
        assert_eq!(reached, expected, "from {}", from[family]);
    }
    Ok(())
}

fn server(stage: &Stage) -> Result<Server> {
    tcp_server(&stage.server, (Ipv6Addr::UNSPECIFIED, 445).into())
}

#[test]
fn routes_tell_who_is_behind_and_are_followed() -> Result<()> {
    let stage = Stage::new(Topology::Routed)?;
    let _server = server(&stage)?;
    borrow(&stage, SITE)?;
    borrow(&stage, FAR)?;
    let gateway = stage.gateway();
    let subnets = ["203.0.113.0/24", "2001:db8:5::/64"];
    for (subnet, via) in subnets.iter().zip(CLIENT) {
        gateway.route(&format!("{subnet} via {via}"))?;
    }
    let folder = tempfile::tempdir()?;
    let policy = folder.path().join("policy.toml");
    write_policy(&policy, false, "")?;
    let agent = enforce(&stage, &policy)?;
    assert_reached(&stage, FAR, true)?;
    assert_reached(&stage, SITE, false)?;
    let spoofed = [("reason", "spoofed-source"), ("interface", "up0")];
    agent.metrics()?.tells_dropped(&spoofed)?;

    // Now the far subnet is behind this gateway.
    for (subnet, via) in subnets.iter().zip(SERVER) {
        let family = if via.is_ipv4() { "-4" } else { "-6" };
        gateway.ip(&format!("{family} route replace {subnet} via {via}"))?;
    }
    let before = agent.metrics()?.dropped(&spoofed);
    let patience = Instant::now() + LONG;
    while agent.metrics()?.dropped(&spoofed) == before {
        ensure!(Instant::now() < patience, "the routes are not followed");
        reaches(&stage.client, FAR[0], (SERVER[0], 445), false)?;
        sleep(Duration::from_millis(100));
    }
    assert_reached(&stage, FAR, false)?;
    end(agent)
}

#[test]
fn on_a_bridge_the_policy_tells() -> Result<()> {
    let stage = Stage::new(Topology::Bridged)?;
    let _server = server(&stage)?;
    borrow(&stage, SITE)?;
    // The server answers whoever borrows the address.
    let folder = tempfile::tempdir()?;
    let policy = folder.path().join("policy.toml");
    let spoofed = [("reason", "spoofed-source"), ("interface", "up0")];

    write_policy(&policy, false, "")?;
    let agent = enforce(&stage, &policy)?;
    assert_reached(&stage, SITE, false)?;
    agent.metrics()?.tells_dropped(&spoofed)?;
    end(agent)?;

    write_policy(&policy, true, "")?;
    let agent = enforce(&stage, &policy)?;
    assert_reached(&stage, SITE, true)?;
    agent.metrics()?.tells_no_drop(&spoofed)?;
    end(agent)?;

    let passes = format!("pass-sources = [\"{}\", \"{}\"]", SITE[0], SITE[1]);
    write_policy(&policy, false, &passes)?;
    let agent = enforce(&stage, &policy)?;
    assert_reached(&stage, SITE, true)?;
    agent.metrics()?.tells_no_drop(&spoofed)?;
    end(agent)
}

/// The machine's own addresses, as they come and go.
#[test]
fn nobody_has_an_own_address_of_a_gateway_or_a_host() -> Result<()> {
    for (topology, card, own) in [
        (Topology::Routed, "up0", SEGMENT),
        (Topology::Bridged, "up0", SEGMENT),
        (Topology::Host, "eth0", UPLINK),
    ] {
        let stage = Stage::new(topology)?;
        let _server = server(&stage)?;
        borrow(&stage, own)?;
        let agent = stage.enforce("distribution-point", "")?;
        let spoofed = [("reason", "spoofed-source"), ("interface", card)];
        if topology == Topology::Host {
            // Until the host has them itself, they are somebody else's.
            assert_reached(&stage, own, true)?;
            for (address, length) in own.iter().zip([32, 128]) {
                stage
                    .server
                    .ip(&format!("address add {address}/{length} dev lo nodad"))?;
            }
            let patience = Instant::now() + LONG;
            while agent.metrics()?.dropped(&spoofed) == 0 {
                ensure!(Instant::now() < patience, "the addresses are not followed");
                reaches(&stage.client, own[0], (SERVER[0], 445), false)?;
            }
        }
        assert_reached(&stage, own, false)?;
        agent.metrics()?.tells_dropped(&spoofed)?;
        end(agent)?;
    }
    Ok(())
}
