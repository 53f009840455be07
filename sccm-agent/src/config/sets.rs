//! `sets`: what Windows systems need besides the product's table, as rules.

use super::context::Context;
use super::location::Span;
use super::names::Names;
use super::node::{Node, Table, Text};
use super::peers;
use crate::catalog::{Set, Sets, nearest};
use crate::policy::{INTERNET, Protected, Rule, SitePolicy, Target};
use ipnet::IpNet;
use std::net::SocketAddr;

/// The name of the rule for the site's proxy, and the kind of the notes that speak of it.
const PROXY: &str = "proxy";
const PROXY_NOTE: &str = "proxy-server";

/// What a file asks for.
#[derive(Default)]
pub(super) struct Wanted {
    /// By all protected systems.
    site: Vec<(&'static Set, Span)>,
    /// By single entries, by their numbers.
    entries: Vec<(usize, &'static Set, Span)>,
    proxy: Option<(SocketAddr, Span)>,
}

impl Wanted {
    /// Reads `sets` and `proxy` of `[site]`.
    pub(super) fn read_site(&mut self, site: &mut Table<'_>, cx: &mut Context<'_>) {
        if let Some(node) = site.take("sets") {
            self.site = read(node, cx);
        }
        let proxy = site.take("proxy").and_then(|node| node.text(cx));
        self.proxy = proxy.and_then(|text| match text.text.parse() {
            Ok(proxy) => Some((proxy, text.span)),
            Err(_) => {
                let message = format!(
                    "`{}` is no proxy: write its address and port, such as \"10.1.0.80:8080\"",
                    text.text.escape_debug()
                );
                cx.refuse(text.span, message);
                None
            }
        });
    }

    /// Reads `sets` of a `[[protect]]`.
    pub(super) fn read_entry(&mut self, number: usize, node: Node<'_>, cx: &mut Context<'_>) {
        let sets = read(node, cx).into_iter();
        self.entries
            .extend(sets.map(|(set, span)| (number, set, span)));
    }

    /// Adds the rules that the sets stand for to the policy.
    pub(super) fn add_rules(
        &self,
        policy: &mut SitePolicy,
        others: &[(String, Vec<IpNet>)],
        names: &mut Names,
        cx: &mut Context<'_>,
    ) {
        for set in Sets::known().iter() {
            let of_site = self.site.iter().find(|(wanted, _)| wanted.id == set.id);
            let mut systems = Vec::new();
            let mut at = of_site.map(|(_, span)| *span);
            for (number, wanted, span) in &self.entries {
                if wanted.id != set.id || of_site.is_some() {
                    continue;
                }
                at = at.or(Some(*span));
                match policy.protect.get(*number) {
                    Some(entry) if entry.addresses.is_empty() && policy.protect.len() > 1 => {
                        let message = format!(
                            "`{}` has no addresses of its own that `sets` could be for: give it some, or \
                             write the set into [site]",
                            entry.name
                        );
                        cx.refuse(*span, message);
                    }
                    Some(entry) => systems.extend(&entry.addresses),
                    None => {}
                }
            }
            let Some(at) = at else {
                continue;
            };
            let rule = self.rule(set, systems, policy, others);
            match rule {
                Ok(Some(rule)) if names.add(&rule.name, at, cx) => match set.from {
                    Some(_) => policy.allow.push(rule),
                    None => policy.outbound_allow.push(rule),
                },
                Ok(_) => {}
                Err(message) => cx.refuse(at, message),
            }
        }
        self.add_proxy(policy, names, cx);
    }

    /// `None` if nobody is the set's peer, as the policy says.
    fn rule(
        &self,
        set: &Set,
        systems: Vec<IpNet>,
        policy: &SitePolicy,
        others: &[(String, Vec<IpNet>)],
    ) -> Result<Option<Rule>, String> {
        let peer = set
            .to
            .as_ref()
            .or(set.from.as_ref())
            .map_or("", String::as_str);
        let mut rule = Rule {
            name: set.id.clone(),
            targets: set
                .services
                .iter()
                .flat_map(|one| Target::of_set(one, &policy.site))
                .collect(),
            from: Vec::new(),
            to: Vec::new(),
            internet: peer == INTERNET,
            reason: set.text.clone(),
            tracked: policy.tracks(),
        };
        let mut peers = Vec::new();
        match (peer, self.proxy) {
            (INTERNET, Some((proxy, _))) => {
                rule.targets = vec![Target::Tcp(proxy.port()..=proxy.port())];
                rule.internet = false;
                peers.push(proxy.ip().into());
            }
            (INTERNET, None) => {}
            (peer, _) if Sets::known().has_peer(peer) => {
                let listed = others.iter().find(|(key, _)| key == peer);
                let listed = listed.ok_or_else(|| missing(set, peer))?;
                peers.extend(&listed.1);
            }
            (peer, _) => {
                let is_listed = policy.peers.as_ref().is_some_and(|peers| {
                    peers
                        .iter()
                        .any(|(role, list)| role.as_str() == peer && list.is_empty())
                });
                if is_listed {
                    return Ok(None);
                }
                peers = peers::holders(policy, peer).map_err(|_| missing(set, peer))?;
            }
        }
        if peers.is_empty() && !rule.internet {
            return Ok(None);
        }
        (rule.from, rule.to) = match set.from {
            Some(_) => (peers, systems),
            None => (systems, peers),
        };
        Ok(Some(rule))
    }

    /// Links to the Internet go by way of the proxy, where the document's note says so.
    fn add_proxy(&self, policy: &mut SitePolicy, names: &mut Names, cx: &mut Context<'_>) {
        let Some((proxy, at)) = self.proxy else {
            return;
        };
        let uses = |entry: &&Protected| goes_by_proxy(entry, policy);
        let systems: Vec<&Protected> = policy.protect.iter().filter(uses).collect();
        if systems.is_empty() || !names.add(PROXY, at, cx) {
            return;
        }
        let all = systems.len() == policy.protect.len();
        let rest = systems.iter().find(|entry| entry.addresses.is_empty());
        if let Some(rest) = rest.filter(|_| !all) {
            let message = format!(
                "`{}` has no addresses of its own that `proxy` could be for, and others do not use it: \
                 give it some",
                rest.name
            );
            cx.refuse(at, message);
            return;
        }
        let from = match all {
            true => Vec::new(),
            false => systems
                .iter()
                .flat_map(|entry| entry.addresses.clone())
                .collect(),
        };
        policy.outbound_allow.push(Rule {
            name: PROXY.to_owned(),
            targets: vec![Target::Tcp(proxy.port()..=proxy.port())],
            from,
            to: vec![proxy.ip().into()],
            internet: false,
            tracked: false,
            reason: "Links to the Internet may go by way of the site's proxy (note 1)".to_owned(),
        });
    }
}

fn missing(set: &Set, peer: &str) -> String {
    format!(
        "the set `{}` is for {peer}, and no address holds that: list some in [peers], or write \
         {peer} = [] there if the site has none",
        set.id
    )
}

/// Whether a link of the entry's roles cites the note about the proxy server.
fn goes_by_proxy(entry: &Protected, policy: &SitePolicy) -> bool {
    let catalog = policy.site.catalog;
    let notes = catalog.notes.iter();
    let about_proxies: Vec<u8> = notes
        .filter(|note| note.kind == PROXY_NOTE)
        .map(|note| note.id)
        .collect();
    let cites = |notes: &[u8]| notes.iter().any(|note| about_proxies.contains(note));
    entry.roles.iter().any(|role| {
        let Ok(role) = catalog.role(role.as_str()) else {
            return false;
        };
        let mut links = policy.site.links_out_of(role);
        links.any(|(link, _, service)| cites(&link.notes) || cites(&service.notes))
    })
}

fn read(node: Node<'_>, cx: &mut Context<'_>) -> Vec<(&'static Set, Span)> {
    let mut sets: Vec<(&Set, Span)> = Vec::new();
    for text in node.texts(cx).unwrap_or_default() {
        match known(&text) {
            Ok(set) if sets.iter().any(|(one, _)| one.id == set.id) => {
                cx.refuse(text.span, format!("{} is listed twice", set.id));
            }
            Ok(set) => sets.push((set, text.span)),
            Err(message) => cx.refuse(text.span, message),
        }
    }
    sets
}

pub(super) fn known(text: &Text<'_>) -> Result<&'static Set, String> {
    let sets = Sets::known();
    sets.get(&text.text).ok_or_else(|| {
        let ids: Vec<&str> = sets.iter().map(|set| set.id.as_str()).collect();
        let hint = match nearest(&text.text, ids.iter().copied()).as_slice() {
            [] => format!("there are {}", ids.join(", ")),
            alike => format!("did you mean {}?", alike.join(" or ")),
        };
        format!("there is no set `{}`; {hint}", text.text.escape_debug())
    })
}

/// The keys of `[peers]` that only sets speak of, taken out of the roles.
pub(super) fn take_others(policy: &mut SitePolicy) -> Vec<(String, Vec<IpNet>)> {
    let mut others = Vec::new();
    for peer in Sets::known().peers() {
        let key = peer.id.as_str().into();
        let listed = policy.peers.as_mut().and_then(|peers| peers.remove(&key));
        others.extend(listed.map(|listed| (peer.id.clone(), listed)));
    }
    others
}
