//! The same stream through a router that forwards multicast, smcrouted, to a client that has really
//! joined; and with `--outbound enforce`, streams that are none of the role's.

use std::net::{IpAddr, UdpSocket};

use anyhow::Result;
use nix::sys::socket::{setsockopt, sockopt};
use sccm_tests::agent::Agent;
use sccm_tests::gateway::{CLIENT, FAMILIES, SERVER, Stage, Topology};

use super::multicast::{GROUP, OTHER, STREAM, join, socket};
use super::programs::{Daemon, multicast_router};
use super::support::{LONG, Told, assert_silent, hear, receive};

/// A source port that no link knows, as senders have that do not choose one.
const ANY: u16 = 40000;

/// A stage whose router forwards both groups, and the program that does it.
fn stage() -> Result<(Stage, Daemon)> {
    let stage = Stage::new(Topology::Routed)?;
    let routes = FAMILIES.map(|family| (SERVER[family], GROUP[family]));
    let router = multicast_router(stage.gateway(), "seg0", "up0", &routes)?;
    Ok((stage, router))
}

/// A socket of the server whose datagrams may cross a router.
fn sender(stage: &Stage, family: usize, port: u16) -> Result<UdpSocket> {
    let sender = socket(&stage.server, (SERVER[family], port))?;
    match SERVER[family] {
        IpAddr::V4(_) => setsockopt(&sender, sockopt::IpMulticastTtl, &8)?,
        IpAddr::V6(_) => setsockopt(&sender, sockopt::Ipv6MulticastHops, &8)?,
    }
    Ok(sender)
}

/// Field case 18 behind a router: the protected system is the client of the session. Without the
/// router's program, nothing of it would go to anybody but the gateway.
#[test]
fn a_stream_reaches_a_protected_client_behind_a_router() -> Result<()> {
    for outbound in ["track", "enforce"] {
        let stage = Stage::new(Topology::Routed)?;
        let agent = stage.enforce("client", &format!("--outbound {outbound}"))?;
        let streams = |family: usize| -> Result<UdpSocket> {
            let session = socket(&stage.client, (CLIENT[family], ANY))?;
            match CLIENT[family] {
                IpAddr::V4(_) => setsockopt(&session, sockopt::IpMulticastTtl, &8)?,
                IpAddr::V6(_) => setsockopt(&session, sockopt::Ipv6MulticastHops, &8)?,
            }
            session.send_to(&[7; 1000], (GROUP[family], STREAM))?;
            Ok(session)
        };
        let refused = [("reason", "not-allowed"), ("service", "multicast")];
        for family in FAMILIES {
            streams(family)?;
        }
        agent.metrics_when(|metrics| metrics.dropped(&refused) == 2)?;
        let routes = FAMILIES.map(|family| (CLIENT[family], GROUP[family]));
        let _router = multicast_router(stage.gateway(), "up0", "seg0", &routes)?;
        for family in FAMILIES {
            let member = join(&stage.server, SERVER[family], GROUP[family], STREAM)?;
            // The agent looks every few seconds what the machine routes.
            let end = std::time::Instant::now() + LONG;
            loop {
                let session = streams(family)?;
                if let Some((got, from)) = hear(&member)? {
                    assert_eq!((got.len(), from), (1000, session.local_addr()?));
                    break;
                }
                assert!(std::time::Instant::now() < end, "nothing arrives");
            }
        }
        let passed = [("reason", "service"), ("service", "multicast")];
        agent.metrics()?.tells_passed(&passed)?;
    }
    Ok(())
}

/// The reason for group membership, and the setting for its version.
const MEMBERSHIP: [(&str, &str, [&str; 2]); 2] = [
    ("igmp", "net.ipv4.conf.eth0.force_igmp_version", ["2", "3"]),
    ("mld", "net.ipv6.conf.eth0.force_mld_version", ["1", "2"]),
];

/// Joins with one version after the other, and streams to the member.
fn a_member_is_reached(stage: &Stage, agent: &Agent, family: usize) -> Result<()> {
    let (group, own) = (GROUP[family], CLIENT[family]);
    let (reason, setting, versions) = MEMBERSHIP[family];
    let joins = [("reason", reason), ("interface", "up0")];
    for version in versions {
        stage.client.sysctl(setting, version)?;
        let before = agent.metrics()?.passed(&joins);
        let member = join(&stage.client, own, group, STREAM)?;
        agent.metrics_when(|metrics| metrics.passed(&joins) > before)?;
        for port in [STREAM, ANY] {
            let session = sender(stage, family, port)?;
            // The second is larger than the cable takes at once.
            for bytes in [1000, 8000] {
                session.send_to(&vec![7; bytes], (group, STREAM))?;
                let (got, from) = receive(&member)?;
                assert_eq!((got.len(), from), (bytes, session.local_addr()?));
            }
        }
    }
    Ok(())
}

#[test]
fn a_stream_reaches_who_has_joined_behind_a_router() -> Result<()> {
    for outbound in ["track", "enforce"] {
        let (stage, _router) = stage()?;
        let agent = stage.enforce("distribution-point", &format!("--outbound {outbound}"))?;
        for family in FAMILIES {
            a_member_is_reached(&stage, &agent, family)?;
        }
        let metrics = agent.metrics()?;
        let stream = [("reason", "outbound"), ("service", "multicast")];
        assert_eq!(metrics.passed(&stream), 16, "{metrics:#?}");
        metrics.tells_no_drop(&[])?;
    }
    Ok(())
}

#[test]
fn enforce_drops_other_streams_by_name() -> Result<()> {
    let (stage, _router) = stage()?;
    let agent = stage.enforce("distribution-point", "--outbound enforce")?;
    for family in FAMILIES {
        let (group, own) = (GROUP[family], CLIENT[family]);
        // To the group beside the range, from wherever; and to one system that has not asked.
        let member = join(&stage.client, own, group, OTHER)?;
        let alone = socket(&stage.client, (own, STREAM))?;
        alone.set_read_timeout(member.read_timeout()?)?;
        for (port, to) in [
            (STREAM, (group, OTHER)),
            (ANY, (group, OTHER)),
            (ANY, (own, STREAM)),
        ] {
            sender(&stage, family, port)?.send_to(b"stream", to)?;
        }
        assert_silent(&member);
        assert_silent(&alone);
    }
    let metrics = agent.metrics()?;
    let dropped = [("reason", "outbound-not-allowed"), ("interface", "seg0")];
    assert_eq!(metrics.dropped(&dropped), 6, "{metrics:#?}");
    let unasked = [&dropped[..], &[("service", "multicast")]].concat();
    assert_eq!(metrics.dropped(&unasked), 2, "{metrics:#?}");
    Ok(())
}

/// The counterpart of the test above: the router would forward them.
#[test]
fn track_lets_other_streams_out() -> Result<()> {
    let (stage, _router) = stage()?;
    let agent = stage.enforce("distribution-point", "--outbound track")?;
    for family in FAMILIES {
        let member = join(&stage.client, CLIENT[family], GROUP[family], OTHER)?;
        sender(&stage, family, ANY)?.send_to(b"stream", (GROUP[family], OTHER))?;
        assert_eq!(receive(&member)?.0, b"stream");
    }
    agent.metrics()?.tells_no_drop(&[])
}
