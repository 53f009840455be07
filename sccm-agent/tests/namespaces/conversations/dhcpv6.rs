//! Leases of IPv6 addresses to protected systems, from dnsmasq outside (RFC 8415).
//!
//! A client asks a group and is answered by one system, so no flow can let the answer in: an
//! essential does. The client is a socket; Debian's go on as services.

use std::fs;
use std::net::{Ipv6Addr, SocketAddrV6};

use anyhow::{Context, Result, ensure};
use nix::net::if_::if_nametoindex;
use sccm_tests::gateway::{CLIENT, SEGMENT, Stage, Topology};
use sccm_tests::netns::Namespace;

use super::dnsmasq::{dhcpv6_relay, dhcpv6_server};
use super::support::{LONG, PATIENCE, Told, end, hear, receive, udp};

/// Message types.
const SOLICIT: u8 = 1;
const ADVERTISE: u8 = 2;
const REQUEST: u8 = 3;
const REPLY: u8 = 7;

/// Option codes.
const CLIENT_ID: u16 = 1;
const SERVER_ID: u16 = 2;
const IA_NA: u16 = 3;
const ELAPSED: u16 = 8;

/// All servers and relays on the cable.
const SERVERS: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 1, 2);

fn option(code: u16, value: &[u8]) -> Vec<u8> {
    let length = value.len() as u16;
    [&code.to_be_bytes(), &length.to_be_bytes(), value].concat()
}

/// The value of the first option of this code.
fn find(mut options: &[u8], wanted: u16) -> Option<&[u8]> {
    while let [c0, c1, l0, l1, rest @ ..] = options {
        let value = rest.get(..usize::from(u16::from_be_bytes([*l0, *l1])))?;
        if u16::from_be_bytes([*c0, *c1]) == wanted {
            return Some(value);
        }
        options = &rest[value.len()..];
    }
    None
}

/// Asks for a lease on `eth0` by all four messages; none if nobody answers the first, for which it
/// waits longer if it is `expected`.
pub fn lease(client: &Namespace, expected: bool) -> Result<Option<Ipv6Addr>> {
    let card = client.enter(|| if_nametoindex("eth0"))?;
    let socket = udp(client, (Ipv6Addr::UNSPECIFIED, 546))?;
    let to = SocketAddrV6::new(SERVERS, 547, 0, card);
    let ask = |kind: u8, what: &[Vec<u8>]| {
        let mut message = vec![kind, b'a', b'b', b'c'];
        // Known by a number of its own under an enterprise's.
        message.extend(option(CLIENT_ID, b"\0\x02\0\0\x7e\xd9sccm"));
        message.extend(option(ELAPSED, &[0, 0]));
        message.extend(what.concat());
        socket.send_to(&message, to).context("asking")
    };
    // Identity 1, and the server may choose the times.
    let identity = [0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0];
    ask(SOLICIT, &[option(IA_NA, &identity)])?;
    socket.set_read_timeout(Some(if expected { LONG } else { PATIENCE }))?;
    let Some((offer, _)) = hear(&socket)? else {
        return Ok(None);
    };
    ensure!(offer[0] == ADVERTISE, "no advertisement: {offer:?}");
    let server = find(&offer[4..], SERVER_ID).context("no server")?;
    let association = find(&offer[4..], IA_NA).context("no address")?;
    let choice = [option(SERVER_ID, server), option(IA_NA, association)];
    ask(REQUEST, &choice)?;
    let (reply, from) = receive(&socket)?;
    ensure!(reply[0] == REPLY && from.port() == 547, "{from}: {reply:?}");
    let association = find(&reply[4..], IA_NA).context("no address")?;
    // Identity and two times, then the option with the address.
    let address: [u8; 16] = association[16..32].try_into()?;
    Ok(Some(address.into()))
}

