//! Connections that are open when their ports begin to be tracked: no mapper has handed these out
//! while it was watched, and so the connections would be cut off.

use crate::connections::{self, Connection};
use crate::kernel::{self, PinDir};
use crate::policy::{Openness, Tables};
use anyhow::Result;
use sccm_common::Policy;
use sccm_common::flow::Phase;
use sccm_common::service::ServiceSet;
use std::collections::HashSet;
use std::net::{IpAddr, SocketAddr};

const TCP: u8 = 6;

/// Keeps the ports of such connections open to those who have opened them, as if they had just been
/// used, and says so. `before`: what is in force until then, if anything is. What the machine does not
/// tell is said, too: tracking begins all the same.
pub fn keep_open(pins: &PinDir, is_gateway: bool, before: Option<&Tables>, after: &Tables) {
    if !tracks(&after.policy) {
        return;
    }
    let begins = |(client, server): &(IpAddr, SocketAddr)| {
        let (server, port) = (server.ip(), server.port());
        let after = after.openness(*client, server, port);
        let before = before.map(|before| before.openness(*client, server, port));
        let before = before.unwrap_or([Openness::Open; 2]);
        let mut roles = before.into_iter().zip(after);
        roles.any(|role| role == (Openness::Open, Openness::IfHandedOut))
    };
    let mut known: HashSet<(IpAddr, SocketAddr)> = HashSet::new();
    for read in [connections::accepted, connections::of_sockets].map(|read| read()) {
        known.extend(open(read));
    }
    if is_gateway {
        known.extend(open(connections::tracked().map(Option::unwrap_or_default)));
    }
    known.retain(begins);
    let timeouts = &after.policy.timeouts;
    match kernel::keep_open(pins, known, timeouts) {
        Ok(0) => {}
        Ok(ports) => tracing::info!(
            ports,
            "dynamic ports that are in use stay open to whoever uses them"
        ),
        Err(error) => tracing::warn!("keeping dynamic ports open that are in use: {error:#}"),
    }
}

/// Whether some pair is handed ports.
pub(super) fn tracks(policy: &Policy) -> bool {
    policy.dynamic != ServiceSet::default()
}

/// The client, and the server's port, of TCP connections that both ends have opened.
fn open(read: Result<Vec<Connection>>) -> Vec<(IpAddr, SocketAddr)> {
    let all = read.unwrap_or_else(|error| {
        tracing::warn!("cannot read the open connections: {error:#}");
        Vec::new()
    });
    let is_open = |one: &Connection| {
        one.protocol == TCP && !matches!(one.phase, Phase::Opening | Phase::Closed)
    };
    let all = all.into_iter().filter(is_open);
    all.map(|one| (one.from.ip(), one.to)).collect()
}
