//! `[[allow]]`, `[[outbound.allow]]` and `[[management.allow]]`: what the document does not know.

use super::context::{Context, MAX_RULES};
use super::names::Names;
use super::node::{Node, Table, Text, Value};
use super::peers;
use super::prefixes::{self, Addresses};
use crate::catalog::nearest;
use crate::policy::{Cover, INTERNET, Protected, Rule, SitePolicy, Target, parse_target, prefix};
use ipnet::{IpNet, Ipv4Net};
use std::net::{IpAddr, Ipv4Addr};

/// Protocols whose `ports` say more; the others have none.
const WITH_PORTS: [&str; 5] = ["tcp", "udp", "icmp", "icmpv6", "ip"];
const WITHOUT: [&str; 3] = ["gre", "esp", "ah"];

/// Characters of a reason: it is shown in one line.
const LONGEST_REASON: usize = 200;

/// The rules of a file.
pub(super) struct Rules<T> {
    pub allow: Vec<T>,
    pub outbound: Vec<T>,
    pub management: Vec<T>,
}

/// Where the rules of `[[allow]]` may lead, and those of `[[outbound.allow]]` begin.
pub(super) struct Destinations<'a> {
    protect: &'a [Protected],
    cover: Cover,
}

/// What a rule is about.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Allow,
    Outbound,
    Management,
}

/// Reads all kinds, by the peers and the protected systems of the policy.
pub(super) fn read(
    tables: Rules<Table<'_>>,
    policy: &SitePolicy,
    names: &mut Names,
    cx: &mut Context<'_>,
) -> Rules<Rule> {
    let Rules {
        allow,
        outbound,
        management,
    } = tables;
    let mut all = allow.iter().chain(&outbound).chain(&management);
    if let Some(surplus) = all.nth(MAX_RULES) {
        let message = format!("this is more than {MAX_RULES} rules: put ports or sources together");
        cx.refuse(surplus.span, message);
        return Rules {
            allow: Vec::new(),
            outbound: Vec::new(),
            management: Vec::new(),
        };
    }
    let systems = Destinations::new(&policy.protect);
    let mut rules = |tables: Vec<Table<'_>>, kind| -> Vec<Rule> {
        let rules = tables.into_iter();
        rules
            .filter_map(|table| rule(table, kind, (policy, &systems), names, cx))
            .collect()
    };
    Rules {
        allow: rules(allow, Kind::Allow),
        outbound: rules(outbound, Kind::Outbound),
        management: rules(management, Kind::Management),
    }
}

fn rule(
    mut table: Table<'_>,
    kind: Kind,
    (policy, systems): (&SitePolicy, &Destinations<'_>),
    names: &mut Names,
    cx: &mut Context<'_>,
) -> Option<Rule> {
    let name = names.read(&mut table, cx);
    let targets = targets(&mut table, cx);
    let key = if kind == Kind::Outbound { "to" } else { "from" };
    let peers = table
        .require(key, "[\"192.0.2.0/24\"], or \"any\"", cx)
        .and_then(|node| peers(node, policy, cx));
    let systems = match kind {
        Kind::Allow => table.take("to").map(|node| systems.read(node, cx)),
        Kind::Outbound => table.take("from").map(|node| systems.senders(node, cx)),
        Kind::Management => None,
    };
    let reason = reason(&mut table, cx);
    table.finish(cx);
    let (peers, systems) = (peers?, systems.unwrap_or_default());
    let (from, to) = match kind {
        Kind::Outbound => (systems, peers.listed),
        Kind::Allow | Kind::Management => (peers.listed, systems),
    };
    Some(Rule {
        name: name?,
        targets,
        from,
        to,
        tracked: false,
        internet: peers.internet,
        reason: reason?,
    })
}

/// The peers of a rule; if none are listed, and the Internet is not meant: anybody.
#[derive(Default)]
struct Peers {
    listed: Vec<IpNet>,
    internet: bool,
}

/// Reads `"any"`, a file, or a list of prefixes and roles.
fn peers(node: Node<'_>, policy: &SitePolicy, cx: &mut Context<'_>) -> Option<Peers> {
    if !matches!(node.value, Value::List(_)) {
        return Some(match prefixes::read(node, cx)? {
            Addresses::Any => Peers::default(),
            Addresses::Listed(listed) => Peers {
                listed,
                internet: false,
            },
        });
    }
    let mut peers = Peers::default();
    for text in node.texts(cx)? {
        let listed = match &*text.text {
            INTERNET => {
                peers.internet = true;
                continue;
            }
            prefixes::ANY => Err(prefixes::any_stands_alone()),
            role if is_word(role) => peers::holders(policy, role),
            address => prefix(address).map(|prefix| vec![prefix]),
        };
        match listed {
            Ok(listed) if cx.count(listed.len(), text.span) => peers.listed.extend(listed),
            Ok(_) => {}
            Err(message) => cx.refuse(text.span, message),
        }
    }
    Some(peers)
}

/// No IPv4 address begins with a letter, and every IPv6 address has a colon.
pub(super) fn is_word(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphabetic()) && !text.contains(':')
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
        self.listed(node, cx, |text| self.find(text))
    }

    /// The same, of systems that send: nobody does in the name of a group.
    fn senders(&self, node: Node<'_>, cx: &mut Context<'_>) -> Vec<IpNet> {
        self.listed(node, cx, |text| {
            let found = self.find(text)?;
            match found
                .iter()
                .find(|one| !self.cover.has(one) || is_group(one))
            {
                Some(other) => Err(format!(
                    "{other} sends nothing: name a [[protect]], or addresses of one"
                )),
                None => Ok(found),
            }
        })
    }

    fn listed(
        &self,
        node: Node<'_>,
        cx: &mut Context<'_>,
        find: impl Fn(&str) -> Result<Vec<IpNet>, String>,
    ) -> Vec<IpNet> {
        let mut listed = Vec::new();
        for text in node.texts(cx).unwrap_or_default() {
            match find(&text.text) {
                Ok(prefixes) if cx.count(prefixes.len(), text.span) => listed.extend(prefixes),
                Ok(_) => {}
                Err(message) => cx.refuse(text.span, message),
            }
        }
        listed
    }

    /// The addresses of a protected system, by its name, or one among them.
    pub(super) fn find(&self, text: &str) -> Result<Vec<IpNet>, String> {
        match self.protect.iter().find(|entry| entry.name == text) {
            Some(entry) => of_entry(entry),
            None => self.address(text).map(|prefix| vec![prefix]),
        }
    }

    fn address(&self, text: &str) -> Result<IpNet, String> {
        if is_word(text) {
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
             the key out",
            entry.name
        ));
    }
    Ok(entry.addresses.clone())
}
