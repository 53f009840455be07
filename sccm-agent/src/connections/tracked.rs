//! The kernel's connection table (nf_conntrack), by ctnetlink.

use super::{Connection, TCP, UDP, end};
use crate::interface::dump::{attributes, dump};
use anyhow::{Context as _, Result};
use rtnetlink::sys::protocols::NETLINK_NETFILTER;
use sccm_common::flow::Phase;
use std::net::{IpAddr, SocketAddr};

/// `IPCTNL_MSG_CT_GET` of `NFNL_SUBSYS_CTNETLINK`.
const GET: u16 = 1 << 8 | 1;

/// Bytes of `struct nfgenmsg`: family, version, number.
const FAMILY_HEADER: usize = 4;

/// Attributes of include/uapi/linux/netfilter/nfnetlink_conntrack.h.
mod attribute {
    pub(super) const ORIGINAL: u16 = 1;
    pub(super) const REPLY: u16 = 2;
    pub(super) const PROTOCOL_INFO: u16 = 4;
    pub(super) const INFO_TCP: u16 = 1;
    pub(super) const TCP_STATE: u16 = 1;
    pub(super) const ADDRESSES: u16 = 1;
    pub(super) const PROTOCOL: u16 = 2;
    pub(super) const V4_SOURCE: u16 = 1;
    pub(super) const V4_DESTINATION: u16 = 2;
    pub(super) const V6_SOURCE: u16 = 3;
    pub(super) const V6_DESTINATION: u16 = 4;
    pub(super) const NUMBER: u16 = 1;
    pub(super) const SOURCE_PORT: u16 = 2;
    pub(super) const DESTINATION_PORT: u16 = 3;
}

/// One direction of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Tuple {
    protocol: u8,
    source: SocketAddr,
    destination: SocketAddr,
}

pub(super) fn read() -> Result<Vec<Connection>> {
    let mut connections = Vec::new();
    let question = [libc::AF_UNSPEC as u8, 0, 0, 0];
    let read = |body: &[u8]| connections.extend(opened(body).into_iter().flatten().flatten());
    dump(NETLINK_NETFILTER, GET, &question, read)
        .context("listing tracked connections (ctnetlink)")?;
    Ok(connections)
}

/// What a message tells of: a connection as it was opened, and, if it was translated, as it left.
fn opened(body: &[u8]) -> Option<[Option<Connection>; 2]> {
    let (mut original, mut reply, mut state) = (None, None, None);
    for (number, value) in attributes(body.get(FAMILY_HEADER..)?) {
        match number {
            attribute::ORIGINAL => original = tuple(value),
            attribute::REPLY => reply = tuple(value),
            attribute::PROTOCOL_INFO => state = tcp_state(value),
            _ => {}
        }
    }
    let original = original?;
    let phase = match original.protocol {
        TCP => phase(state?)?,
        // The identifiers of pings are not worth it: they are asked again.
        1 | 58 => return None,
        _ => Phase::Open,
    };
    let connection = |from, to| Connection {
        protocol: original.protocol,
        from,
        to,
        phase,
    };
    let as_opened = connection(original.source, original.destination);
    let left = reply.map(|reply| connection(reply.destination, reply.source));
    Some([Some(as_opened), left.filter(|left| *left != as_opened)])
}

fn tuple(nested: &[u8]) -> Option<Tuple> {
    let (mut source, mut destination) = (None, None);
    let (mut protocol, mut ports) = (None, (0, 0));
    for (number, value) in attributes(nested) {
        match number {
            attribute::ADDRESSES => {
                for (number, value) in attributes(value) {
                    match number {
                        attribute::V4_SOURCE | attribute::V6_SOURCE => source = address(value),
                        attribute::V4_DESTINATION | attribute::V6_DESTINATION => {
                            destination = address(value);
                        }
                        _ => {}
                    }
                }
            }
            attribute::PROTOCOL => {
                for (number, value) in attributes(value) {
                    match number {
                        attribute::NUMBER => protocol = value.first().copied(),
                        attribute::SOURCE_PORT => ports.0 = port(value)?,
                        attribute::DESTINATION_PORT => ports.1 = port(value)?,
                        _ => {}
                    }
                }
            }
            _ => {}
        }
    }
    let protocol = protocol?;
    // The programs know ports of TCP and UDP alone.
    let ports = match protocol {
        TCP | UDP => ports,
        _ => (0, 0),
    };
    Some(Tuple {
        protocol,
        source: end(source?, ports.0),
        destination: end(destination?, ports.1),
    })
}

