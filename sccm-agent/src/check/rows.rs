//! The rows of the document that a policy makes use of, one by one.

use crate::catalog::{ANY, Link, Protocol, RoleId, Service};
use crate::policy::{
    CLIENT, Cover, DHCP_RELAY, INTERNET, PXE_CLIENT, Protected, Rpc, SitePolicy, Target,
    asks_for_an_address, dynamic_range, is_of_rpc,
};
use crate::site::Found;
use anyhow::Result;
use ipnet::IpNet;
use std::collections::{BTreeMap, BTreeSet};

/// A row of a link that a protected entry has by one of its roles.
#[derive(Debug, Clone)]
pub(super) struct Row<'a> {
    pub entry: &'a Protected,
    /// The role of the entry that brings the row.
    pub role: &'a RoleId,
    pub link: &'a Link,
    /// The role of the other end, or `any`, `pxe-client`, `dhcp-relay`.
    pub peer: &'a str,
    pub service: &'a Service,
    /// What is open.
    pub targets: Vec<Target>,
    /// What is open as the endpoint mapper hands it out.
    pub handed_out: Option<Target>,
}

/// Who holds a role.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Holders {
    /// Every address: nobody is asked who it is.
    Anybody,
    /// Every address that is not internal.
    Internet,
    /// These.
    Listed(Vec<IpNet>, Cover),
    /// None.
    Nobody,
}

/// A policy, with all rows of its catalog that concern it.
pub(super) struct View<'a> {
    pub policy: &'a SitePolicy,
    /// What peers may open at the protected systems.
    pub inbound: Vec<Row<'a>>,
    /// What the protected systems may open at peers.
    pub outbound: Vec<Row<'a>>,
    /// Who holds each role that the rows name.
    holders: BTreeMap<&'a str, Holders>,
}

impl<'a> View<'a> {
    /// # Errors
    /// A role that the catalog does not know.
    pub(crate) fn new(policy: &'a SitePolicy) -> Result<Self> {
        let mut view = Self {
            policy,
            inbound: Vec::new(),
            outbound: Vec::new(),
            holders: BTreeMap::new(),
        };
        let range = dynamic_range(&policy.site);
        for entry in &policy.protect {
            for id in &entry.roles {
                let role = policy.site.catalog.role(id.as_str())?;
                let row = |(link, peer, service): Found| {
                    let is_tracked = entry.rpc == Rpc::Tracked && is_of_rpc(service);
                    let mut targets = Target::of_service(service, &policy.site);
                    targets.retain(|target| !is_tracked || *target != range);
                    Row {
                        entry,
                        role: id,
                        link,
                        peer: peer.as_str(),
                        service,
                        targets,
                        handed_out: is_tracked.then(|| range.clone()),
                    }
                };
                let meant = |(link, peer, service): Found| {
                    let others = policy.others(link, peer).into_iter();
                    others.map(move |peer| (link, peer, service))
                };
                let into = policy.site.links_into(role).flat_map(meant).map(row);
                view.inbound
                    .extend(into.flat_map(|row| booting(policy, row)));
                let out = policy.site.links_out_of(role).map(row);
                view.outbound.extend(out);
            }
        }
        let rows = view.inbound.iter().chain(&view.outbound);
        let peers: BTreeSet<&str> = rows.map(|row| row.peer).chain([CLIENT]).collect();
        view.holders = peers
            .into_iter()
            .map(|peer| (peer, view.find_holders(peer)))
            .collect();
        Ok(view)
    }

    /// Who may be the other end of links that name `peer`.
    pub(crate) fn holders(&self, peer: &str) -> &Holders {
        self.holders.get(peer).unwrap_or(&Holders::Nobody)
    }

    fn find_holders(&self, peer: &str) -> Holders {
        let Some(peers) = &self.policy.peers else {
            return Holders::Anybody;
        };
        if peer == ANY {
            return Holders::Anybody;
        }
        if peer == INTERNET {
            return Holders::Internet;
        }
        let holds = |id: &RoleId| self.policy.site.catalog.is(id, peer);
        let named = peers.iter().filter(|(id, _)| holds(id));
        let mut listed: Vec<IpNet> = named.flat_map(|(_, list)| list.iter().copied()).collect();
        // What is protected here is a peer of what is protected elsewhere.
        let entries = self.policy.protect.iter();
        let own = entries.filter(|entry| entry.roles.iter().any(holds));
        listed.extend(own.flat_map(|entry| entry.addresses.iter().copied()));
        let cover = Cover::of(&listed);
        if cover.is_everybody() {
            return Holders::Anybody;
        }
        listed.sort();
        listed.dedup();
        match listed.is_empty() {
            true => Holders::Nobody,
            false => Holders::Listed(listed, cover),
        }
    }
}

/// Who asks for PXE boot service: build networks and relays, where they are named.
fn booting<'a>(policy: &SitePolicy, row: Row<'a>) -> Vec<Row<'a>> {
    let asks = row.link.network_boot && row.peer == CLIENT;
    let Some(peers) = policy.peers.as_ref().filter(|_| asks) else {
        return vec![row];
    };
    let named = |role: &str| peers.contains_key(&RoleId::from(role));
    let peer = if named(PXE_CLIENT) {
        PXE_CLIENT
    } else {
        CLIENT
    };
    let mut rows = Vec::new();
    if asks_for_an_address(&row.service.service) && named(DHCP_RELAY) {
        let peer = DHCP_RELAY;
        rows.push(Row {
            peer,
            ..row.clone()
        });
    }
    rows.push(Row { peer, ..row });
    rows
}

/// What a target is called where a protocol and ports stand apart.
pub(super) fn ports(row: &Row<'_>) -> String {
    match row.service.protocol {
        Protocol::Tcp | Protocol::Udp => {
            let text = |target: &Target| {
                let text = target.to_string();
                text.split_once('/')
                    .map_or_else(String::new, |(_, ports)| ports.to_owned())
            };
            let all = row.handed_out.iter().chain(&row.targets);
            all.map(text).collect::<Vec<_>>().join(", ")
        }
        Protocol::Icmp | Protocol::Icmpv6 => "echo-request".to_owned(),
    }
}
