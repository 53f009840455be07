//! Leases through ISC's relay, which asks from one address and is answered at another: on the
//! gateway itself, with the server in the segment or outside, and on a router farther out.

use std::fs;
use std::net::IpAddr;

use anyhow::Result;
use sccm_tests::gateway::{CLIENT, SERVER, Stage, Topology};
use sccm_tests::netns::{Namespace, veth_pair};

use super::dhcp::lease;
use super::dhcpv6::lease as lease_v6;
use super::isc::{relay, relay_v6, server};
use super::support::{Told, end};

const MODES: [&str; 3] = ["track", "enforce", "off"];

/// Leases on either side of a gateway, and nothing on the other.
const OUTSIDE: &str = "subnet 192.0.2.0 netmask 255.255.255.0 { range 192.0.2.100 192.0.2.150; }\n\
                       subnet 198.51.100.0 netmask 255.255.255.0 {}";
const INSIDE: &str = "subnet 192.0.2.0 netmask 255.255.255.0 {}\n\
    subnet 198.51.100.0 netmask 255.255.255.0 { range 198.51.100.100 198.51.100.150; }";
const OUTSIDE_V6: &str = "subnet6 2001:db8:1::/64 { range6 2001:db8:1::100 2001:db8:1::150; }\n\
                          subnet6 2001:db8:2::/64 {}";
const INSIDE_V6: &str = "subnet6 2001:db8:1::/64 {}\n\
                         subnet6 2001:db8:2::/64 { range6 2001:db8:2::100 2001:db8:2::150; }";

/// Leases in all modes, and asserts that the relay's answer passed at `card`, and nothing was
/// dropped.
fn relays(
    stage: &Stage,
    role: &str,
    flags: &str,
    card: &str,
    ask: impl Fn(bool) -> Result<Option<IpAddr>>,
) -> Result<()> {
    for outbound in MODES {
        // A PXE service point needs a look at what goes out.
        if outbound == "off" && role == "pxe-service-point" {
            continue;
        }
        let agent = stage.enforce(role, &format!("--outbound {outbound} {flags}"))?;
        let address = ask(true)?;
        let metrics = agent.metrics()?;
        assert!(address.is_some(), "{outbound}: {metrics:#?}");
        metrics.tells_passed(&[("reason", "dhcp-reply"), ("interface", card)])?;
        metrics.tells_no_drop(&[])?;
        end(agent)?;
    }
    // Nobody else is answered: without the essential, the relay is not either.
    let without = format!("--without-essential dhcp-reply {flags}");
    let agent = stage.enforce(role, &without)?;
    assert_eq!(ask(false)?, None);
    let removed = [("reason", "essential-removed"), ("interface", card)];
    agent.metrics()?.tells_dropped(&removed)?;
    end(agent)
}

fn v4(host: &Namespace) -> Result<Option<IpAddr>> {
    let text = lease(host)?;
    Ok(text.map(|text| text.parse()).transpose()?)
}

fn v6(host: &Namespace, expected: bool) -> Result<Option<IpAddr>> {
    Ok(lease_v6(host, expected)?.map(IpAddr::from))
}

#[test]
fn the_gateway_relays_to_a_server_in_the_segment() -> Result<()> {
    let stage = Stage::new(Topology::Routed)?;
    let _server = server(&stage.server, true, OUTSIDE)?;
    let _relay = relay(stage.gateway(), ["up0", "seg0"], SERVER[0])?;
    // A program of the gateway hears broadcasts at the uplink only by a rule.
    let flags = "--manage udp/67@0.0.0.0";
    relays(&stage, "pxe-service-point", flags, "seg0", |_| {
        v4(&stage.client)
    })
}

#[test]
fn the_gateway_relays_to_a_server_outside() -> Result<()> {
    let stage = Stage::new(Topology::Routed)?;
    let _server = server(&stage.client, true, INSIDE)?;
    let _relay = relay(stage.gateway(), ["seg0", "up0"], CLIENT[0])?;
    relays(&stage, "distribution-point", "", "up0", |_| {
        v4(&stage.server)
    })
}

#[test]
fn the_gateway_relays_dhcpv6_to_all_servers_in_the_segment() -> Result<()> {
    let stage = Stage::new(Topology::Routed)?;
    let _server = server(&stage.server, false, OUTSIDE_V6)?;
    let _relay = relay_v6(stage.gateway(), "up0", "seg0", None)?;
    let flags = "--manage udp/547@fe80::/10";
    relays(&stage, "pxe-service-point", flags, "seg0", |expected| {
        v6(&stage.client, expected)
    })
}

