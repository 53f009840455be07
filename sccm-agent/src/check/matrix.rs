//! Who may open what: a row for each protected entry, peer and service.

use super::rows::{Holders, Row, View, ports};
use crate::policy::{
    Outbound, Protected, Publish, Rpc, Rule, SitePolicy, companions, dynamic_range,
};
use anyhow::Result;
use ipnet::IpNet;
use serde::Serialize;
use std::iter;
use std::net::IpAddr;

/// Who may open what by a policy.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Matrix {
    /// `track`, `enforce` or `off`.
    pub outbound: &'static str,
    /// The protected systems, in the order of the policy.
    pub protect: Vec<System>,
    /// Links that the document states for anybody, and to which `[peers]` leave fewer.
    pub narrowed: Vec<Narrowed>,
    /// `[[allow]]`, in the order of the policy.
    pub allow: Vec<Rules>,
    /// `[[outbound.allow]]`, in the order of the policy; judged only with `outbound = "enforce"`.
    pub outbound_allow: Vec<Rules>,
    /// `[[management.allow]]`, in the order of the policy.
    pub management: Vec<Rules>,
    /// `[[publish]]`, in the order of the policy.
    pub publish: Vec<Published>,
}

impl Matrix {
    /// # Errors
    /// A role that the policy's edition does not have.
    pub fn new(policy: &SitePolicy) -> Result<Self> {
        Ok(Self::of(&View::new(policy)?))
    }

    pub(super) fn of(view: &View<'_>) -> Self {
        let policy = view.policy;
        Self {
            outbound: outbound(policy.outbound),
            protect: systems(view),
            narrowed: narrowed(view),
            allow: rules(policy, &policy.allow),
            outbound_allow: rules(policy, &policy.outbound_allow),
            management: rules(policy, &policy.management),
            publish: policy.publish.iter().map(Published::new).collect(),
        }
    }
}

/// Protected systems, and their rights.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct System {
    /// What the operator calls them.
    pub name: String,
    /// Their roles.
    pub roles: Vec<String>,
    /// Where they are; empty: wherever no other entry is.
    #[cfg_attr(test, schemars(with = "Vec<String>"))]
    pub addresses: Vec<IpNet>,
    /// Whether they are behind another gateway.
    pub elsewhere: bool,
    /// `static`: the RPC dynamic range is open to whoever may use it; `tracked`: what the endpoint
    /// mapper hands out is, to who asked.
    pub rpc: &'static str,
    /// What may be opened at them.
    pub inbound: Vec<Right>,
    /// What they may open; judged only with `outbound = "enforce"`.
    pub outbound: Vec<Right>,
}

/// A service between a protected entry and the holders of a role.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Right {
    /// The role of the other end, or `any`.
    pub peer: String,
    /// Who that is: `anybody`, `internet`, `nobody`, or how many prefixes.
    pub holders: String,
    /// The service, as the catalog calls it.
    pub service: String,
    /// `tcp`, `udp`, `icmp`, `icmpv6` or `ip`.
    pub protocol: String,
    /// The site's ports, as `80, 8530`; `echo-request` for ICMP; the protocol's number for `ip`.
    pub ports: String,
    /// Whether its dynamic ports are open only as the endpoint mapper hands them out.
    pub if_handed_out: bool,
    /// The links of the document that say so.
    pub links: Vec<String>,
}

/// A link from `any` that means some roles only, because the policy names peers.
#[derive(Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Narrowed {
    /// The link's id.
    pub link: String,
    /// The role that listens.
    pub to: String,
    /// The roles that it means.
    pub from: Vec<String>,
}

/// A rule of the site.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Rules {
    /// What the operator calls it.
    pub name: String,
    /// What may be opened, as `tcp/22`.
    pub targets: Vec<String>,
    /// By whom; empty: by anybody, or by every protected system (`[[outbound.allow]]`).
    #[cfg_attr(test, schemars(with = "Vec<String>"))]
    pub from: Vec<IpNet>,
    /// Where; empty: at every protected system, at the gateway itself, or at anybody
    /// (`[[outbound.allow]]`).
    #[cfg_attr(test, schemars(with = "Vec<String>"))]
    pub to: Vec<IpNet>,
    /// Whether the Internet is among the peers; if no other peer is listed, it alone.
    pub internet: bool,
    /// Whether it has dynamic ports that are open, at tracked systems, only as the endpoint mapper
    /// hands them out.
    pub if_handed_out: bool,
    /// Why.
    pub reason: String,
}

impl Rules {
    fn new(policy: &SitePolicy, rule: &Rule) -> Self {
        let range = dynamic_range(&policy.site);
        Self {
            if_handed_out: rule.tracked && rule.targets.contains(&range),
            name: rule.name.clone(),
            targets: rule.targets.iter().map(ToString::to_string).collect(),
            from: rule.from.clone(),
            to: rule.to.clone(),
            internet: rule.internet,
            reason: rule.reason.clone(),
        }
    }
}

/// A published port.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Published {
    /// What the operator calls it.
    pub name: String,
    /// The ports of the gateway, as `tcp/8080`.
    pub targets: Vec<String>,
    /// The protected system behind them.
    pub to: IpAddr,
    /// The port there, where it is another one.
    pub to_port: Option<u16>,
    /// Why.
    pub reason: String,
}

