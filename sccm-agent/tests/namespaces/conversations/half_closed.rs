//! A side that has sent its FIN still hears the other, and nobody else ends a connection.

use std::io::{Read, Write};
use std::net::{IpAddr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::thread::sleep;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use sccm_tests::gateway::{CLIENT, SERVER, Stage, Topology};
use sccm_tests::packet::Packet;
use sccm_tests::traffic::FrameSocket;

use super::support::LONG;

const PORT: u16 = 1433;

/// Short enough for a test, and far enough apart.
const TIMEOUTS: &str = "--timeout-tcp-closing 1 --timeout-tcp-half-closed 60";

/// Longer than a closed connection is remembered.
const PAUSE: Duration = Duration::from_secs(3);

/// A connection that the protected system has opened; its end and the peer's.
fn connect(stage: &Stage, to: IpAddr) -> Result<(TcpStream, TcpStream)> {
    let to = SocketAddr::new(to, PORT);
    let listener = stage.client.enter(|| TcpListener::bind(to))?;
    let own = stage
        .server
        .enter(|| TcpStream::connect_timeout(&to, LONG))?;
    let (peer, _) = listener.accept()?;
    for stream in [&own, &peer] {
        stream.set_read_timeout(Some(LONG))?;
    }
    Ok((own, peer))
}

/// Sends and expects what was sent.
pub fn send(from: &mut TcpStream, to: &mut TcpStream, what: &[u8]) -> Result<()> {
    from.write_all(what)?;
    let mut heard = vec![0; what.len()];
    to.read_exact(&mut heard).context("nothing is heard")?;
    ensure!(heard == what, "{heard:?}");
    Ok(())
}

fn expect_end(of: &mut TcpStream) -> Result<()> {
    let read = of.read(&mut [0; 9]).context("no end is heard")?;
    ensure!(read == 0, "{read} bytes instead of an end");
    Ok(())
}

#[test]
fn after_its_fin_a_side_still_hears_the_other() -> Result<()> {
    for topology in [Topology::Host, Topology::Routed, Topology::Bridged] {
        let stage = Stage::new(topology)?;
        let _agent = stage.enforce("site-server", TIMEOUTS)?;
        for to in CLIENT {
            // The protected side closes first.
            let (mut own, mut peer) = connect(&stage, to)?;
            send(&mut own, &mut peer, b"a question")?;
            own.shutdown(Shutdown::Write)?;
            expect_end(&mut peer)?;
            sleep(PAUSE);
            send(&mut peer, &mut own, b"an answer")?;
            sleep(PAUSE);
            peer.shutdown(Shutdown::Write)?;
            expect_end(&mut own)?;

            // The peer does, and after a while acknowledges what it hears.
            let (mut own, mut peer) = connect(&stage, to)?;
            peer.shutdown(Shutdown::Write)?;
            expect_end(&mut own)?;
            sleep(PAUSE);
            send(&mut own, &mut peer, &[7; 100_000])?;
            own.shutdown(Shutdown::Write)?;
            expect_end(&mut peer)?;
        }
    }
    Ok(())
}

#[test]
fn a_forged_reset_ends_nothing() -> Result<()> {
    let stage = Stage::new(Topology::Routed)?;
    let _agent = stage.enforce("site-server", TIMEOUTS)?;
    for (to, local) in CLIENT.into_iter().zip(SERVER) {
        let (mut own, mut peer) = connect(&stage, to)?;
        send(&mut own, &mut peer, b"a question")?;
        let port = own.local_addr()?.port();
        let (from, to) = (to.to_string(), local.to_string());
        let socket = FrameSocket::open(stage.client.interface("eth0"))?;
        for number in [0xdead_beef_u32, 1, 0] {
            let forged = Packet::ip(&from, &to).tcp(PORT, port).rst();
            socket.send(&forged.sequence(number).build())?;
        }
        sleep(PAUSE);
        send(&mut peer, &mut own, b"an answer")?;
    }
    Ok(())
}
