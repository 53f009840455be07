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
            let Some(what) = what(change, number) else {
                let (protocol, ports) = (change.protocol, change.ports.join(", "));
                let _ = writeln!(
                    text,
                    "  # opening-{number}, {protocol}/{ports}, is left out: aerleon has no word for it"
                );
                continue;
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

/// What a term lets pass, if there are words for it.
fn what(change: &Change, number: usize) -> Option<String> {
    let ports: Vec<&str> = change.ports.iter().map(String::as_str).collect();
    let lines = match (change.protocol, ports.as_slice()) {
        (protocol @ ("tcp" | "udp"), _) => {
            let ports = self::ports(number);
            format!("    protocol: {protocol}\n    destination-port: {ports}\n")
        }
        (protocol @ "icmp", ["8"]) | (protocol @ "icmpv6", ["128"]) => {
            format!("    protocol: {protocol}\n    icmp-type: echo-request\n")
        }
        (protocol @ ("icmp" | "icmpv6"), ["0-255"]) => format!("    protocol: {protocol}\n"),
        ("ip", ["47"]) => "    protocol: gre\n".to_owned(),
        ("ip", ["50"]) => "    protocol: esp\n".to_owned(),
        ("ip", ["51"]) => "    protocol: ah\n".to_owned(),
        _ => return None,
    };
    Some(lines)
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
