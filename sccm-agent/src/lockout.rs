//! Keeps operators from cutting their own session.
//!
//! Before a policy is enforced, every established SSH session that comes in
//! through one of its interfaces is judged by it.

use crate::interface::Netlink;
use crate::policy::Compiled;
use anyhow::{Context as _, Result};
use procfs::net::{TcpNetEntry, TcpState};
use procfs::process::{FDTarget, all_processes};
use std::collections::{BTreeSet, HashSet};
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Mutex, PoisonError};

/// The port of sessions whose server is not visible, as from within a container.
const SSH_PORT: u16 = 22;

/// Ports that SSH servers were seen to listen on. Looking takes rights that an agent gives up after its
/// start ([`look`]).
static PORTS: Mutex<BTreeSet<u16>> = Mutex::new(BTreeSet::new());

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

/// Remembers the ports of SSH servers, while this thread may see whose sockets they are.
///
/// # Errors
/// The kernel's tables cannot be read.
pub fn look() -> Result<()> {
    remember(&tcp_sockets()?);
    Ok(())
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

/// The ports that SSH servers listen on, or did when this was looked at before.
fn remember(sockets: &[TcpNetEntry]) -> BTreeSet<u16> {
    let servers = ssh_server_sockets();
    let is_server =
        |socket: &&TcpNetEntry| socket.state == TcpState::Listen && servers.contains(&socket.inode);
    let seen = sockets.iter().filter(is_server);
    let mut ports = PORTS.lock().unwrap_or_else(PoisonError::into_inner);
    ports.extend(seen.map(|socket| socket.local_address.port()));
    ports.clone()
}

fn ssh_sessions() -> Result<Vec<Session>> {
    let sockets = tcp_sockets()?;
    if !sockets.iter().any(is_established) {
        return Ok(Vec::new());
    }
    let mut ports = remember(&sockets);
    ports.insert(SSH_PORT);
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

/// Sockets of all processes called `sshd`; those that may not be looked into
/// are passed over.
fn ssh_server_sockets() -> HashSet<u64> {
    let Ok(processes) = all_processes() else {
        return HashSet::new();
    };
    processes
        .filter_map(Result::ok)
        .filter(|process| {
            process
                .stat()
                .is_ok_and(|stat| stat.comm.starts_with("sshd"))
        })
        .filter_map(|process| process.fd().ok())
        .flatten()
        .filter_map(Result::ok)
        .filter_map(|descriptor| match descriptor.target {
            FDTarget::Socket(inode) => Some(inode),
            _ => None,
        })
        .collect()
}
