//! `[[allow]]` and `[[management.allow]]`: what the document does not know.

use super::context::{Context, MAX_RULES};
use super::names::Names;
use super::node::{Node, Table, Text};
use super::prefixes::{self, Addresses};
use crate::catalog::nearest;
use crate::policy::{Cover, Protected, Rule, Target, parse_target, prefix};
use ipnet::{IpNet, Ipv4Net};
use std::net::{IpAddr, Ipv4Addr};

/// Protocols whose `ports` say more; the others have none.
const WITH_PORTS: [&str; 5] = ["tcp", "udp", "icmp", "icmpv6", "ip"];
const WITHOUT: [&str; 3] = ["gre", "esp", "ah"];

/// Characters of a reason: it is shown in one line.
const LONGEST_REASON: usize = 200;

/// Where the rules of `[[allow]]` may lead.
pub(super) struct Destinations<'a> {
    protect: &'a [Protected],
    cover: Cover,
}

/// Reads both kinds, `(allow, management)`.
pub(super) fn read(
    allow: Vec<Table<'_>>,
    management: Vec<Table<'_>>,
    protect: &[Protected],
    names: &mut Names,
    cx: &mut Context<'_>,
) -> (Vec<Rule>, Vec<Rule>) {
    if let Some(surplus) = allow.iter().chain(&management).nth(MAX_RULES) {
        let message = format!("this is more than {MAX_RULES} rules: put ports or sources together");
        cx.refuse(surplus.span, message);
        return (Vec::new(), Vec::new());
    }
    let destinations = Destinations::new(protect);
    let mut rules = |tables: Vec<Table<'_>>, to: Option<&Destinations<'_>>| -> Vec<Rule> {
        let rules = tables.into_iter();
        rules
            .filter_map(|table| rule(table, to, names, cx))
            .collect()
    };
    let allow = rules(allow, Some(&destinations));
    (allow, rules(management, None))
}

/// One rule. Without `destinations` it is about the gateway itself.
fn rule(
    mut table: Table<'_>,
    destinations: Option<&Destinations<'_>>,
    names: &mut Names,
    cx: &mut Context<'_>,
) -> Option<Rule> {
    let name = names.read(&mut table, cx);
    let targets = targets(&mut table, cx);
    let from = table
        .require("from", "[\"192.0.2.0/24\"], or \"any\"", cx)
        .and_then(|node| prefixes::read(node, cx));
    let to = destinations.and_then(|all| Some(all.read(table.take("to")?, cx)));
    let reason = reason(&mut table, cx);
    table.finish(cx);
    Some(Rule {
        name: name?,
        targets,
        from: match from? {
            Addresses::Any => Vec::new(),
            Addresses::Listed(listed) => listed,
        },
        to: to.unwrap_or_default(),
        reason: reason?,
    })
}

pub(super) fn reason(table: &mut Table<'_>, cx: &mut Context<'_>) -> Option<String> {
    let reason = table
        .require("reason", "\"why this site needs it\"", cx)?
        .text(cx)?;
    let text = reason.text.trim();
    let wrong = if text.is_empty() {
        Some("the reason is empty: say why this site needs the rule".to_owned())
    } else if text.chars().any(char::is_control) || text.chars().count() > LONGEST_REASON {
        Some(format!(
            "a reason is one line of at most {LONGEST_REASON} characters"
        ))
    } else {
        None
    };
    match wrong {
        Some(message) => {
            cx.refuse(reason.span, message);
            None
        }
        None => Some(text.to_owned()),
    }
}

pub(super) fn targets(table: &mut Table<'_>, cx: &mut Context<'_>) -> Vec<Target> {
    let protocol = table
        .require("protocol", "\"tcp\"", cx)
        .and_then(|node| node.text(cx));
    let Some(protocol) = protocol else {
        // Its ports mean nothing without it.
        table.take("ports");
        return Vec::new();
    };
    let word = &*protocol.text;
    if WITHOUT.contains(&word) {
        if let Some(ports) = table.take("ports") {
            cx.refuse(
                ports.span,
                format!("{word} has no ports: leave `ports` out"),
            );
        }
        return target(word, &protocol, cx).into_iter().collect();
    }
    if !WITH_PORTS.contains(&word) {
        table.take("ports");
        let all = [&WITH_PORTS[..], &WITHOUT[..]].concat();
        let hint = match nearest(word, all.iter().copied()).as_slice() {
            [] => format!("write one of {}", all.join(", ")),
            alike => format!("did you mean {}?", alike.join(" or ")),
        };
        cx.refuse(protocol.span, format!("unknown protocol `{word}`; {hint}"));
        return Vec::new();
    }
    let example = match word {
        "icmp" | "icmpv6" => "[\"echo-request\"], or the numbers of types",
        "ip" => "[89], the numbers of protocols",
        _ => "[22, \"5000-5010\"]",
    };
    let list = table
        .require("ports", example, cx)
        .and_then(|node| node.list(cx));
    let mut targets = Vec::new();
    for port in list.unwrap_or_default() {
        let Some(port) = port.text_or_number(cx) else {
            continue;
        };
        targets.extend(target(&format!("{word}/{}", port.text), &port, cx));
    }
    targets
}

