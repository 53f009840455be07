//! Whether the machine translates addresses (NAT), as its netfilter rules say.

mod netfilter;

use anyhow::{Context as _, Result};
use netfilter::{Attribute, attributes, dump, text};
use std::collections::BTreeSet;
use std::fs;

/// Where the rules are that translate, for people: `nftables: table nat, chain postrouting`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Translation {
    /// Those that give packets another source (SNAT, masquerading).
    pub sources: BTreeSet<String>,
    /// Those that give them another destination (DNAT, redirection): published ports, proxies.
    pub destinations: BTreeSet<String>,
}

/// Attributes of chains and rules (`include/uapi/linux/netfilter/nf_tables.h`).
mod attribute {
    pub(super) const CHAIN_TYPE: u16 = 7;
    pub(super) const RULE_TABLE: u16 = 1;
    pub(super) const RULE_CHAIN: u16 = 2;
    pub(super) const RULE_EXPRESSIONS: u16 = 4;
    pub(super) const EXPRESSION_NAME: u16 = 1;
    pub(super) const EXPRESSION_DATA: u16 = 2;
    pub(super) const NAT_TYPE: u16 = 1;
    /// Of a target of iptables in a rule of nftables (nf_tables_compat.h).
    pub(super) const TARGET_NAME: u16 = 1;
}

/// `NFT_NAT_DNAT`, as it is on the wire.
const DESTINATION_NAT: [u8; 4] = 1_u32.to_be_bytes();

/// What one expression of a rule does to addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Change {
    Source,
    Destination,
    Both,
}

impl Translation {
    /// Whether anything is translated.
    #[must_use]
    pub fn is_any(&self) -> bool {
        !self.sources.is_empty() || !self.destinations.is_empty()
    }

    fn add(&mut self, change: Change, place: &str) {
        if change != Change::Destination {
            self.sources.insert(place.to_owned());
        }
        if change != Change::Source {
            self.destinations.insert(place.to_owned());
        }
    }
}

/// Reads the rules of nftables, and whether the older iptables has a table for translation, in the
/// network namespace of this process.
///
/// # Errors
/// The kernel refuses the answer, for want of CAP_NET_ADMIN for example.
pub fn translation() -> Result<Translation> {
    let mut found = Translation::default();
    // Most machines have no chain of this type, and then no rule is read.
    let chains = dump(netfilter::GET_CHAIN).context("listing the chains of nftables")?;
    let is_nat = |chain: &Vec<u8>| {
        attributes(chain).any(|one| one.kind == attribute::CHAIN_TYPE && text(one.value) == "nat")
    };
    if chains.iter().any(is_nat) {
        let rules = dump(netfilter::GET_RULE).context("listing the rules of nftables")?;
        rules.iter().for_each(|rule| read_rule(rule, &mut found));
    }
    for (file, program) in [
        ("/proc/net/ip_tables_names", "iptables"),
        ("/proc/net/ip6_tables_names", "ip6tables"),
    ] {
        // The file is there once the older tables are.
        let tables = fs::read_to_string(file).unwrap_or_default();
        if tables.lines().any(|table| table == "nat") {
            found.add(Change::Both, &format!("{program}: table nat"));
        }
    }
    Ok(found)
}

fn read_rule(rule: &[u8], found: &mut Translation) {
    let (mut table, mut chain) = (String::new(), String::new());
    let mut changes = Vec::new();
    for one in attributes(rule) {
        match one.kind {
            attribute::RULE_TABLE => table = text(one.value),
            attribute::RULE_CHAIN => chain = text(one.value),
            attribute::RULE_EXPRESSIONS => {
                let expressions = attributes(one.value);
                changes.extend(expressions.filter_map(|one| change(&one)));
            }
            _ => {}
        }
    }
    for change in changes {
        found.add(change, &format!("nftables: table {table}, chain {chain}"));
    }
}

/// What an expression does, if it translates.
fn change(expression: &Attribute<'_>) -> Option<Change> {
    let (mut name, mut data): (_, &[u8]) = (String::new(), &[]);
    for one in attributes(expression.value) {
        match one.kind {
            attribute::EXPRESSION_NAME => name = text(one.value),
            attribute::EXPRESSION_DATA => data = one.value,
            _ => {}
        }
    }
    let has =
        |kind, value: &[u8]| attributes(data).any(|one| one.kind == kind && one.value == value);
    match name.as_str() {
        "masq" => Some(Change::Source),
        "redir" => Some(Change::Destination),
        "nat" => Some(match has(attribute::NAT_TYPE, &DESTINATION_NAT) {
            true => Change::Destination,
            false => Change::Source,
        }),
        "target" => {
            let target = attributes(data).find(|one| one.kind == attribute::TARGET_NAME)?;
            match text(target.value).as_str() {
                "MASQUERADE" | "SNAT" | "SNPT" => Some(Change::Source),
                "DNAT" | "REDIRECT" | "DNPT" => Some(Change::Destination),
                "NETMAP" => Some(Change::Both),
                _ => None,
            }
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::netfilter::encode;
    use super::*;

    fn rule(expression: &str, data: &[u8]) -> Vec<u8> {
        let name = encode(
            attribute::EXPRESSION_NAME,
            format!("{expression}\0").as_bytes(),
        );
        let data = encode(attribute::EXPRESSION_DATA, data);
        let expression = encode(1, &[name, data].concat());
        [
            encode(attribute::RULE_TABLE, b"nat\0"),
            encode(attribute::RULE_CHAIN, b"out\0"),
            encode(attribute::RULE_EXPRESSIONS, &expression),
        ]
        .concat()
    }

    #[test]
    fn each_way_to_translate_is_known() {
        let nat = |kind: u32| encode(attribute::NAT_TYPE, &kind.to_be_bytes());
        let target = |name: &str| encode(attribute::TARGET_NAME, format!("{name}\0").as_bytes());
        for (expression, data, sources, destinations) in [
            ("masq", vec![], 1, 0),
            ("nat", nat(0), 1, 0),
            ("nat", nat(1), 0, 1),
            ("redir", vec![], 0, 1),
            ("target", target("MASQUERADE"), 1, 0),
            ("target", target("DNAT"), 0, 1),
            ("target", target("NETMAP"), 1, 1),
            ("target", target("LOG"), 0, 0),
            ("counter", vec![], 0, 0),
            // Cut off, and longer than it is.
            ("nat", vec![3, 0], 1, 0),
            ("target", vec![0xff, 0, 1, 0], 0, 0),
        ] {
            let mut found = Translation::default();
            read_rule(&rule(expression, &data), &mut found);
            let counts = (found.sources.len(), found.destinations.len());
            assert_eq!(counts, (sources, destinations), "{expression} {data:?}");
            let all = found.sources.union(&found.destinations);
            for place in all {
                assert_eq!(place, "nftables: table nat, chain out");
            }
        }
    }
}
