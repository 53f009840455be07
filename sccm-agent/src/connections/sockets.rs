//! The sockets of this machine, by `sock_diag(7)`.

use super::{Connection, TCP, UDP, end};
use crate::interface::dump::dump;
use anyhow::{Context as _, Result};
use rtnetlink::sys::protocols::NETLINK_SOCK_DIAG;
use sccm_common::flow::Phase;
use std::collections::HashSet;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};

/// `SOCK_DIAG_BY_FAMILY` in include/uapi/linux/sock_diag.h.
const BY_FAMILY: u16 = 20;

/// Bytes of `struct inet_diag_req_v2`, and of `struct inet_diag_msg`, in
/// include/uapi/linux/inet_diag.h.
const REQUEST: usize = 56;
const MESSAGE: usize = 72;

/// States of include/net/tcp_states.h. A connected UDP socket is established.
mod state {
    pub(super) const ESTABLISHED: u8 = 1;
    pub(super) const SYN_SENT: u8 = 2;
    pub(super) const FIN_WAIT1: u8 = 4;
    pub(super) const FIN_WAIT2: u8 = 5;
    pub(super) const CLOSE_WAIT: u8 = 8;
    pub(super) const LAST_ACK: u8 = 9;
    pub(super) const LISTEN: u8 = 10;
    pub(super) const CLOSING: u8 = 11;
    pub(super) const ALL: [u8; 8] = [
        ESTABLISHED,
        SYN_SENT,
        FIN_WAIT1,
        FIN_WAIT2,
        CLOSE_WAIT,
        LAST_ACK,
        LISTEN,
        CLOSING,
    ];
}

/// A socket as the kernel describes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Described {
    protocol: u8,
    state: u8,
    local: SocketAddr,
    remote: SocketAddr,
}

/// What the sockets have opened themselves.
pub(super) fn own() -> Result<Vec<Connection>> {
    Ok(opened(&read()?))
}

/// What listening sockets have accepted.
pub(super) fn accepted() -> Result<Vec<Connection>> {
    Ok(answered(&read()?))
}

fn read() -> Result<Vec<Described>> {
    let mut sockets = Vec::new();
    for family in [libc::AF_INET, libc::AF_INET6] {
        for protocol in [TCP, UDP] {
            let read = |body: &[u8]| sockets.extend(described(protocol, body));
            dump(
                NETLINK_SOCK_DIAG,
                BY_FAMILY,
                &question(family as u8, protocol),
                read,
            )
            .context("listing sockets (sock_diag)")?;
        }
    }
    Ok(sockets)
}

fn question(family: u8, protocol: u8) -> [u8; REQUEST] {
    let states: u32 = state::ALL.iter().map(|state| 1 << state).sum();
    let mut question = [0; REQUEST];
    question[..2].copy_from_slice(&[family, protocol]);
    question[4..8].copy_from_slice(&states.to_ne_bytes());
    question
}

/// Reads a `struct inet_diag_msg`.
fn described(protocol: u8, body: &[u8]) -> Option<Described> {
    let message: &[u8; MESSAGE] = body.first_chunk()?;
    let [family, state, ..] = *message;
    let port = |at: usize| u16::from_be_bytes([message[at], message[at + 1]]);
    let address = |at: usize| -> Option<IpAddr> {
        let bytes: [u8; 16] = *message[at..].first_chunk()?;
        match i32::from(family) {
            libc::AF_INET => bytes.first_chunk::<4>().map(|four| IpAddr::from(*four)),
            libc::AF_INET6 => Some(IpAddr::from(bytes)),
            _ => None,
        }
    };
    Some(Described {
        protocol,
        state,
        local: end(address(8)?, port(4)),
        remote: end(address(24)?, port(6)),
    })
}

fn opened(sockets: &[Described]) -> Vec<Connection> {
    let is_accepted = accepted_in(sockets);
    sockets
        .iter()
        .filter(|socket| socket.remote.port() != 0 && !is_accepted(socket))
        .filter_map(|socket| {
            Some(Connection {
                protocol: socket.protocol,
                from: socket.local,
                to: socket.remote,
                phase: phase(socket)?,
            })
        })
        .collect()
}

fn answered(sockets: &[Described]) -> Vec<Connection> {
    let is_accepted = accepted_in(sockets);
    sockets
        .iter()
        .filter(|socket| socket.remote.port() != 0 && is_accepted(socket))
        .filter_map(|socket| {
            Some(Connection {
                protocol: socket.protocol,
                from: socket.remote,
                to: socket.local,
                phase: phase(socket)?,
            })
        })
        .collect()
}

