//! The gateway itself: what it opens, and what may be opened on it from where.

use std::io::{Read, Write};
use std::net::{IpAddr, Ipv6Addr, SocketAddr, TcpStream};
use std::os::fd::AsRawFd;

use anyhow::{Context, Result};
use nix::sys::socket::{
    AddressFamily, SockFlag, SockType, SockaddrStorage, bind, connect, setsockopt, socket, sockopt,
};
use nix::sys::time::{TimeVal, TimeValLike};
use sccm_tests::gateway::{CLIENT, FAMILIES, SEGMENT, SERVER, STRANGER, Stage, Topology, UPLINK};
use sccm_tests::netns::Namespace;
use sccm_tests::traffic::{Server, tcp_exchange, tcp_server};

use super::support::{LONG, PATIENCE, Told};

/// TCP servers on every address.
fn servers(host: &Namespace, ports: &[u16]) -> Result<Vec<Server>> {
    let start = |port: &u16| tcp_server(host, (Ipv6Addr::UNSPECIFIED, *port).into());
    ports.iter().map(start).collect()
}

/// Whether a connection from `own` is answered.
pub fn reaches(
    host: &Namespace,
    own: IpAddr,
    to: impl Into<SocketAddr>,
    answered: bool,
) -> Result<bool> {
    let to = to.into();
    let patience = if answered { LONG } else { PATIENCE };
    let limit = TimeVal::milliseconds(patience.as_millis().try_into()?);
    host.enter(|| {
        let family = match own {
            IpAddr::V4(_) => AddressFamily::Inet,
            IpAddr::V6(_) => AddressFamily::Inet6,
        };
        let open = socket(family, SockType::Stream, SockFlag::SOCK_CLOEXEC, None)?;
        // Both bound the time of connecting, too.
        setsockopt(&open, sockopt::SendTimeout, &limit)?;
        setsockopt(&open, sockopt::ReceiveTimeout, &limit)?;
        bind(
            open.as_raw_fd(),
            &SockaddrStorage::from(SocketAddr::from((own, 0))),
        )
        .context("binding")?;
        if connect(open.as_raw_fd(), &SockaddrStorage::from(to)).is_err() {
            return Ok(false);
        }
        let mut stream = TcpStream::from(open);
        let mut answer = [0; 4];
        Ok(stream.write_all(b"you?").is_ok() && stream.read_exact(&mut answer).is_ok())
    })
}

fn manage_lines() -> String {
    CLIENT
        .map(|address| format!("--manage tcp/22@{address}"))
        .join(" ")
}

fn the_gateway_is_managed(topology: Topology, outbound: &str) -> Result<()> {
    let stage = Stage::new(topology)?;
    let gateway = stage.gateway();
    let _at_gateway = servers(gateway, &[22, 80])?;
    let agent = stage.enforce(
        "distribution-point",
        &format!("{} --outbound {outbound}", manage_lines()),
    )?;
    for family in FAMILIES {
        for own in [UPLINK[family], SEGMENT[family]] {
            for (from, port, answered) in [
                (CLIENT[family], 22, true),
                (CLIENT[family], 80, false),
                (STRANGER[family], 22, false),
            ] {
                assert_eq!(
                    reaches(&stage.client, from, (own, port), answered)?,
                    answered,
                    "{from} to {own} port {port}"
                );
            }
            // Port 80 is the segment's, not the gateway's; and nobody there manages.
            for port in [22, 80] {
                assert!(
                    !reaches(&stage.server, SERVER[family], (own, port), false)?,
                    "the segment to {own} port {port}"
                );
            }
        }
    }
    let metrics = agent.metrics()?;
    metrics.tells_passed(&[
        ("reason", "service"),
        ("service", "tcp/22"),
        ("interface", "up0"),
    ])?;
    metrics.tells_dropped(&[
        ("reason", "not-allowed"),
        ("service", "tcp/22"),
        ("interface", "up0"),
    ])?;
    metrics.tells_dropped(&[
        ("reason", "not-allowed"),
        ("service", "http"),
        ("interface", "up0"),
    ])?;
    metrics.tells_dropped(&[("reason", "not-allowed"), ("interface", "seg0")])
}

fn the_gateway_opens_what_it_likes(topology: Topology, outbound: &str) -> Result<()> {
    let stage = Stage::new(topology)?;
    let _outside = servers(&stage.client, &[9000])?;
    let _inside = servers(&stage.server, &[8080])?;
    let agent = stage.enforce("distribution-point", &format!("--outbound {outbound}"))?;
    for family in FAMILIES {
        for to in [(CLIENT[family], 9000), (SERVER[family], 8080)] {
            assert!(tcp_exchange(stage.gateway(), to.into(), LONG), "{to:?}");
        }
    }
    let metrics = agent.metrics()?;
    for card in ["up0", "seg0"] {
        metrics.tells_passed(&[("reason", "reply"), ("interface", card)])?;
    }
    metrics.tells_no_drop(&[])?;
    // The segment's ports are not open to others for it.
    assert!(!reaches(
        &stage.client,
        CLIENT[0],
        (SERVER[0], 8080),
        false
    )?);
    Ok(())
}

#[test]
fn a_router_is_managed() -> Result<()> {
    the_gateway_is_managed(Topology::Routed, "track")
}

#[test]
fn a_bridge_is_managed() -> Result<()> {
    the_gateway_is_managed(Topology::Bridged, "enforce")
}

#[test]
fn a_router_opens_what_it_likes() -> Result<()> {
    the_gateway_opens_what_it_likes(Topology::Routed, "enforce")
}

#[test]
fn a_bridge_opens_what_it_likes() -> Result<()> {
    the_gateway_opens_what_it_likes(Topology::Bridged, "track")
}
