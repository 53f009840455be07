//! YAML for aerleon, which writes rules for many vendors' firewalls.

use super::{grounds, is_carried, prefixes};
use crate::diff::Change;
use std::fmt::Write as _;

/// The policy: a filter for each direction, and a term for each opening.
///
/// `targets` are lines of a header such as `cisco: sccm-inbound extended`; `{}` stands for the direction.
#[must_use]
pub fn policy(openings: &[Change], target: &str) -> String {
    let mut text = "# Written by `sccm-agent export`. Definitions: `--format aerleon-definitions`.\nfilters:\n".to_owned();
    for direction in ["inbound", "outbound"] {
        // Writing to a string cannot fail.
        let _ = write!(
            text,
            "- header:\n    comment: sccm-agent, {direction}\n    targets:\n      {}\n  terms:\n",
            target.replace("{}", direction)
        );
        let numbered = openings.iter().enumerate();
        let carried =
            numbered.filter(|(_, change)| change.direction == direction && is_carried(change));
        for (number, change) in carried {
            let (from, to) = match direction {
                "inbound" => (peers(number), systems(number)),
                _ => (systems(number), peers(number)),
            };
            let what = match change.protocol {
                "tcp" | "udp" => format!(
                    "    protocol: {}\n    destination-port: {}\n",
                    change.protocol,
                    ports(number)
                ),
                "icmp" => "    protocol: icmp\n    icmp-type: echo-request\n".to_owned(),
                "icmpv6" => "    protocol: icmpv6\n    icmp-type: echo-request\n".to_owned(),
                _ => continue,
            };
            let _ = write!(
                text,
                "  - name: opening-{number}\n    comment: {:?}\n    source-address: {from}\n    \
                 destination-address: {to}\n{what}    action: accept\n",
                grounds(change)
            );
        }
        text += "  - name: everything-else\n    action: deny\n";
    }
    text
}

/// The addresses and ports that the policy names.
#[must_use]
pub fn definitions(openings: &[Change]) -> String {
    let mut networks = String::new();
    let mut services = String::new();
    let numbered = openings.iter().enumerate();
    for (number, change) in numbered.filter(|(_, change)| is_carried(change)) {
        let both = [
            (systems(number), &change.systems),
            (peers(number), &change.peers),
        ];
        for (name, addresses) in both {
            let _ = write!(networks, "  {name}:\n    values:\n");
            for prefix in prefixes(addresses) {
                let _ = writeln!(networks, "      - address: {prefix}");
            }
        }
        if ["tcp", "udp"].contains(&change.protocol) {
            let _ = writeln!(services, "  {}:", ports(number));
            for range in &change.ports {
                let _ = write!(
                    services,
                    "    - protocol: {}\n      port: {range}\n",
                    change.protocol
                );
            }
        }
    }
    format!("# Written by `sccm-agent export`.\nnetworks:\n{networks}services:\n{services}")
}

fn systems(number: usize) -> String {
    format!("SYSTEMS_{number}")
}

fn peers(number: usize) -> String {
    format!("PEERS_{number}")
}

fn ports(number: usize) -> String {
    format!("PORTS_{number}")
}
