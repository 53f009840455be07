//! VLAN devices, VLANs within VLANs, bonds, bridges that filter VLANs, cards with real drivers, and
//! tunnels, with real traffic.
//!
//! They need cards, and modules that not every kernel has (8021q, bonding, wireguard). So `cargo test`
//! alone does not run them: the emulated machines of `cargo xtask test --kernel` do.

mod cards;
mod tunnels;

use std::io::{Read as _, Write as _};
use std::net::{IpAddr, Ipv6Addr, SocketAddr, TcpStream};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use sccm_tests::agent::{Agent, FORBIDDEN, Hosts, LONG};
use sccm_tests::gateway::{Stage, Topology};
use sccm_tests::netns::{Namespace, veth_pair};
use sccm_tests::traffic::{Outcome, PATIENCE, Server, tcp_connect, tcp_exchange, tcp_server};

/// A port of the role.
const ALLOWED: u16 = 80;

/// A server of the client's, outside of the RPC range.
const ANSWERS: u16 = 8443;

/// Servers of a host, at all its addresses.
fn servers(host: &Namespace, ports: &[u16]) -> Result<Vec<Server>> {
    let server = |port: &u16| tcp_server(host, (Ipv6Addr::UNSPECIFIED, *port).into());
    ports.iter().map(server).collect()
}

/// Addresses of both families in subnet `net`, of host `number`.
fn addresses(net: u8, number: u8) -> Result<[IpAddr; 2]> {
    Ok([
        format!("10.{net}.0.{number}").parse()?,
        format!("2001:db8:{net}::{number}").parse()?,
    ])
}

/// Gives a device its addresses, and turns it on.
fn set_up(host: &Namespace, device: &str, [four, six]: [IpAddr; 2]) -> Result<()> {
    let device = host.interface(device).up()?;
    device
        .address(&format!("{four}/24"))?
        .address(&format!("{six}/64"))?;
    Ok(())
}

/// Has the kernel put tags into the frames that a host sends: the other end of a veth sees no
/// others.
fn tags_in_frames(host: &Namespace, card: &str) -> Result<()> {
    let done = host
        .command("ethtool")
        .args(["-K", card, "txvlan", "off", "tx-vlan-stag-hw-insert", "off"])
        .status()?;
    ensure!(done.success(), "ethtool on {card}");
    Ok(())
}

/// Makes a VLAN device with addresses over a card. With `outer`, a VLAN within a service VLAN.
fn vlan(host: &Namespace, outer: Option<u16>, id: u16, own: [IpAddr; 2]) -> Result<()> {
    let mut below = "eth0".to_owned();
    if let Some(outer) = outer {
        host.ip(&format!(
            "link add link eth0 name eth0.{outer} type vlan proto 802.1ad id {outer}"
        ))?;
        below = format!("eth0.{outer}");
        host.interface(&below).up()?;
    }
    let name = format!("{below}.{id}");
    host.ip(&format!(
        "link add link {below} name {name} type vlan id {id}"
    ))?;
    set_up(host, &name, own)
}

#[track_caller]
fn assert_enforced(from: &Namespace, to: &[IpAddr]) {
    for &address in to {
        let allowed = (address, ALLOWED).into();
        assert!(tcp_exchange(from, allowed, LONG), "{address}");
        let forbidden = tcp_connect(from, (address, FORBIDDEN).into(), PATIENCE);
        assert_eq!(forbidden, Outcome::TimedOut, "{address}");
    }
}

#[track_caller]
fn assert_open(from: &Namespace, to: &[IpAddr]) {
    for &address in to {
        let open = tcp_connect(from, (address, FORBIDDEN).into(), LONG);
        assert_eq!(open, Outcome::Connected, "{address}");
    }
}

/// An interface has let the service in, and nothing else.
fn counts(agent: &Agent, interface: &str) -> Result<()> {
    let metrics = agent.metrics()?;
    let of = |reason| [("interface", interface), ("reason", reason)];
    ensure!(
        metrics.passed(&of("service")) > 0,
        "{interface}: {metrics:#?}"
    );
    ensure!(
        metrics.dropped(&of("not-allowed")) > 0,
        "{interface}: {metrics:#?}"
    );
    Ok(())
}

/// A client and a point whose kernels leave tags in the frames.
fn hosts() -> Result<Hosts> {
    let hosts = Hosts::new()?;
    for host in [&hosts.client, &hosts.point] {
        tags_in_frames(host, "eth0")?;
        // Answers from the RPC range would be a service.
        host.sysctl("net.ipv4.ip_local_port_range", "40000 48000")?;
    }
    Ok(hosts)
}

