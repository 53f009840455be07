//! Whether the machine translates addresses (NAT), as its netfilter rules say.

use super::dump::{attributes, dump};
use anyhow::{Context as _, Result};
use rtnetlink::sys::protocols::NETLINK_NETFILTER;
use std::collections::BTreeSet;
use std::{fs, io};

/// Where the rules are that translate, for people: `nftables: table nat, chain postrouting`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Translation {
    /// Those that give packets another source (SNAT, masquerading).
    pub sources: BTreeSet<String>,
    /// Those that give them another destination (DNAT, redirection): published ports, proxies.
    pub destinations: BTreeSet<String>,
}

/// `NFT_MSG_GETCHAIN` and `NFT_MSG_GETRULE` of `NFNL_SUBSYS_NFTABLES`.
const GET_CHAIN: u16 = 10 << 8 | 4;
const GET_RULE: u16 = 10 << 8 | 7;

/// Bytes of `struct nfgenmsg`: family, version, number.
const FAMILY_HEADER: usize = 4;

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
    let mut translates = false;
    let read_chain = |chain: &[u8]| {
        let mut attributes = attributes(chain);
        translates |=
            attributes.any(|(kind, value)| kind == attribute::CHAIN_TYPE && text(value) == "nat");
    };
    list(GET_CHAIN, read_chain).context("listing the chains of nftables")?;
    if translates {
        list(GET_RULE, |rule| read_rule(rule, &mut found))
            .context("listing the rules of nftables")?;
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

/// Shows the attributes of everything of a kind, of all families. Nothing where the kernel has no
/// nftables.
fn list(kind: u16, mut show: impl FnMut(&[u8])) -> Result<()> {
    let question = [libc::AF_UNSPEC as u8, 0, 0, 0];
    let show = |body: &[u8]| show(body.get(FAMILY_HEADER..).unwrap_or_default());
    match dump(NETLINK_NETFILTER, kind, &question, show) {
        Err(error) if is_absent(&error) => Ok(()),
        listed => listed,
    }
}

fn is_absent(error: &anyhow::Error) -> bool {
    let absent = [libc::EINVAL, libc::EOPNOTSUPP, libc::EPROTONOSUPPORT];
    let error = error.downcast_ref::<io::Error>();
    let code = error.and_then(io::Error::raw_os_error);
    code.is_some_and(|code| absent.contains(&code))
}

/// The text of an attribute, which ends with a zero.
fn text(value: &[u8]) -> String {
    let text = value.split(|byte| *byte == 0).next().unwrap_or_default();
    String::from_utf8_lossy(text).into_owned()
}

fn read_rule(rule: &[u8], found: &mut Translation) {
    let (mut table, mut chain) = (String::new(), String::new());
    let mut changes = Vec::new();
    for (kind, value) in attributes(rule) {
        match kind {
            attribute::RULE_TABLE => table = text(value),
            attribute::RULE_CHAIN => chain = text(value),
            attribute::RULE_EXPRESSIONS => {
                changes.extend(attributes(value).filter_map(|(_, one)| change(one)));
            }
            _ => {}
        }
    }
    for change in changes {
        found.add(change, &format!("nftables: table {table}, chain {chain}"));
    }
}

/// What an expression does, if it translates.
fn change(expression: &[u8]) -> Option<Change> {
    let (mut name, mut data): (_, &[u8]) = (String::new(), &[]);
    for (kind, value) in attributes(expression) {
        match kind {
            attribute::EXPRESSION_NAME => name = text(value),
            attribute::EXPRESSION_DATA => data = value,
            _ => {}
        }
    }
    let value = |wanted| {
        let mut all = attributes(data);
        all.find(|(kind, _)| *kind == wanted)
            .map(|(_, value)| value)
    };
    match name.as_str() {
        "masq" => Some(Change::Source),
        "redir" => Some(Change::Destination),
        "nat" => Some(match value(attribute::NAT_TYPE) == Some(&DESTINATION_NAT) {
            true => Change::Destination,
            false => Change::Source,
        }),
        "target" => match text(value(attribute::TARGET_NAME)?).as_str() {
            "MASQUERADE" | "SNAT" | "SNPT" => Some(Change::Source),
            "DNAT" | "REDIRECT" | "DNPT" => Some(Change::Destination),
            "NETMAP" => Some(Change::Both),
            _ => None,
        },
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An attribute as it is on the wire.
    fn encode(kind: u16, value: &[u8]) -> Vec<u8> {
        let length = (4 + value.len()) as u16;
        let mut bytes = [length.to_ne_bytes(), kind.to_ne_bytes()].concat();
        bytes.extend(value);
        bytes.resize(bytes.len().next_multiple_of(4), 0);
        bytes
    }

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
