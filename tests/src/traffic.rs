//! Real traffic between throw-away hosts, bounded in time.
//!
//! [`servers`](Server) answer inside one namespace; the functions here try to reach them from
//! another and say what happened. Every wait has a limit that the caller gives: a dropped packet
//! costs the whole limit, so keep it small ([`PATIENCE`] suits a veth cable) and try many
//! addresses at once with the `_many` forms.

mod frames;
mod servers;
mod tun;

use std::io::{self, ErrorKind, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream, UdpSocket};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result};
use nix::sys::socket::{AddressFamily, SockFlag, SockProtocol, SockType, socket};

pub use frames::FrameSocket;
pub use servers::{Server, tcp_server, udp_echo_server};
pub use tun::Tun;

use crate::netns::Namespace;

/// How long to wait on a veth cable before an answer counts as dropped. It takes far less, and TCP
/// repeats a lost SYN only after a second. What must arrive may be given longer: that costs
/// nothing when it does, and a busy machine then fails no test.
pub const PATIENCE: Duration = Duration::from_millis(400);

/// How many attempts of the `_many` forms run at once.
const AT_ONCE: usize = 256;

/// What became of an attempt to connect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The handshake completed.
    Connected,
    /// The other side answered with a reset: reached, but nobody listens.
    Refused,
    /// Nothing came back.
    TimedOut,
    /// No route, no neighbour, or an ICMP error said so.
    Unreachable,
    /// The operating system refused for a reason of its own.
    Failed(ErrorKind),
}

/// Opens a TCP connection from the namespace and closes it again.
pub fn tcp_connect(from: &Namespace, to: SocketAddr, patience: Duration) -> Outcome {
    from.enter(|| connect(to, patience))
}

/// [`tcp_connect`] to many addresses at once; the outcomes come in their order.
pub fn tcp_connect_many(from: &Namespace, to: &[SocketAddr], patience: Duration) -> Vec<Outcome> {
    in_parallel(from, to, |to| connect(to, patience))
}

/// Whether a TCP connection opens and brings back what was sent, as [`tcp_server`] does; twice, so
/// that it is seen to last beyond the first answer.
pub fn tcp_exchange(from: &Namespace, to: SocketAddr, patience: Duration) -> bool {
    let exchange = || -> io::Result<bool> {
        let mut stream = TcpStream::connect_timeout(&to, patience)?;
        stream.set_read_timeout(Some(patience))?;
        for question in [b"is it you?", b"you still?"] {
            stream.write_all(question)?;
            let mut answer = [0; 10];
            stream.read_exact(&mut answer)?;
            if answer != *question {
                return Ok(false);
            }
        }
        Ok(true)
    };
    from.enter(|| exchange().unwrap_or(false))
}

/// Whether a UDP datagram comes back, as from [`udp_echo_server`].
pub fn udp_exchange(from: &Namespace, to: SocketAddr, patience: Duration) -> bool {
    from.enter(|| exchange(to, patience).unwrap_or(false))
}

/// [`udp_exchange`] with many addresses at once; the results come in their order.
pub fn udp_exchange_many(from: &Namespace, to: &[SocketAddr], patience: Duration) -> Vec<bool> {
    in_parallel(from, to, |to| exchange(to, patience).unwrap_or(false))
}

/// Whether one echo request (ICMP or ICMPv6) is answered.
pub fn ping(from: &Namespace, to: IpAddr, patience: Duration) -> Result<bool> {
    // The kernel's ping sockets match answers to requests; a new namespace allows them to nobody.
    from.sysctl("net.ipv4.ping_group_range", "0 0")?;
    let (family, protocol, request) = match to {
        IpAddr::V4(_) => (AddressFamily::Inet, SockProtocol::Icmp, 8),
        IpAddr::V6(_) => (AddressFamily::Inet6, SockProtocol::IcmpV6, 128),
    };
    from.enter(|| {
        let socket = socket(family, SockType::Datagram, SockFlag::SOCK_CLOEXEC, protocol)
            .context("cannot open a ping socket")?;
        let socket = UdpSocket::from(socket);
        let echo = || -> io::Result<usize> {
            socket.connect((to, 0))?;
            socket.set_read_timeout(Some(patience))?;
            socket.send(&[request, 0, 0, 0, 0, 0, 0, 1])?;
            socket.recv(&mut [0; 64])
        };
        Ok(echo().is_ok())
    })
}

/// Runs `attempt` for every address inside the namespace, at most [`AT_ONCE`] at a time.
fn in_parallel<T: Send>(
    from: &Namespace,
    to: &[SocketAddr],
    attempt: impl Fn(SocketAddr) -> T + Sync,
) -> Vec<T> {
    let attempt = &attempt;
    from.enter(|| {
        let mut results = Vec::with_capacity(to.len());
        for part in to.chunks(AT_ONCE) {
            thread::scope(|scope| {
                let running: Vec<_> = part
                    .iter()
                    .map(|&to| scope.spawn(move || attempt(to)))
                    .collect();
                results.extend(
                    running
                        .into_iter()
                        .map(|thread| thread.join().expect("an attempt returns what went wrong")),
                );
            });
        }
        results
    })
}

fn connect(to: SocketAddr, patience: Duration) -> Outcome {
    match TcpStream::connect_timeout(&to, patience).map_err(|error| error.kind()) {
        Ok(_) => Outcome::Connected,
        Err(ErrorKind::ConnectionRefused | ErrorKind::ConnectionReset) => Outcome::Refused,
        Err(ErrorKind::TimedOut) => Outcome::TimedOut,
        Err(ErrorKind::HostUnreachable | ErrorKind::NetworkUnreachable) => Outcome::Unreachable,
        Err(other) => Outcome::Failed(other),
    }
}

fn exchange(to: SocketAddr, patience: Duration) -> io::Result<bool> {
    let any: IpAddr = match to {
        SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    let socket = UdpSocket::bind((any, 0))?;
    socket.connect(to)?;
    socket.set_read_timeout(Some(patience))?;
    let question = b"is it you?";
    socket.send(question)?;
    let mut answer = [0; 64];
    let length = socket.recv(&mut answer)?;
    Ok(answer[..length] == *question)
}