#[test]
fn the_gateway_relays_dhcpv6_to_all_servers_outside() -> Result<()> {
    let stage = Stage::new(Topology::Routed)?;
    let _server = server(&stage.client, false, INSIDE_V6)?;
    let _relay = relay_v6(stage.gateway(), "seg0", "up0", None)?;
    relays(&stage, "distribution-point", "", "up0", |expected| {
        v6(&stage.server, expected)
    })
}

/// To one server, the answer belongs to a flow.
#[test]
fn the_gateway_relays_dhcpv6_to_one_server() -> Result<()> {
    let stage = Stage::new(Topology::Routed)?;
    let _server = server(&stage.server, false, OUTSIDE_V6)?;
    let _relay = relay_v6(stage.gateway(), "up0", "seg0", Some(SERVER[1]))?;
    for outbound in ["track", "enforce"] {
        let flags = format!("--manage udp/547 --outbound {outbound}");
        let agent = stage.enforce("pxe-service-point", &flags)?;
        let address = v6(&stage.client, true)?;
        let metrics = agent.metrics()?;
        assert!(address.is_some(), "{outbound}: {metrics:#?}");
        metrics.tells_no_drop(&[])?;
        end(agent)?;
    }
    Ok(())
}

/// A router farther out relays. The policy names the address that it asks from; the answer goes to
/// its other one, which no list names.
#[test]
fn a_router_farther_out_relays() -> Result<()> {
    let stage = Stage::new(Topology::Routed)?;
    let router = &stage.client;
    let machine = Namespace::new("machine")?;
    veth_pair(&machine, "eth0", router, "eth1")?;
    router.interface("eth1").address("10.65.0.1/24")?;
    router.interface("eth1").address("fd65::1/64")?;
    router.sysctl("net.ipv4.ip_forward", "1")?;
    router.sysctl("net.ipv6.conf.all.forwarding", "1")?;
    let gateway = stage.gateway();
    gateway.route(&format!("10.65.0.0/24 via {}", CLIENT[0]))?;
    gateway.route(&format!("fd65::/64 via {}", CLIENT[1]))?;
    let subnets = "subnet 10.65.0.0 netmask 255.255.255.0 { range 10.65.0.100 10.65.0.150; }\n\
                   subnet 198.51.100.0 netmask 255.255.255.0 {}";
    let subnets_v6 =
        "subnet6 fd65::/64 { range6 fd65::100 fd65::150; }\nsubnet6 2001:db8:2::/64 {}";
    let _servers = [
        server(&stage.server, true, subnets)?,
        server(&stage.server, false, subnets_v6)?,
        relay(router, ["eth1", "eth0"], SERVER[0])?,
        relay_v6(router, "eth1", "eth0", Some(SERVER[1]))?,
    ];
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("policy.toml");
    let named = format!("dhcp-relay = [\"{}\", \"{}\"]", CLIENT[0], CLIENT[1]);
    for (relays, leased) in [
        (named.as_str(), true),
        ("dhcp-relay = [\"10.65.0.1\"]", false),
    ] {
        for (edition, role, outbound) in [
            ("2007", "pxe-service-point", "track"),
            ("2007", "pxe-service-point", "enforce"),
            ("current-branch", "pxe-distribution-point", "enforce"),
        ] {
            let text = format!(
                "[site]\nedition = \"{edition}\"\noutbound = \"{outbound}\"\n\
                 [peers]\nclient = [\"{}\"]\npxe-client = [\"10.65.0.0/24\"]\n{relays}\n\
                 [[protect]]\nname = \"boot\"\nroles = [\"{role}\"]\n\
                 addresses = [\"{}\", \"{}\"]\n",
                CLIENT[0], SERVER[0], SERVER[1]
            );
            fs::write(&path, text)?;
            let flags = format!(
                "enforce --uplink up0 --segment seg0 --config {}",
                path.display()
            );
            let agent = stage.start(&flags)?;
            let found = (v4(&machine)?, v6(&machine, leased)?);
            let metrics = agent.metrics()?;
            let both = (found.0.is_some(), found.1.is_some());
            assert_eq!(
                both,
                (leased, leased),
                "{edition}, {outbound}, {relays}: {metrics:#?}"
            );
            match leased {
                true => metrics.tells_no_drop(&[])?,
                false => metrics.tells_dropped(&[("service", "dhcp")])?,
            }
            end(agent)?;
        }
    }
    Ok(())
}
