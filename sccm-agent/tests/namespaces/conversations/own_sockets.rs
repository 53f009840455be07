//! What is sent to many and a router does not hand on: its own sockets hear it only by management
//! rights, whatever its roles offer (N1 of the field's faults).

use std::net::{IpAddr, Ipv4Addr, UdpSocket};

use anyhow::Result;
use nix::net::if_::if_nametoindex;
use sccm_tests::agent::Agent;
use sccm_tests::gateway::{CLIENT, SERVER, STRANGER, Stage, Topology};

use super::multicast::{OTHER, STREAM};
use super::support::{PATIENCE, assert_silent, receive, udp};

/// A socket of the gateway that hears whatever is sent to its port, and all hosts of the link.
fn listener(stage: &Stage, v6: bool, port: u16) -> Result<UdpSocket> {
    stage.gateway().enter(|| {
        let socket = match v6 {
            false => UdpSocket::bind((Ipv4Addr::UNSPECIFIED, port))?,
            true => UdpSocket::bind(("::", port))?,
        };
        if v6 {
            let group = "ff02::1:3".parse()?;
            socket.join_multicast_v6(&group, if_nametoindex("up0")?)?;
        }
        socket.set_read_timeout(Some(PATIENCE))?;
        Ok(socket)
    })
}

/// Sends from the client to whoever listens there.
fn send(stage: &Stage, to: &str, port: u16) -> Result<()> {
    let to: IpAddr = to.parse()?;
    let own = CLIENT[usize::from(to.is_ipv6())];
    let socket = udp(&stage.client, (own, 40000))?;
    socket.set_broadcast(true)?;
    socket.send_to(b"all of you", (to, port))?;
    Ok(())
}

#[test]
fn a_router_hears_broadcasts_and_groups_only_by_management_rights() -> Result<()> {
    let stage = Stage::new(Topology::Routed)?;
    let network = "192.0.2.255";
    stage.client.route("224.0.0.0/4 dev eth0")?;
    let groups = [
        network,
        "255.255.255.255",
        "224.0.0.1",
        "ff02::1",
        "ff02::1:3",
    ];
    let [four, six] = CLIENT;
    let manage = format!("--manage udp/{OTHER}@{four} --manage udp/{OTHER}@{six}");
    let agent = stage.enforce("distribution-point", &manage)?;
    for group in groups {
        for (port, heard) in [(STREAM, false), (OTHER, true)] {
            let socket = listener(&stage, group.contains(':'), port)?;
            send(&stage, group, port)?;
            match heard {
                true => assert_eq!(receive(&socket)?.0, b"all of you", "{group}"),
                false => assert_silent(&socket),
            }
        }
    }
    let metrics = agent.metrics()?;
    let refused = [("reason", "not-allowed"), ("service", "multicast")];
    assert_eq!(metrics.dropped(&refused), 5, "{metrics:#?}");
    Ok(())
}

/// Field case 19: a router that routes directed broadcasts, and a client that is listed alone.
#[test]
fn a_client_is_woken_by_the_site_server_alone() -> Result<()> {
    let stage = Stage::new(Topology::Routed)?;
    let gateway = stage.gateway();
    for card in ["all", "up0"] {
        gateway.sysctl(&format!("net.ipv4.conf.{card}.bc_forwarding"), "1")?;
    }
    let network = "198.51.100.255";
    let file = tempfile::NamedTempFile::new()?;
    std::fs::write(
        file.path(),
        format!(
            "[peers]\nsite-server = [\"{}\"]\n[[protect]]\nname = \"one\"\n\
             roles = [\"client\"]\naddresses = [\"{}\"]\n",
            CLIENT[0], SERVER[0]
        ),
    )?;
    let path = file.path().display();
    let line = format!("enforce --config {path} --uplink up0 --segment seg0");
    let _agent = Agent::start(gateway, stage.command(&line)?)?;
    let sleeper = udp(&stage.server, (Ipv4Addr::UNSPECIFIED, 9))?;
    for (from, woken) in [(CLIENT[0], true), (STRANGER[0], false), (CLIENT[0], true)] {
        let sender = udp(&stage.client, (from, 40000))?;
        sender.set_broadcast(true)?;
        sender.send_to(b"wake up", (network, 9))?;
        match woken {
            true => assert_eq!(receive(&sleeper)?.1, sender.local_addr()?),
            false => assert_silent(&sleeper),
        }
    }
    Ok(())
}
