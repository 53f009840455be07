//! A policy for others: a ruleset of nftables, a table for a change board, rules for a generator of
//! other firewalls' rules.
//!
//! All are made of what the compiled policy opens, beginning with nothing: exact sets of ports and
//! addresses, with the links and rules behind them.

mod aerleon;
mod csv;
mod nftables;

pub use aerleon::{definitions, policy};
pub use csv::csv;
pub use nftables::{Place, nftables};

use crate::diff::Change;
use ipnet::{IpNet, Ipv4Subnets, Ipv6Subnets};
use std::net::IpAddr;

/// What a ruleset can say of openings, and what it cannot: it follows no endpoint mapper.
#[must_use]
pub fn split(openings: Vec<Change>) -> (Vec<Change>, Vec<Change>) {
    openings
        .into_iter()
        .partition(|change| !change.if_handed_out)
}

/// What is left out of a ruleset, a line for each opening; none if nothing is.
#[must_use]
pub fn left_out(handed_out: &[Change]) -> Vec<String> {
    if handed_out.is_empty() {
        return Vec::new();
    }
    let first = "NOT in it: ports that the RPC endpoint mapper hands out (rpc = \"tracked\"). No rule of a \
                 packet filter follows the mapper, so these connections are dropped:";
    let opening = |change: &Change| {
        let (from, to) = match change.direction {
            "inbound" => (&change.peers, &change.systems),
            _ => (&change.systems, &change.peers),
        };
        format!(
            "  {}/{} from {} to {} ({})",
            change.protocol,
            change.ports.join(", "),
            from.join(", "),
            to.join(", "),
            grounds(change)
        )
    };
    let last = "With rpc = \"static\" they are in it, as the whole range.";
    [first.to_owned()]
        .into_iter()
        .chain(handed_out.iter().map(opening))
        .chain([last.to_owned()])
        .collect()
}

/// The first and the last address of a list that a change has.
fn ends(text: &str) -> Option<(IpAddr, IpAddr)> {
    if let Some((first, last)) = text.split_once('-') {
        return Some((first.parse().ok()?, last.parse().ok()?));
    }
    match text.parse::<IpNet>() {
        Ok(prefix) => Some((prefix.network(), prefix.broadcast())),
        Err(_) => text.parse().ok().map(|address| (address, address)),
    }
}

/// Addresses as prefixes, for those who know no rows.
fn prefixes(texts: &[String]) -> Vec<IpNet> {
    let rows = texts.iter().filter_map(|text| ends(text));
    rows.flat_map(|row| -> Vec<IpNet> {
        match row {
            (IpAddr::V4(first), IpAddr::V4(last)) => {
                Ipv4Subnets::new(first, last, 0).map(IpNet::V4).collect()
            }
            (IpAddr::V6(first), IpAddr::V6(last)) => {
                Ipv6Subnets::new(first, last, 0).map(IpNet::V6).collect()
            }
            _ => Vec::new(),
        }
    })
    .collect()
}

/// Whether the addresses of a change are IPv4.
fn is_v4(change: &Change) -> bool {
    let first = change.systems.first().and_then(|text| ends(text));
    first.is_none_or(|(first, _)| first.is_ipv4())
}

/// Whether packets of a change's protocol go between its addresses.
fn is_carried(change: &Change) -> bool {
    match change.protocol {
        "icmp" => is_v4(change),
        "icmpv6" => !is_v4(change),
        _ => true,
    }
}

/// The links and rules behind a change, in a line.
fn grounds(change: &Change) -> String {
    let brief: Vec<String> = change
        .because
        .iter()
        .map(|ground| match ground.brief() {
            brief if brief.is_empty() => "what goes out is not judged".to_owned(),
            brief => brief,
        })
        .collect();
    brief.join("; ")
}

#[cfg(test)]
mod tests;