#[test]
fn a_protected_system_gets_a_lease() -> Result<()> {
    for (topology, card) in [(Topology::Bridged, "seg0"), (Topology::Host, "eth0")] {
        let stage = Stage::new(topology)?;
        let _server = dhcpv6_server(&stage.client, "2001:db8:1::100,2001:db8:1::150")?;
        for outbound in ["track", "enforce"] {
            let agent = stage.enforce("distribution-point", &format!("--outbound {outbound}"))?;
            let address = lease(&stage.server, true)?;
            let metrics = agent.metrics()?;
            assert!(address.is_some(), "{topology:?}, {outbound}: {metrics:#?}");
            metrics.tells_passed(&[("reason", "dhcp-reply"), ("direction", "inbound")])?;
            metrics.tells_no_drop(&[])?;
            let requests = metrics.passed(&[("reason", "dhcp-request"), ("interface", card)]);
            assert_eq!(requests, if outbound == "enforce" { 2 } else { 0 });
            end(agent)?;
        }
        let without = stage.enforce("distribution-point", "--without-essential dhcp-reply")?;
        assert_eq!(lease(&stage.server, false)?, None);
        without
            .metrics()?
            .tells_dropped(&[("reason", "essential-removed"), ("direction", "inbound")])?;
    }
    Ok(())
}

#[test]
fn a_protected_system_gets_a_lease_by_a_relay_on_the_router() -> Result<()> {
    let stage = Stage::new(Topology::Routed)?;
    let _server = dhcpv6_server(&stage.client, "2001:db8:2::100,2001:db8:2::150")?;
    let _relay = dhcpv6_relay(stage.gateway(), SEGMENT[1], CLIENT[1])?;
    for outbound in ["track", "enforce"] {
        let agent = stage.enforce("distribution-point", &format!("--outbound {outbound}"))?;
        let address = lease(&stage.server, true)?;
        let metrics = agent.metrics()?;
        assert!(address.is_some(), "{outbound}: {metrics:#?}");
        // The server answers the gateway itself.
        metrics.tells_passed(&[("reason", "reply"), ("interface", "up0")])?;
        metrics.tells_no_drop(&[])?;
        end(agent)?;
    }
    Ok(())
}

/// The boot server of today answers without Windows Deployment Services, and its link lists DHCPv6.
#[test]
fn a_boot_server_of_today_leases_by_its_link() -> Result<()> {
    let stage = Stage::new(Topology::Bridged)?;
    let _server = dhcpv6_server(&stage.server, "2001:db8:2::100,2001:db8:2::150")?;
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("policy.toml");
    // Who asks for an address does so from one of the link, which is nobody's in the list.
    let policy = "[site]\nedition = \"current-branch\"\noutbound = \"enforce\"\n\
                  [peers]\nclient = [\"2001:db8:1::/64\"]\n\
                  [[protect]]\nname = \"boot\"\nroles = [\"pxe-distribution-point\"]\n";
    fs::write(&path, policy)?;
    let flags = format!(
        "enforce --uplink up0 --segment seg0 --config {}",
        path.display()
    );
    let agent = stage.start(&flags)?;
    assert!(lease(&stage.client, true)?.is_some());
    let metrics = agent.metrics()?;
    metrics.tells_passed(&[("reason", "service"), ("service", "dhcpv6")])?;
    metrics.tells_passed(&[("reason", "outbound"), ("service", "dhcpv6")])?;
    metrics.tells_no_drop(&[])
}

/// No link of 2007's document has DHCPv6: a site that serves it in the segment says so.
#[test]
fn a_protected_system_leases_only_where_a_site_says_so() -> Result<()> {
    let stage = Stage::new(Topology::Bridged)?;
    let _server = dhcpv6_server(&stage.server, "2001:db8:2::100,2001:db8:2::150")?;
    let agent = stage.enforce("pxe-service-point", "--outbound enforce")?;
    assert_eq!(lease(&stage.client, false)?, None);
    agent.metrics()?.tells_dropped(&[
        ("reason", "not-allowed"),
        ("protocol", "udp"),
        ("interface", "up0"),
    ])?;
    end(agent)?;
    let agent = stage.enforce("pxe-service-point", "--outbound enforce --allow udp/547")?;
    assert!(lease(&stage.client, true)?.is_some());
    let metrics = agent.metrics()?;
    metrics.tells_passed(&[("reason", "outbound"), ("service", "udp/547")])?;
    metrics.tells_no_drop(&[])
}
