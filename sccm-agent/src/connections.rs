//! Connections that this machine knows of without the programs: its own sockets, and the
//! connection table of a gateway. So what is older than the agent need not break.

mod sockets;
mod tracked;

use crate::kernel::KnownFlow;
use anyhow::Result;
use sccm_common::flow::Phase;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;

/// A conversation that somebody has opened, as the one who opened it sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Connection {
    /// The IP protocol.
    pub protocol: u8,
    /// Who opened it, by the address and port that its answers go to.
    pub from: SocketAddr,
    /// The other end.
    pub to: SocketAddr,
    /// How far it has come.
    pub phase: Phase,
}

impl Connection {
    /// The flow that it is.
    #[must_use]
    pub fn flow(&self) -> KnownFlow {
        KnownFlow {
            protocol: self.protocol,
            local: self.from,
            peer: self.to,
            phase: self.phase,
        }
    }
}

const TCP: u8 = 6;
const UDP: u8 = 17;

/// What exists as soon as the kernel tracks connections in this network namespace.
const TRACKS: &str = "/proc/sys/net/netfilter/nf_conntrack_count";

/// What the sockets of this machine have opened: TCP connections, and connected UDP sockets. What a
/// listening socket has accepted is left out.
///
/// # Errors
/// The kernel does not tell (`CONFIG_INET_DIAG`).
pub fn of_sockets() -> Result<Vec<Connection>> {
    sockets::own()
}

/// The TCP connections that this machine's listening sockets have accepted.
///
/// # Errors
/// As above.
pub fn accepted() -> Result<Vec<Connection>> {
    sockets::accepted()
}

/// What the machine has forwarded and tracked; `None` if it tracks no connections. Translated ones
/// are there twice: as they were opened, and as they left.
///
/// # Errors
/// The kernel does not tell (`CONFIG_NF_CT_NETLINK`).
pub fn tracked() -> Result<Option<Vec<Connection>>> {
    // The question alone would load the kernel's module.
    match Path::new(TRACKS).exists() {
        true => tracked::read().map(Some),
        false => Ok(None),
    }
}

/// An end of a connection; an IPv4 address that is mapped into IPv6 is what it stands for.
fn end(address: IpAddr, port: u16) -> SocketAddr {
    SocketAddr::new(address.to_canonical(), port)
}
