//! Whether the address that opens something can be a source at all.

use super::Request;
use crate::policy::Compiled;
use crate::policy::scopes::Local;
use sccm_common::Reason;
use sccm_common::address::AddressClass;
use std::net::IpAddr;

/// What is to be said of a peer's address as a source.
#[derive(Debug)]
pub(super) struct Source {
    /// It is dropped, whatever it may use.
    pub is_refused: bool,
    /// Why, or when.
    pub why: String,
}

/// Something to say of `peer`, unless packets from there may come in.
pub(super) fn of(
    request: &Request<'_>,
    compiled: &Compiled,
    peer: IpAddr,
    local: &Local<'_>,
) -> Option<Source> {
    let reason = Reason::SpoofedSource.label();
    let refused = |why: &str| {
        Some(Source {
            is_refused: true,
            why: format!("dropped as {reason}: {why}"),
        })
    };
    let class = compiled.class_at(peer);
    if class.is_marked(AddressClass::NOBODY) {
        return refused(match request.machine.own.contains(&peer) {
            true => "the sender's address is this machine's own",
            false => "the sender's address stands for no single system",
        });
    }
    // Who is behind this machine reaches the gateway, and groups, from there.
    if !matches!(local, Local::Systems { .. }) {
        return None;
    }
    if class.is_marked(AddressClass::INSIDE) {
        return refused("the sender's address is behind this machine");
    }
    let covers = |list: &[ipnet::IpNet]| list.iter().any(|prefix| prefix.contains(&peer));
    if covers(&request.policy.pass_sources) {
        return None;
    }
    let mut entries = request.policy.protect.iter();
    let entry = entries.find(|entry| !entry.elsewhere && covers(&entry.addresses))?;
    let why = format!(
        "dropped as {reason} if {} is behind this machine and the packet does not come from there",
        entry.name
    );
    Some(Source {
        is_refused: false,
        why,
    })
}
