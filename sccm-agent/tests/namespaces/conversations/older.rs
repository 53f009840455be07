//! Connections that are older than the agent: they go on after a first start, and after a restart
//! that had let go.

use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use nix::sys::signal::Signal;
use sccm_tests::agent::Agent;
use sccm_tests::gateway::{CLIENT, SERVER, Stage, Topology};
use sccm_tests::netns::Namespace;

use super::half_closed::send;
use super::support::{LONG, assert_silent, end, hear, udp};

const PORT: u16 = 1433;

/// A TCP connection that `from` has opened, its end first.
fn connect(from: &Namespace, to: (&Namespace, IpAddr)) -> Result<[TcpStream; 2]> {
    let address = SocketAddr::new(to.1, PORT);
    let listener = to.0.enter(|| TcpListener::bind(address))?;
    let own = from.enter(|| TcpStream::connect_timeout(&address, LONG))?;
    let (peer, _) = listener.accept()?;
    for stream in [&own, &peer] {
        stream.set_read_timeout(Some(LONG))?;
    }
    Ok([own, peer])
}

/// A connected UDP socket, and the one that it is connected to.
fn converse(from: &Namespace, to: (&Namespace, IpAddr)) -> Result<[UdpSocket; 2]> {
    let peer = udp(to.0, (to.1, PORT))?;
    let any: IpAddr = match to.1 {
        IpAddr::V4(_) => [0, 0, 0, 0].into(),
        IpAddr::V6(_) => [0_u16; 8].into(),
    };
    let own = udp(from, (any, 0))?;
    own.connect((to.1, PORT))?;
    own.send(b"a question")?;
    hear(&peer)?.context("no question is heard")?;
    peer.connect((local(to.1), own.local_addr()?.port()))?;
    Ok([own, peer])
}

/// The protected system's address of the same family.
fn local(to: IpAddr) -> IpAddr {
    match to {
        IpAddr::V4(_) => SERVER[0],
        IpAddr::V6(_) => SERVER[1],
    }
}

/// Has the kernel of a gateway track connections, as it does where it translates.
pub(super) fn track(stage: &Stage) -> Result<()> {
    let rules = "table inet track { chain forward { type filter hook forward priority 0; \
                 ct state established accept; }; }";
    let done = stage.gateway().command("nft").arg(rules).output();
    let done = done.context("cannot run nft: `cargo xtask test` installs it")?;
    ensure!(done.status.success(), "{done:?}");
    Ok(())
}

#[test]
fn what_is_open_goes_on_after_the_first_start() -> Result<()> {
    for topology in [Topology::Host, Topology::Routed] {
        let stage = Stage::new(topology)?;
        if topology == Topology::Routed {
            track(&stage)?;
        }
        let client = &stage.client;
        let mut streams = Vec::new();
        let mut datagrams = Vec::new();
        for to in CLIENT {
            streams.push(connect(&stage.server, (client, to))?);
            datagrams.push(converse(&stage.server, (client, to))?);
        }
        for _ in 0..2 {
            let agent = stage.enforce("primary-site-server", "--outbound enforce")?;
            // The peer speaks first.
            for [own, peer] in &mut streams {
                send(peer, own, b"an answer")?;
            }
            end(agent)?;
            let agent = stage.enforce("site-server", "")?;
            for [own, peer] in &mut streams {
                send(peer, own, b"an answer")?;
            }
            for [own, peer] in &datagrams {
                peer.send(b"an answer")?;
                hear(own)?.context("no answer is heard")?;
            }
            ensure!(
                agent.log()?.contains("open connections keep passing"),
                "{}",
                agent.log()?
            );
            end(agent)?;
        }
        // A stranger's port is none of them.
        let agent = stage.enforce("site-server", "")?;
        for ([own, _], to) in datagrams.iter().zip(CLIENT) {
            let other = udp(client, (to, PORT + 1))?;
            let port = own.local_addr()?.port();
            other.send_to(b"no answer", (local(to), port))?;
            assert_silent(own);
        }
        end(agent)?;
    }
    Ok(())
}

/// How long the tests' warm-up is: long enough to see it, on a slow machine, too.
const WARM_UP: &str = "--warm-up 20s";

#[test]
fn a_warm_up_learns_and_then_enforces() -> Result<()> {
    for topology in [Topology::Routed, Topology::Bridged] {
        let stage = Stage::new(topology)?;
        let [mut own, mut peer] = connect(&stage.server, (&stage.client, CLIENT[0]))?;
        let refused = udp(&stage.server, (SERVER[0], PORT))?;
        let knocks = || -> Result<bool> {
            let from = udp(&stage.client, (CLIENT[0], 0))?;
            from.send_to(b"let me in", (SERVER[0], PORT))?;
            Ok(hear(&refused)?.is_some())
        };
        let agent = stage.enforce("site-server", WARM_UP)?;
        let end_of_it = Instant::now() + Duration::from_secs(20);
        ensure!(knocks()?, "nothing is dropped yet");
        let left = agent.metrics()?.sum("sccm_warm_up_seconds", &[]);
        ensure!(left > 0.0, "{left} seconds are left");
        ensure!(agent.metrics()?.sum("sccm_enforcing", &[]) == 0.0);
        tells_state(&agent, "warming up")?;
        // The protected system speaks, and so its connection is learned.
        send(&mut own, &mut peer, b"a question")?;
        sleep(end_of_it.saturating_duration_since(Instant::now()) + Duration::from_secs(2));
        ensure!(!knocks()?, "what no link allows is dropped");
        send(&mut peer, &mut own, b"an answer")?;
        tells_state(&agent, "the warm-up has ended")?;
        let metrics = agent.metrics()?;
        ensure!(metrics.sum("sccm_warm_up_seconds", &[]) == 0.0);
        ensure!(metrics.sum("sccm_enforcing", &[]) == 2.0);
        // The next agent begins no other: something is enforced.
        agent.end(Signal::SIGKILL)?;
        let agent = stage.enforce("site-server", WARM_UP)?;
        ensure!(!knocks()?, "a takeover passes nothing");
        end(agent)?;
    }
    Ok(())
}

fn tells_state(agent: &Agent, what: &str) -> Result<()> {
    let log = agent.log()?;
    ensure!(log.contains(what), "{what}: {log}");
    Ok(())
}
