//! What one policy lets pass that another does not: exact sets of ports and addresses.
//!
//! Both are tables as the kernel has them. All addresses that neither tells apart are one question,
//! and so are all ports, so every question there is gets asked.

mod compare;
mod joint;
mod settings;
mod side;
mod text;

pub use compare::{Delta, compare};
pub use side::{Operand, Side};

use crate::policy::{Ground, Opener, Tables};
use anyhow::Result;
use serde::Serialize;
use std::net::IpAddr;
use std::ops::RangeInclusive;

/// What `sccm-agent diff A B -o json` prints, and `check --against-live` beside the report.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Difference {
    /// What the first operand is.
    pub from: String,
    /// What the second is.
    pub to: String,
    /// Whether the second lets something pass that the first does not.
    pub opens: bool,
    /// Whether the first lets something pass that the second does not.
    pub closes: bool,
    /// Settings that differ, as `outbound: track, then enforce`.
    pub settings: Vec<String>,
    /// What differs. Each holds for every address, peer and port that it lists, and together they are
    /// all that differs.
    pub changes: Vec<Change>,
}

/// Something that one of the two lets be opened, and the other does not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Change {
    /// `opens`, if the second policy lets it pass; `closes`, if only the first does.
    pub change: &'static str,
    /// Whether the second policy lets it be opened only as the endpoint mapper hands the ports out
    /// (`rpc = "tracked"`): what opens is open then, and what closes stays open then.
    pub if_handed_out: bool,
    /// `inbound`, towards the protected systems, or `outbound`.
    pub direction: &'static str,
    /// The entries of the policy that lets it pass; empty for the gateway itself and for groups, and
    /// where the policy's words are not known.
    pub entries: Vec<String>,
    /// The protected addresses: prefixes, or the first and the last of a row, as `10.0.0.1-10.0.0.9`.
    pub systems: Vec<String>,
    /// The addresses of the other end, likewise.
    pub peers: Vec<String>,
    /// The roles that these hold, as far as the policy that lets it pass says so.
    pub roles: Vec<String>,
    /// `tcp`, `udp`, `icmp`, `icmpv6` or `ip`.
    pub protocol: &'static str,
    /// Ports, types, or numbers of protocols.
    pub ports: Vec<String>,
    /// The links and rules that let it pass.
    pub because: Vec<Ground>,
}

impl Difference {
    /// Compares two policies.
    ///
    /// # Errors
    /// A policy that cannot be compiled.
    pub fn new(from: &Side, to: &Side) -> Result<Self> {
        let (old, new) = (from.tables(), to.tables());
        let mut changes: Vec<Change> = Vec::new();
        for delta in compare(old, new) {
            let side = if delta.opens { to } else { from };
            for change in worded(&delta, side)? {
                changes.push(change);
            }
        }
        let has = |wanted: &str| changes.iter().any(|change| change.change == wanted);
        Ok(Self {
            from: from.name().to_owned(),
            to: to.name().to_owned(),
            opens: has("opens"),
            closes: has("closes"),
            settings: settings::settings(&new.policy, &old.policy),
            changes,
        })
    }
}

/// All that a policy lets be opened.
///
/// # Errors
/// As [`Difference::new`].
pub fn openings(side: &Side) -> Result<Vec<Change>> {
    let deltas = compare(&Tables::nothing(), side.tables());
    let worded = deltas.iter().map(|delta| worded(delta, side));
    Ok(worded.collect::<Result<Vec<_>>>()?.concat())
}

/// A delta in the words of the policy that lets it pass: one change for each protocol and for each
/// set of links and rules.
fn worded(delta: &Delta, side: &Side) -> Result<Vec<Change>> {
    let (system, peer) = (delta.systems[0].0, delta.peers[0].0);
    let mut changes: Vec<Change> = Vec::new();
    for (protocol, ports) in &delta.services {
        let because = side.because(delta.opener, system, peer, protocol, *ports[0].start())?;
        let texts = ports.iter().map(range);
        let same = |known: &&mut Change| known.protocol == *protocol && known.because == because;
        if let Some(known) = changes.iter_mut().find(same) {
            known.ports.extend(texts);
            continue;
        }
        changes.push(Change {
            change: if delta.opens { "opens" } else { "closes" },
            if_handed_out: delta.if_handed_out,
            direction: match delta.opener {
                Opener::Peer => "inbound",
                Opener::Protected => "outbound",
            },
            entries: side.entries(system),
            systems: delta.systems.iter().map(row).collect(),
            peers: delta.peers.iter().map(row).collect(),
            roles: side.roles(peer),
            protocol,
            ports: texts.collect(),
            because,
        });
    }
    Ok(changes)
}

fn range(ports: &RangeInclusive<u16>) -> String {
    match ports.start() == ports.end() {
        true => ports.start().to_string(),
        false => format!("{}-{}", ports.start(), ports.end()),
    }
}

/// A row of addresses: a prefix, if it is one.
fn row((first, last): &(IpAddr, IpAddr)) -> String {
    let (low, high, bits) = match (first, last) {
        (IpAddr::V4(first), IpAddr::V4(last)) => {
            (u128::from(first.to_bits()), u128::from(last.to_bits()), 32)
        }
        (IpAddr::V6(first), IpAddr::V6(last)) => (first.to_bits(), last.to_bits(), 128),
        _ => return format!("{first}-{last}"),
    };
    let differing = low ^ high;
    let host_bits = 128 - differing.leading_zeros();
    let is_prefix = low & differing == 0 && differing.count_ones() == host_bits;
    match (is_prefix, host_bits) {
        (true, 0) => first.to_string(),
        (true, host_bits) => format!("{first}/{}", bits - host_bits),
        (false, _) => format!("{first}-{last}"),
    }
}

#[cfg(test)]
mod tests;