fn address(value: &[u8]) -> Option<IpAddr> {
    match value.len() {
        4 => value.first_chunk::<4>().map(|bytes| IpAddr::from(*bytes)),
        16 => value.first_chunk::<16>().map(|bytes| IpAddr::from(*bytes)),
        _ => None,
    }
}

fn port(value: &[u8]) -> Option<u16> {
    value.first_chunk().map(|bytes| u16::from_be_bytes(*bytes))
}

fn tcp_state(nested: &[u8]) -> Option<u8> {
    let (_, tcp) = attributes(nested).find(|(number, _)| *number == attribute::INFO_TCP)?;
    let (_, state) = attributes(tcp).find(|(number, _)| *number == attribute::TCP_STATE)?;
    state.first().copied()
}

/// By `enum tcp_conntrack`. Which side has closed, it does not say.
fn phase(state: u8) -> Option<Phase> {
    match state {
        1 | 2 => Some(Phase::Opening),
        3 => Some(Phase::Open),
        4 | 5 => Some(Phase::Closing),
        6 => Some(Phase::Closed),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn attribute(number: u16, value: &[u8]) -> Vec<u8> {
        let length = 4 + value.len() as u16;
        let mut bytes = [length.to_ne_bytes(), number.to_ne_bytes()].concat();
        bytes.extend(value);
        bytes.resize(bytes.len().next_multiple_of(4), 0);
        bytes
    }

    fn tuple_of(number: u16, from: ([u8; 4], u16), to: ([u8; 4], u16), protocol: u8) -> Vec<u8> {
        let addresses = [attribute(1, &from.0), attribute(2, &to.0)].concat();
        let ports = [
            attribute(1, &[protocol]),
            attribute(2, &from.1.to_be_bytes()),
            attribute(3, &to.1.to_be_bytes()),
        ];
        let nested = [attribute(1, &addresses), attribute(2, &ports.concat())];
        attribute(0x8000 | number, &nested.concat())
    }

    const HOST: ([u8; 4], u16) = ([10, 2, 0, 10], 40000);
    const GATEWAY: ([u8; 4], u16) = ([192, 0, 2, 1], 50000);
    const PEER: ([u8; 4], u16) = ([198, 51, 100, 7], 80);

    fn message(protocol: u8, state: u8, translated: bool) -> Vec<u8> {
        let back = if translated { GATEWAY } else { HOST };
        let info = attribute(1, &attribute(1, &[state]));
        [
            vec![2, 0, 0, 0],
            tuple_of(1, HOST, PEER, protocol),
            tuple_of(2, PEER, back, protocol),
            attribute(4, &info),
        ]
        .concat()
    }

    fn ends(message: &[u8]) -> Vec<(String, String, Phase)> {
        let found = opened(message).into_iter().flatten().flatten();
        found
            .map(|one| (one.from.to_string(), one.to.to_string(), one.phase))
            .collect()
    }

    #[test]
    fn a_translated_connection_is_there_as_it_left_too() {
        let (host, gateway) = ("10.2.0.10:40000", "192.0.2.1:50000");
        let to = "198.51.100.7:80";
        let one = |from: &str, phase| (from.to_owned(), to.to_owned(), phase);
        let open = Phase::Open;
        assert_eq!(ends(&message(TCP, 3, false)), [one(host, open)]);
        let both = [one(host, open), one(gateway, open)];
        assert_eq!(ends(&message(TCP, 3, true)), both);
        assert_eq!(ends(&message(UDP, 0, false)), [one(host, open)]);
        assert_eq!(ends(&message(TCP, 5, false)), [one(host, Phase::Closing)]);
        for over in [7, 8, 0] {
            assert_eq!(ends(&message(TCP, over, false)), []);
        }
        assert_eq!(ends(&message(1, 0, false)), [], "pings");
        let tunnel = ends(&message(47, 0, false));
        assert_eq!(tunnel[0].0, "10.2.0.10:0");
    }

    #[test]
    fn a_broken_message_is_passed_over() {
        let whole = message(TCP, 3, true);
        for length in 0..whole.len() {
            let _ = opened(&whole[..length]);
        }
    }
}
