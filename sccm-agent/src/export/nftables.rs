//! A ruleset of nftables that gives the same verdict on whatever is opened.

use super::{grounds, is_carried, is_v4};
use crate::diff::Change;
use std::net::IpAddr;

/// Where the ruleset stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// At the protected host.
    Host,
    /// At a gateway, between these interfaces.
    Gateway {
        /// Towards the peers.
        uplink: String,
        /// Towards the protected systems.
        segment: String,
    },
}

/// What a network breaks without, and the policy's essentials let pass.
const ESSENTIALS: &str = "    \
    ct state established,related accept
    icmpv6 type { 130-136, 143 } accept
    meta l4proto igmp accept
    udp sport 67 udp dport 68 accept
    udp sport 547 udp dport 546 accept";

/// The ruleset. `nobody`: sources that no packet from outside has.
#[must_use]
pub fn nftables(openings: &[Change], nobody: &[(IpAddr, IpAddr)], place: &Place) -> String {
    let rules = |direction: &str| {
        let all = openings
            .iter()
            .filter(|change| change.direction == direction);
        let all = all.filter(|change| is_carried(change));
        all.map(rule).collect::<Vec<_>>().join("\n")
    };
    let (inbound, outbound) = (rules("inbound"), rules("outbound"));
    let refused: Vec<String> = [(true, "ip"), (false, "ip6")]
        .into_iter()
        .filter_map(|(v4, family)| {
            let rows = nobody.iter().filter(|(first, _)| first.is_ipv4() == v4);
            let texts: Vec<String> = rows.map(|(first, last)| row(*first, *last)).collect();
            (!texts.is_empty())
                .then(|| format!("    {family} saddr {{ {} }} drop", texts.join(", ")))
        })
        .collect();
    let refused = refused.join("\n");
    let hooks = match place {
        Place::Host => "  chain input {
    type filter hook input priority filter; policy accept;
    iifname \"lo\" accept
    jump inbound
  }

  chain output {
    type filter hook output priority filter; policy accept;
    oifname \"lo\" accept
    jump outbound
  }"
        .to_owned(),
        Place::Gateway { uplink, segment } => format!(
            "  chain forward {{
    type filter hook forward priority filter; policy accept;
    iifname \"{uplink}\" oifname \"{segment}\" jump inbound
    iifname \"{segment}\" oifname \"{uplink}\" jump outbound
  }}

  chain input {{
    type filter hook input priority filter; policy accept;
    iifname {{ \"{uplink}\", \"{segment}\" }} jump inbound
  }}"
        ),
    };
    format!(
        "# Written by `sccm-agent export`: what the policy lets be opened, and the answers. Load it with
# `nft -f`; loading it again replaces it.
table inet sccm_agent
delete table inet sccm_agent
table inet sccm_agent {{
{hooks}

  chain inbound {{
{ESSENTIALS}
{refused}
{inbound}
    counter drop
  }}

  chain outbound {{
{ESSENTIALS}
{outbound}
    counter drop
  }}
}}"
    )
}

fn rule(change: &Change) -> String {
    let family = if is_v4(change) { "ip" } else { "ip6" };
    let (sources, destinations) = match change.direction {
        "inbound" => (&change.peers, &change.systems),
        _ => (&change.systems, &change.peers),
    };
    let mut words = vec![format!(
        "meta nfproto {}",
        if is_v4(change) { "ipv4" } else { "ipv6" }
    )];
    words.extend(side(family, "saddr", sources));
    words.extend(side(family, "daddr", destinations));
    words.push(what(change));
    format!(
        "    {} accept comment \"{}\"",
        words.join(" "),
        comment(&grounds(change))
    )
}

/// Nothing, where every address of the family is meant.
fn side(family: &str, key: &str, addresses: &[String]) -> Option<String> {
    let is_all = addresses.iter().any(|text| text.ends_with("/0"));
    (!is_all).then(|| format!("{family} {key} {{ {} }}", addresses.join(", ")))
}

fn what(change: &Change) -> String {
    let is_all = change
        .ports
        .iter()
        .any(|text| text == "0-65535" || text == "0-255");
    let ports = change.ports.join(", ");
    match (change.protocol, is_all) {
        ("tcp" | "udp", true) => format!("meta l4proto {}", change.protocol),
        ("tcp" | "udp", false) => format!("{} dport {{ {ports} }}", change.protocol),
        ("icmp", true) => "meta l4proto icmp".to_owned(),
        ("icmpv6", true) => "meta l4proto ipv6-icmp".to_owned(),
        ("icmp" | "icmpv6", false) => format!("{} type {{ {ports} }}", change.protocol),
        _ => format!("meta l4proto {{ {} }}", without_ports(&change.ports)),
    }
}

/// Numbers of protocols but those that have ports or types, which have rules of their own.
fn without_ports(ranges: &[String]) -> String {
    let with = [1_u16, 6, 17, 58];
    let mut kept: Vec<String> = Vec::new();
    for text in ranges {
        let (first, last) = text.split_once('-').unwrap_or((text, text));
        let (Ok(mut first), Ok(last)) = (first.parse::<u16>(), last.parse::<u16>()) else {
            continue;
        };
        for cut in with.into_iter().chain([last + 1]) {
            if cut < first || cut > last + 1 {
                continue;
            }
            match cut - first {
                0 => {}
                1 => kept.push(first.to_string()),
                _ => kept.push(format!("{first}-{}", cut - 1)),
            }
            first = cut + 1;
        }
    }
    kept.join(", ")
}

fn row(first: IpAddr, last: IpAddr) -> String {
    match first == last {
        true => first.to_string(),
        false => format!("{first}-{last}"),
    }
}

/// At most as long as nftables keeps, without what would end it.
fn comment(text: &str) -> String {
    let kept = text
        .chars()
        .filter(|letter| letter.is_ascii_graphic() || *letter == ' ');
    kept.filter(|letter| !['"', '\\'].contains(letter))
        .take(120)
        .collect()
}
