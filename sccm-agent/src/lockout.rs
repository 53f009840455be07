//! Keeps operators from cutting their own session.
//!
//! Before a policy is enforced, every established SSH session that comes in
//! through one of its interfaces is judged by it.

use crate::interface::Netlink;
use crate::kernel::sockets_of;
use crate::policy::Compiled;
use anyhow::{Context as _, Result};
use procfs::net::{TcpNetEntry, TcpState};
use std::collections::{BTreeSet, HashSet};
use std::fmt;
use std::net::{IpAddr, SocketAddr};

/// The port of sessions whose server is not visible, as from within a container.
const SSH_PORT: u16 = 22;

/// What the processes of OpenSSH's server are called; since its version 9.8 some are `sshd-session`.
const SERVER: [u8; 4] = *b"sshd";

/// Why a session would be cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// Nothing lets it in.
    NotAllowed,
    /// Its source counts as somebody else's where it comes in.
    Spoofed,
}

/// An established session, seen from this machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Session {
    /// Where the operator sits.
    pub peer: SocketAddr,
    /// Where the session comes in.
    pub local: SocketAddr,
}

impl fmt::Display for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "from {} to {}", self.peer, self.local)
    }
}

/// Sessions that the policy would cut, through `interfaces`, by their numbers; those of `segment`
/// are on the side of the protected systems.
///
/// # Errors
/// The kernel's tables cannot be read.
pub async fn sessions_cut(
    netlink: &Netlink,
    (interfaces, segment): (&BTreeSet<u32>, &BTreeSet<u32>),
    compiled: &Compiled,
) -> Result<Vec<(Session, Cause)>> {
    let mut cut = Vec::new();
    for session in ssh_sessions()? {
        let (peer, local) = (session.peer.ip(), session.local);
        let cause = match compiled.admits_tcp(peer, local.ip(), local.port()) {
            false => Cause::NotAllowed,
            // The machine's own sessions come in at no card.
            true if netlink.holder_of(peer).await?.is_some() => continue,
            true => {
                let from_segment = compiled.refuses_source(peer, false)
                    && comes_from(netlink, peer, segment).await?;
                if !compiled.refuses_source(peer, from_segment) {
                    continue;
                }
                Cause::Spoofed
            }
        };
        // Either may be wrong alone: addresses move, routes may be asymmetric.
        let ways = [
            netlink.holder_of(session.local.ip()).await?,
            netlink.route_to(session.peer.ip()).await,
        ];
        if ways
            .iter()
            .flatten()
            .any(|index| interfaces.contains(index))
        {
            cut.push((session, cause));
        }
    }
    Ok(cut)
}

/// Whether `peer` is behind one of these interfaces, as far as the machine knows.
async fn comes_from(netlink: &Netlink, peer: IpAddr, segment: &BTreeSet<u32>) -> Result<bool> {
    let Some(interface) = netlink.route_to(peer).await else {
        return Ok(false);
    };
    let member = netlink.member_to(peer, interface).await?;
    Ok(segment.contains(&member.unwrap_or(interface)))
}

fn tcp_sockets() -> Result<Vec<TcpNetEntry>> {
    let mut sockets = procfs::net::tcp().context("reading /proc/net/tcp")?;
    // Absent where IPv6 is switched off.
    sockets.extend(procfs::net::tcp6().unwrap_or_default());
    Ok(sockets)
}

/// The ports that SSH servers listen on.
fn ports(sockets: &[TcpNetEntry]) -> BTreeSet<u16> {
    let servers = sockets_of(SERVER).unwrap_or_else(|error| {
        tracing::warn!("SSH sessions are known by port {SSH_PORT} alone: {error:#}");
        HashSet::new()
    });
    let is_server =
        |socket: &&TcpNetEntry| socket.state == TcpState::Listen && servers.contains(&socket.inode);
    let servers = sockets.iter().filter(is_server);
    let ports = servers.map(|socket| socket.local_address.port());
    ports.chain([SSH_PORT]).collect()
}

fn ssh_sessions() -> Result<Vec<Session>> {
    let sockets = tcp_sockets()?;
    if !sockets.iter().any(is_established) {
        return Ok(Vec::new());
    }
    let ports = ports(&sockets);
    Ok(sockets
        .iter()
        .filter(|socket| is_established(socket))
        .filter(|socket| ports.contains(&socket.local_address.port()))
        .map(|socket| Session {
            peer: canonical(socket.remote_address),
            local: canonical(socket.local_address),
        })
        .collect())
}

fn is_established(socket: &TcpNetEntry) -> bool {
    socket.state == TcpState::Established
}

/// An IPv4 peer of a server that listens on `::` shows up as an IPv6 address.
fn canonical(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}