/// Tells which of these sockets a listening one has accepted.
fn accepted_in(sockets: &[Described]) -> impl Fn(&Described) -> bool {
    let listening: HashSet<SocketAddr> = sockets
        .iter()
        .filter(|socket| socket.protocol == TCP && socket.state == state::LISTEN)
        .map(|socket| socket.local)
        .collect();
    // `::` listens for both families.
    let anywhere = |port| {
        let any = [[0, 0, 0, 0].into(), Ipv6Addr::UNSPECIFIED.into()];
        any.map(|any: IpAddr| SocketAddr::new(any, port))
    };
    move |socket: &Described| {
        let mut places = anywhere(socket.local.port()).into_iter();
        socket.protocol == TCP
            && (listening.contains(&socket.local) || places.any(|it| listening.contains(&it)))
    }
}

fn phase(socket: &Described) -> Option<Phase> {
    Some(match socket.state {
        state::ESTABLISHED => Phase::Open,
        state::SYN_SENT => Phase::Opening,
        state::FIN_WAIT1 | state::FIN_WAIT2 => Phase::Closing,
        state::CLOSE_WAIT => Phase::PeerClosed,
        state::LAST_ACK | state::CLOSING => Phase::Closed,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{TcpListener, TcpStream, UdpSocket};

    fn socket(state: u8, local: &str, remote: &str) -> Described {
        Described {
            protocol: TCP,
            state,
            local: local.parse().unwrap(),
            remote: remote.parse().unwrap(),
        }
    }

    #[test]
    fn what_was_accepted_is_told_apart() {
        let listening = [
            socket(state::LISTEN, "[::]:445", "[::]:0"),
            socket(state::LISTEN, "192.0.2.1:22", "0.0.0.0:0"),
        ];
        let accepted = [
            socket(state::ESTABLISHED, "192.0.2.1:445", "192.0.2.9:5000"),
            socket(state::ESTABLISHED, "192.0.2.1:22", "192.0.2.9:5001"),
        ];
        let own = [
            socket(state::ESTABLISHED, "192.0.2.1:40000", "192.0.2.9:1433"),
            // The port listens at another address.
            socket(state::SYN_SENT, "192.0.2.2:22", "192.0.2.9:80"),
            socket(state::FIN_WAIT2, "192.0.2.1:40001", "192.0.2.9:1433"),
            socket(state::CLOSE_WAIT, "192.0.2.1:40002", "192.0.2.9:1433"),
            socket(state::LAST_ACK, "192.0.2.1:40003", "192.0.2.9:1433"),
        ];
        let all = [&listening[..], &accepted, &own].concat();
        let found: Vec<_> = opened(&all)
            .iter()
            .map(|one| (one.from, one.phase))
            .collect();
        let phases = [
            Phase::Open,
            Phase::Opening,
            Phase::Closing,
            Phase::PeerClosed,
            Phase::Closed,
        ];
        let expected: Vec<_> = own.iter().map(|one| one.local).zip(phases).collect();
        assert_eq!(found, expected);
        let found = answered(&all).into_iter().map(|one| (one.from, one.to));
        let expected = accepted.map(|one| (one.remote, one.local));
        assert_eq!(found.collect::<Vec<_>>(), expected);
    }

    #[test]
    fn a_message_of_any_length_is_read_or_refused() {
        for length in 0..200 {
            let body = vec![2; length];
            assert_eq!(described(TCP, &body).is_some(), length >= MESSAGE);
        }
        assert_eq!(described(TCP, &[7; MESSAGE]), None, "another family");
    }

    #[test]
    fn the_kernel_tells_of_sockets_of_both_families() {
        for any in ["127.0.0.1:0", "[::1]:0"] {
            let listener = TcpListener::bind(any).unwrap();
            let to = listener.local_addr().unwrap();
            let stream = TcpStream::connect(to).unwrap();
            let datagrams = UdpSocket::bind(any).unwrap();
            datagrams.connect(to).unwrap();
            let connections = own().unwrap();
            for (protocol, from) in [
                (TCP, stream.local_addr().unwrap()),
                (UDP, datagrams.local_addr().unwrap()),
            ] {
                let phase = Phase::Open;
                let wanted = Connection {
                    protocol,
                    from,
                    to,
                    phase,
                };
                assert!(connections.contains(&wanted), "{wanted:?}");
            }
            // The accepted end is not among them.
            assert!(connections.iter().all(|one| one.from != to));
            let from = stream.local_addr().unwrap();
            let accepted = accepted().unwrap();
            assert!(accepted.iter().any(|one| (one.from, one.to) == (from, to)));
        }
    }
}