fn target(text: &str, location: &Text<'_>, cx: &mut Context<'_>) -> Option<Target> {
    match parse_target(text) {
        Ok(target) => Some(target),
        Err(message) => {
            cx.refuse(location.span, message);
            None
        }
    }
}

impl<'a> Destinations<'a> {
    pub(super) fn new(protect: &'a [Protected]) -> Self {
        let all: Vec<IpNet> = match protect.iter().any(|entry| entry.addresses.is_empty()) {
            true => prefixes::everywhere().to_vec(),
            false => protect
                .iter()
                .flat_map(|entry| entry.addresses.clone())
                .collect(),
        };
        Self {
            protect,
            cover: Cover::of(&all),
        }
    }

    /// Names of protected systems, and addresses among them.
    fn read(&self, node: Node<'_>, cx: &mut Context<'_>) -> Vec<IpNet> {
        let mut to = Vec::new();
        for text in node.texts(cx).unwrap_or_default() {
            match self.find(&text.text) {
                Ok(prefixes) if cx.count(prefixes.len(), text.span) => to.extend(prefixes),
                Ok(_) => {}
                Err(message) => cx.refuse(text.span, message),
            }
        }
        to
    }

    /// The addresses of a protected system, by its name, or one among them.
    pub(super) fn find(&self, text: &str) -> Result<Vec<IpNet>, String> {
        match self.protect.iter().find(|entry| entry.name == text) {
            Some(entry) => of_entry(entry),
            None => self.address(text).map(|prefix| vec![prefix]),
        }
    }

    fn address(&self, text: &str) -> Result<IpNet, String> {
        // No IPv4 address begins with a letter, and every IPv6 address has a colon.
        if text.starts_with(|c: char| c.is_ascii_alphabetic()) && !text.contains(':') {
            let names = self.protect.iter().map(|entry| entry.name.as_str());
            return Err(match nearest(text, names).as_slice() {
                [] => format!("no [[protect]] is called `{text}`"),
                alike => format!(
                    "no [[protect]] is called `{text}`; did you mean {}?",
                    alike.join(" or ")
                ),
            });
        }
        let prefix = prefix(text)?;
        match self.cover.has(&prefix) || is_group(&prefix) || self.is_broadcast(&prefix) {
            true => Ok(prefix),
            false => Err(format!(
                "{prefix} lies in no protected prefix: name a [[protect]], addresses of one, a \
                 group, or the broadcast address of a network with protected systems"
            )),
        }
    }

    /// Whether this can be the broadcast address of a network with protected systems.
    fn is_broadcast(&self, prefix: &IpNet) -> bool {
        let IpNet::V4(prefix) = prefix else {
            return false;
        };
        let last = prefix.network();
        let ones = last.to_bits().trailing_ones();
        // The largest network of which it is the last address has all others.
        let largest = Ipv4Net::new(last, 32 - ones.min(32) as u8);
        prefix.prefix_len() == 32
            && ones >= 2
            && largest.is_ok_and(|network| self.cover.touches(&IpNet::V4(network.trunc())))
    }
}

/// Whether all addresses of this prefix stand for many.
fn is_group(prefix: &IpNet) -> bool {
    let (first, last) = (prefix.network(), prefix.broadcast());
    first.is_multicast() && last.is_multicast() || first == IpAddr::V4(Ipv4Addr::BROADCAST)
}

fn of_entry(entry: &Protected) -> Result<Vec<IpNet>, String> {
    if entry.addresses.is_empty() {
        return Err(format!(
            "`{}` has no addresses of its own that a rule could be for: give it some, or leave \
             `to` out",
            entry.name
        ));
    }
    Ok(entry.addresses.clone())
}