impl Published {
    fn new(published: &Publish) -> Self {
        Self {
            name: published.name.clone(),
            targets: published.targets.iter().map(ToString::to_string).collect(),
            to: published.to,
            to_port: published.to_port,
            reason: published.reason.clone(),
        }
    }
}

fn rules(policy: &SitePolicy, rules: &[Rule]) -> Vec<Rules> {
    rules.iter().map(|rule| Rules::new(policy, rule)).collect()
}

/// The rights of every entry, in the order of the policy.
fn systems(view: &View<'_>) -> Vec<System> {
    let system = |entry: &Protected| System {
        name: entry.name.clone(),
        roles: entry.roles.iter().map(ToString::to_string).collect(),
        addresses: entry.addresses.clone(),
        elsewhere: entry.elsewhere,
        rpc: rpc(entry.rpc),
        inbound: rights(view, entry, &view.inbound),
        outbound: rights(view, entry, &view.outbound),
    };
    view.policy.protect.iter().map(system).collect()
}

/// The narrowed links of the protected systems, each once.
fn narrowed(view: &View<'_>) -> Vec<Narrowed> {
    let mut found: Vec<Narrowed> = Vec::new();
    for row in &view.inbound {
        let (link, to) = (&row.link.id, row.link.to.as_str());
        let mut known = found.iter();
        if !view.policy.narrows(row.link) || known.any(|it| it.link == *link && it.to == to) {
            continue;
        }
        let from = view.policy.site.openers_by_tables(row.link);
        found.push(Narrowed {
            link: link.clone(),
            to: to.to_owned(),
            from: from.iter().map(ToString::to_string).collect(),
        });
    }
    found
}

fn rights(view: &View<'_>, entry: &Protected, rows: &[Row<'_>]) -> Vec<Right> {
    let mut rights: Vec<Right> = Vec::new();
    let of_entry = rows.iter().filter(|row| std::ptr::eq(row.entry, entry));
    let of_entry = of_entry.flat_map(|row| {
        let service = row.service;
        let own = (
            service.service.clone(),
            service.protocol.to_string(),
            ports(row),
        );
        let with_it = companions(service).into_iter().map(|(name, target)| {
            let text = target.to_string();
            let (protocol, ports) = text.split_once('/').unwrap_or((&text, ""));
            (name, protocol.to_owned(), ports.to_owned())
        });
        let all = iter::once(own).chain(with_it);
        all.map(move |what| (row, what)).collect::<Vec<_>>()
    });
    for (row, (service, protocol, ports)) in of_entry {
        let right = Right {
            peer: row.peer.to_owned(),
            holders: describe(view.holders(row.peer)),
            service,
            protocol,
            ports,
            if_handed_out: row.handed_out.is_some(),
            links: Vec::new(),
        };
        let same = |known: &Right| {
            (&known.peer, &known.service, &known.protocol, &known.ports)
                == (&right.peer, &right.service, &right.protocol, &right.ports)
        };
        let index = rights.iter().position(same).unwrap_or(rights.len());
        if index == rights.len() {
            rights.push(right);
        }
        let links = &mut rights[index].links;
        if !links.contains(&row.link.id) {
            links.push(row.link.id.clone());
        }
    }
    rights.sort_by(|a, b| a.peer.cmp(&b.peer));
    rights
}

fn describe(holders: &Holders) -> String {
    match holders {
        Holders::Anybody => "anybody".to_owned(),
        Holders::Internet => "internet".to_owned(),
        Holders::Listed(list, _) => match &list[..] {
            [one] => shown(one),
            list => format!("{} prefixes", list.len()),
        },
        Holders::Nobody => "nobody".to_owned(),
    }
}

/// A prefix, or the address that it consists of.
pub(super) fn shown(prefix: &IpNet) -> String {
    match prefix.prefix_len() == prefix.max_prefix_len() {
        true => prefix.addr().to_string(),
        false => prefix.to_string(),
    }
}

/// The word for a mode of RPC.
fn rpc(mode: Rpc) -> &'static str {
    match mode {
        Rpc::Static => "static",
        Rpc::Tracked => "tracked",
    }
}

/// The word for an outbound mode.
pub(super) fn outbound(mode: Outbound) -> &'static str {
    match mode {
        Outbound::Track => "track",
        Outbound::Enforce => "enforce",
        Outbound::Off => "off",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ike_brings_rows_for_what_it_negotiates() {
        let policy = SitePolicy {
            protect: vec![Protected {
                name: "validator".to_owned(),
                roles: vec!["system-health-validator".into()],
                addresses: Vec::new(),
                rpc: Rpc::Static,
                elsewhere: false,
            }],
            ..SitePolicy::default()
        };
        let matrix = Matrix::new(&policy).unwrap();
        for (service, protocol, ports) in [
            ("ike", "udp", "500"),
            ("ipsec-nat-traversal", "udp", "4500"),
            ("esp", "ip", "50"),
            ("ah", "ip", "51"),
        ] {
            let mut rights = matrix.protect[0].inbound.iter();
            let right = rights.find(|right| right.service == service);
            let right = right.expect(service);
            assert_eq!((&*right.protocol, &*right.ports), (protocol, ports));
            assert_eq!(right.links, ["11"]);
        }
    }
}
