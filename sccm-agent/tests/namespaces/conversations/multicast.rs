//! A distribution point's multicast stream, to a client that has really joined its group.
//!
//! Behind a bridge; `multicast_routed` has the same behind a router.

use std::io::ErrorKind;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use nix::net::if_::if_nametoindex;
use sccm_tests::gateway::{CLIENT, FAMILIES, SERVER, Stage, Topology};
use sccm_tests::netns::Namespace;

use super::support::{LONG, PATIENCE, Told, assert_silent, receive};

/// A group of either family.
pub const GROUP: [IpAddr; 2] = [
    IpAddr::V4(Ipv4Addr::new(239, 1, 2, 3)),
    IpAddr::V6(Ipv6Addr::new(0xff15, 0, 0, 0, 0, 1, 2, 3)),
];

/// A port in the document's range.
pub const STREAM: u16 = 63500;

/// A port beside it.
pub const OTHER: u16 = 62000;

/// A socket that has joined its group on `eth0`.
pub fn join(host: &Namespace, own: IpAddr, group: IpAddr, port: u16) -> Result<UdpSocket> {
    host.enter(|| {
        let socket = UdpSocket::bind((group, port))?;
        match (group, own) {
            (IpAddr::V4(group), IpAddr::V4(own)) => socket.join_multicast_v4(&group, &own)?,
            (IpAddr::V6(group), _) => socket.join_multicast_v6(&group, if_nametoindex("eth0")?)?,
            _ => unreachable!("an address and a group of one family"),
        }
        socket.set_read_timeout(Some(PATIENCE))?;
        Ok::<_, anyhow::Error>(socket)
    })
    .with_context(|| format!("joining {group}"))
}

/// A UDP socket, which waits for ever.
pub fn socket(host: &Namespace, address: impl Into<SocketAddr>) -> Result<UdpSocket> {
    let address = address.into();
    // A process that another test starts just now has what was open here, until it runs its program.
    let end = Instant::now() + LONG;
    loop {
        match host.enter(|| UdpSocket::bind(address)) {
            Err(error) if error.kind() == ErrorKind::AddrInUse && Instant::now() < end => {
                sleep(Duration::from_millis(10));
            }
            bound => return Ok(bound?),
        }
    }
}

fn stage() -> Result<Stage> {
    let stage = Stage::new(Topology::Bridged)?;
    for host in [&stage.client, &stage.server] {
        host.route("239.0.0.0/8 dev eth0")?;
    }
    Ok(stage)
}

#[test]
fn a_stream_reaches_who_has_joined() -> Result<()> {
    for outbound in ["track", "enforce"] {
        let stage = stage()?;
        let agent = stage.enforce("distribution-point", &format!("--outbound {outbound}"))?;
        for family in FAMILIES {
            let (group, own) = (GROUP[family], CLIENT[family]);
            let member = join(&stage.client, own, group, STREAM)?;
            // The server's session has one port, for both ways.
            let session = socket(&stage.server, (SERVER[family], STREAM))?;
            // Larger than the cable takes at once, as these servers send by default.
            for bytes in [1000, 8000] {
                session.send_to(&vec![7; bytes], (group, STREAM))?;
                let (got, from) = receive(&member)?;
                assert_eq!((got.len(), from), (bytes, session.local_addr()?));
            }
            // The client tells the session what it has missed.
            let client = socket(&stage.client, (own, 0))?;
            client.send_to(b"missed", session.local_addr()?)?;
            session.set_read_timeout(Some(LONG))?;
            assert_eq!(receive(&session)?.1, client.local_addr()?);

            // Nobody outside may stream into the segment beside that range.
            let inside = join(&stage.server, SERVER[family], group, OTHER)?;
            let outside = socket(&stage.client, (own, OTHER))?;
            outside.send_to(b"stream", (group, OTHER))?;
            assert_silent(&inside);
        }
        let metrics = agent.metrics()?;
        metrics.tells_passed(&[("direction", "outbound"), ("service", "multicast")])?;
        metrics.tells_passed(&[("reason", "service"), ("service", "multicast")])?;
        metrics.tells_dropped(&[("reason", "not-allowed"), ("protocol", "udp")])?;
        metrics.tells_no_drop(&[("direction", "outbound")])?;
    }
    Ok(())
}

/// Field case 18: the protected system is the client of the session, behind a bridge.
#[test]
fn a_stream_reaches_a_protected_client() -> Result<()> {
    for outbound in ["track", "enforce"] {
        let stage = stage()?;
        let agent = stage.enforce("client", &format!("--outbound {outbound}"))?;
        for family in FAMILIES {
            let (group, own) = (GROUP[family], SERVER[family]);
            let member = join(&stage.server, own, group, STREAM)?;
            let beside = join(&stage.server, own, group, OTHER)?;
            let session = socket(&stage.client, (CLIENT[family], 40000))?;
            for bytes in [1000, 8000] {
                session.send_to(&vec![7; bytes], (group, STREAM))?;
                let (got, from) = receive(&member)?;
                assert_eq!((got.len(), from), (bytes, session.local_addr()?));
            }
            session.send_to(b"stream", (group, OTHER))?;
            assert_silent(&beside);
        }
        let metrics = agent.metrics()?;
        metrics.tells_passed(&[("reason", "service"), ("service", "multicast")])?;
        metrics.tells_dropped(&[("reason", "not-allowed"), ("protocol", "udp")])?;
    }
    Ok(())
}

#[test]
fn joins_pass_in_every_version() -> Result<()> {
    let versions = [
        (
            "igmp",
            0,
            "net.ipv4.conf.eth0.force_igmp_version",
            ["2", "3"],
        ),
        ("mld", 1, "net.ipv6.conf.eth0.force_mld_version", ["1", "2"]),
    ];
    let stage = stage()?;
    let agent = stage.enforce("distribution-point", "--outbound enforce")?;
    for (reason, family, setting, numbers) in versions {
        for number in numbers {
            stage.client.sysctl(setting, number)?;
            stage.server.sysctl(setting, number)?;
            for (host, own, card) in [
                (&stage.client, CLIENT, "up0"),
                (&stage.server, SERVER, "seg0"),
            ] {
                let labels = [("reason", reason), ("interface", card)];
                let before = agent.metrics()?.passed(&labels);
                let member = join(host, own[family], GROUP[family], STREAM)?;
                agent.metrics_when(|metrics| metrics.passed(&labels) > before)?;
                drop(member);
            }
        }
    }
    let metrics = agent.metrics()?;
    metrics.tells_no_drop(&[("reason", "membership-forged")])
}