#[test]
fn a_vlan_device_is_enforced_and_its_card_is_not() -> Result<()> {
    let hosts = hosts()?;
    let (client, point) = (addresses(20, 1)?, addresses(20, 2)?);
    let (stranger, other) = (addresses(30, 1)?, addresses(30, 2)?);
    vlan(&hosts.client, None, 20, client)?;
    vlan(&hosts.point, None, 20, point)?;
    vlan(&hosts.client, None, 30, stranger)?;
    vlan(&hosts.point, None, 30, other)?;
    let _servers = servers(&hosts.point, &[ALLOWED, FORBIDDEN])?;
    let _answers = servers(&hosts.client, &[ANSWERS])?;
    let agent = hosts.enforce("--role distribution-point --interface eth0.20")?;
    assert_enforced(&hosts.client, &point);
    // Neither another VLAN nor what has no tag.
    assert_open(&hosts.client, &other);
    assert_open(&hosts.client, &Hosts::POINT);
    counts(&agent, "eth0.20")?;
    // What the point opens by the device is answered; its tag is beside the frame as it goes out.
    for address in client {
        assert!(tcp_exchange(&hosts.point, (address, ANSWERS).into(), LONG));
    }
    let replies = [("interface", "eth0.20"), ("reason", "reply")];
    ensure!(agent.metrics()?.passed(&replies) > 0, "no reply is told");
    // A device that is made anew is the same VLAN.
    hosts.point.ip("link delete dev eth0.20")?;
    vlan(&hosts.point, None, 20, point)?;
    assert_enforced(&hosts.client, &point);
    Ok(())
}

#[test]
fn the_outer_tag_decides_for_a_vlan_within_a_vlan() -> Result<()> {
    for interface in ["eth0.100", "eth0"] {
        let hosts = hosts()?;
        let (client, point) = (addresses(20, 1)?, addresses(20, 2)?);
        vlan(&hosts.client, Some(100), 20, client)?;
        vlan(&hosts.point, Some(100), 20, point)?;
        let _servers = servers(&hosts.point, &[ALLOWED, FORBIDDEN])?;
        let _answers = servers(&hosts.client, &[ANSWERS])?;
        let agent = hosts.enforce(&format!(
            "--role distribution-point --interface {interface}"
        ))?;
        assert_enforced(&hosts.client, &point);
        for address in client {
            assert!(tcp_exchange(&hosts.point, (address, ANSWERS).into(), LONG));
        }
        counts(&agent, interface)?;
    }
    Ok(())
}

/// What `ip` says of a card that its bond knows to work.
const WORKS: &str = "mii_status UP";

/// Waits until `ip` says something of a device. An emulated machine may be busy with its verifier.
fn wait_for(host: &Namespace, device: &str, words: &str) -> Result<()> {
    let end = Instant::now() + 6 * LONG;
    while !host
        .ip(&format!("-d link show dev {device}"))?
        .contains(words)
    {
        ensure!(Instant::now() < end, "{device} never has `{words}`");
        sleep(Duration::from_millis(20));
    }
    Ok(())
}

/// Joins two cables, at either end, to a bond of which one cable works at a time: `eth0` first.
fn bonded() -> Result<Hosts> {
    let hosts = Hosts::new()?;
    veth_pair(&hosts.client, "eth1", &hosts.point, "eth1")?;
    let ends = [
        (&hosts.client, addresses(9, 1)?),
        (&hosts.point, addresses(9, 2)?),
    ];
    for (host, own) in ends {
        host.ip("link add bond0 type bond mode active-backup miimon 50")?;
        for card in ["eth0", "eth1"] {
            host.ip(&format!("link set dev {card} down"))?;
            host.ip(&format!("link set dev {card} master bond0"))?;
        }
        host.ip("link set dev bond0 up")?;
        host.ip("link set dev eth0 up")?;
        set_up(host, "bond0", own)?;
        host.sysctl("net.ipv4.ip_local_port_range", "40000 48000")?;
    }
    // Each end would choose the cable that it sees working first, and might choose another one.
    for (host, _) in ends {
        wait_for(host, "bond0", "active_slave eth0")?;
    }
    for (host, _) in ends {
        host.ip("link set dev eth1 up")?;
    }
    for (host, _) in ends {
        wait_for(host, "eth1", WORKS)?;
    }
    Ok(hosts)
}

/// Says something over an open connection, and hears the same.
fn echoes(stream: &mut TcpStream) -> Result<()> {
    stream.write_all(b"still here")?;
    let mut heard = [0; 10];
    stream.read_exact(&mut heard)?;
    ensure!(&heard == b"still here", "something else came back");
    Ok(())
}

