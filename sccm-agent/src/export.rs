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