#[test]
fn a_bond_stays_enforced_when_its_active_card_fails() -> Result<()> {
    let hosts = bonded()?;
    let (client, point) = (addresses(9, 1)?, addresses(9, 2)?);
    let _servers = servers(&hosts.point, &[ALLOWED, FORBIDDEN])?;
    let _answers = servers(&hosts.client, &[ANSWERS])?;
    let agent = hosts.enforce("--role distribution-point --interface bond0")?;
    for card in ["eth0", "eth1"] {
        ensure!(hosts.is_hooked(card)?, "no program on {card}");
    }
    let doctor = hosts.run("doctor --interface bond0")?.stdout;
    let told = "eth0 membership: a member of bond0, a bond (active-backup)";
    ensure!(doctor.contains(told), "{doctor}");
    assert_enforced(&hosts.client, &point);
    // One connection each way that outlives the failures.
    let connect = |from: &Namespace, to: SocketAddr| -> Result<TcpStream> {
        let stream = from.enter(|| TcpStream::connect_timeout(&to, LONG))?;
        stream.set_read_timeout(Some(LONG))?;
        Ok(stream)
    };
    let mut inward = connect(&hosts.client, (point[0], ALLOWED).into())?;
    let mut outward = connect(&hosts.point, (client[0], ANSWERS).into())?;
    for (failed, other) in [("eth0", "eth1"), ("eth1", "eth0")] {
        hosts.point.ip(&format!("link set dev {failed} down"))?;
        for host in [&hosts.client, &hosts.point] {
            wait_for(host, "bond0", &format!("active_slave {other}"))?;
        }
        for stream in [&mut inward, &mut outward] {
            echoes(stream).with_context(|| format!("after {failed} has failed"))?;
        }
        assert_enforced(&hosts.client, &point);
        counts(&agent, other)?;
        hosts.point.ip(&format!("link set dev {failed} up"))?;
        // Else a bond is without a card when the other one fails, and loses its addresses.
        for host in [&hosts.client, &hosts.point] {
            wait_for(host, failed, WORKS)?;
        }
    }
    // A card that leaves the bond is its own again.
    hosts.point.ip("link set dev eth1 nomaster")?;
    for _ in 0..500 {
        if !hosts.is_hooked("eth1")? {
            break;
        }
        sleep(Duration::from_millis(20));
    }
    ensure!(!hosts.is_hooked("eth1")?, "{}", agent.log()?);
    Ok(())
}

#[test]
fn a_vlan_over_a_bond_is_enforced_on_both_cards() -> Result<()> {
    let hosts = bonded()?;
    let (client, point) = (addresses(20, 1)?, addresses(20, 2)?);
    for (host, own) in [(&hosts.client, client), (&hosts.point, point)] {
        for card in ["eth0", "eth1"] {
            tags_in_frames(host, card)?;
        }
        host.ip("link add link bond0 name bond0.20 type vlan id 20")?;
        set_up(host, "bond0.20", own)?;
    }
    let _servers = servers(&hosts.point, &[ALLOWED, FORBIDDEN])?;
    let agent = hosts.enforce("--role distribution-point --interface bond0.20")?;
    assert_enforced(&hosts.client, &point);
    assert_open(&hosts.client, &addresses(9, 2)?);
    hosts.point.ip("link set dev eth0 down")?;
    for host in [&hosts.client, &hosts.point] {
        wait_for(host, "bond0", "active_slave eth1")?;
    }
    assert_enforced(&hosts.client, &point);
    assert_open(&hosts.client, &addresses(9, 2)?);
    drop(agent);
    Ok(())
}

/// A bridge that lets only named VLANs through, and hosts that speak in one of them.
#[test]
fn a_bridge_that_filters_vlans_is_enforced_by_vlan() -> Result<()> {
    let stage = Stage::new(Topology::Bridged)?;
    let gateway = stage.gateway();
    gateway.ip("link set dev br0 type bridge vlan_filtering 1")?;
    for card in ["up0", "seg0"] {
        for id in ["20", "30", "100"] {
            let line = ["vlan", "add", "dev", card, "vid", id];
            let done = gateway.command("bridge").args(line).status()?;
            ensure!(done.success(), "bridge {line:?}");
        }
        tags_in_frames(gateway, card)?;
    }
    for (host, number) in [(&stage.client, 1), (&stage.server, 2)] {
        tags_in_frames(host, "eth0")?;
        for id in [20, 30, 40] {
            vlan(host, None, id, addresses(id as u8, number)?)?;
        }
        // 802.1Q within 802.1Q, because this bridge filters by that type.
        host.ip("link add link eth0 name eth0.100 type vlan id 100")?;
        host.interface("eth0.100").up()?;
        host.ip("link add link eth0.100 name inner type vlan id 50")?;
        set_up(host, "inner", addresses(50, number)?)?;
    }
    let _servers = servers(&stage.server, &[ALLOWED, FORBIDDEN])?;
    let agent = stage
        .enforce_cards("--uplink up0.20 --segment seg0.20 --uplink up0.100 --segment seg0.100")?;
    assert_enforced(&stage.client, &addresses(20, 2)?);
    // Behind an outer tag that was named.
    assert_enforced(&stage.client, &addresses(50, 2)?);
    assert_open(&stage.client, &addresses(30, 2)?);
    for address in addresses(40, 2)? {
        let outcome = tcp_connect(&stage.client, (address, ALLOWED).into(), PATIENCE);
        ensure!(outcome != Outcome::Connected, "VLAN 40 crosses the bridge");
    }
    for interface in ["up0.20", "up0.100"] {
        counts(&agent, interface)?;
    }
    Ok(())
}
