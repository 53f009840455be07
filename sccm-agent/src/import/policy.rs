//! From an inventory to a policy: who stands behind the gateway, and who are their peers.

use super::boundaries::Kind;
use super::mistakes::Mistakes;
use super::roles::{Meaning, meaning};
use super::sites::Sites;
use super::systems::System;
use super::text::unique;
use super::{Inventory, Wish};
use crate::catalog::{Catalog, Edition, RoleId};
use crate::check;
use crate::policy::{CLIENT, Outbound, Protected, Rpc, SitePolicy};
use crate::site::Site;
use anyhow::Result;
use ipnet::IpNet;
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::path::Path;
use std::str::FromStr;

const SITE_SERVER: &str = "site-server";

/// Who holds a role, as `ROLE=ADDRESS[,ADDRESS]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MoreAddresses {
    role: String,
    addresses: Vec<IpNet>,
}

impl FromStr for MoreAddresses {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (role, list) = text
            .split_once('=')
            .ok_or("write ROLE=ADDRESS, such as domain-controller=10.1.0.10")?;
        let addresses = list.split(',').map(|one| crate::policy::prefix(one.trim()));
        Ok(Self {
            role: role.trim().to_owned(),
            addresses: addresses.collect::<Result<_, String>>()?,
        })
    }
}

/// All lines about one system.
#[derive(Debug)]
struct Host {
    name: String,
    site: String,
    addresses: BTreeSet<IpAddr>,
    /// Each role with what it was called.
    roles: BTreeMap<&'static str, String>,
    notes: Vec<String>,
}

impl Host {
    /// Where it comes from, for a comment.
    fn origin(&self, role: &str) -> String {
        let site = match self.site.as_str() {
            "" => "no site",
            site => site,
        };
        let called = self.roles.get(role).map_or("", String::as_str);
        format!("{} ({site}): {called}", self.name)
    }

    /// Its name with its addresses, if it has any.
    fn named(&self) -> Option<(String, Vec<IpNet>)> {
        let addresses: Vec<IpNet> = self.addresses.iter().copied().map(IpNet::from).collect();
        (!addresses.is_empty()).then(|| (self.name.clone(), addresses))
    }
}

/// An address of a list, and where it comes from.
pub(super) type Line = (IpNet, String);

/// A policy, and why each line is in it.
#[derive(Debug)]
pub struct Imported {
    pub(super) protect: Vec<(Protected, String)>,
    pub(super) peers: BTreeMap<String, Vec<Line>>,
    /// Roles that the protected systems talk to, and that nobody here has.
    pub(super) nobody: BTreeSet<String>,
    /// What the inventory calls addresses, also those of systems that are left out.
    pub(super) names: BTreeMap<String, Vec<IpNet>>,
    /// What is not in the policy, and why.
    pub(super) left_out: Vec<String>,
    pub(super) outbound: Outbound,
    pub(super) sets: Vec<String>,
}

impl Imported {
    /// Works it out; `None` if something is wrong, which is noted.
    ///
    /// # Errors
    /// The policy does not compile.
    pub fn new(
        inventory: &Inventory,
        wish: &Wish,
        mistakes: &mut Mistakes,
    ) -> Result<Option<Self>> {
        let sites = Sites::of(&inventory.systems);
        let hosts = hosts(&inventory.systems, mistakes);
        let is_behind = |address: &IpAddr| wish.protect.iter().any(|net| net.contains(address));
        let (behind, others): (Vec<&Host>, Vec<&Host>) = hosts
            .iter()
            .partition(|host| host.addresses.iter().any(is_behind));
        if behind.is_empty() {
            mistakes.add(
                Path::new("--protect"),
                0,
                "no system of the inventory has an address there",
            );
        }
        if !mistakes.0.is_empty() {
            return Ok(None);
        }
        let mut imported = Self {
            protect: Vec::new(),
            peers: BTreeMap::new(),
            nobody: BTreeSet::new(),
            names: hosts.iter().filter_map(Host::named).collect(),
            left_out: Vec::new(),
            outbound: wish.outbound,
            sets: wish.sets.clone(),
        };
        for host in &hosts {
            imported.left_out.extend(host.notes.iter().cloned());
        }
        for host in &behind {
            imported.protect(host, is_behind);
        }
        let own: BTreeSet<String> = behind.iter().map(|host| host.site.clone()).collect();
        let related = related(&behind, &own, &sites, wish);
        for host in others {
            imported.peer(host, &related);
        }
        imported.clients(inventory, &sites.with_descendants(&own), &wish.sites);
        for more in &wish.more {
            let lines = more.addresses.iter().map(|net| (*net, "--peer".to_owned()));
            imported
                .peers
                .entry(more.role.clone())
                .or_default()
                .extend(lines);
        }
        imported.nobody = check::unheld(&imported.policy())?;
        Ok(Some(imported))
    }

    fn protect(&mut self, host: &Host, is_behind: impl Fn(&IpAddr) -> bool) {
        let (inside, outside): (Vec<IpAddr>, Vec<IpAddr>) = host
            .addresses
            .iter()
            .partition(|address| is_behind(address));
        for address in outside {
            self.left_out.push(format!(
                "{address} of {}: it is not behind the gateway, as the system's others are",
                host.name
            ));
        }
        if host.roles.is_empty() {
            self.left_out.push(format!(
                "{}: it is behind the gateway, and has no role, so nothing reaches it",
                host.name
            ));
            return;
        }
        let called: Vec<&str> = host.roles.values().map(String::as_str).collect();
        let origin = format!("{} ({}): {}", host.name, host.site, called.join(", "));
        let entry = Protected {
            name: self.name_for(&host.name),
            roles: host.roles.keys().map(|role| RoleId::from(*role)).collect(),
            addresses: inside.into_iter().map(IpNet::from).collect(),
            rpc: Rpc::Static,
            elsewhere: false,
        };
        self.protect.push((entry, origin));
    }

    /// The first part of a DNS name, if it is a name for a policy that nobody has yet.
    fn name_for(&self, dns: &str) -> String {
        let short = dns.split('.').next().unwrap_or(dns);
        let mut name = short.to_owned();
        if !name.starts_with(|c: char| c.is_ascii_alphabetic()) {
            name.insert_str(0, "host-");
        }
        name.truncate(48);
        let base = name.clone();
        let mut number = 2;
        while self.protect.iter().any(|(entry, _)| entry.name == name) {
            name = format!("{base}-{number}");
            number += 1;
        }
        name
    }

    fn peer(&mut self, host: &Host, related: &BTreeSet<String>) {
        if !host.site.is_empty() && !related.contains(&host.site) {
            self.left_out.push(format!(
                "{} ({}): its site is neither that of a protected system nor its parent; --site {} \
                 makes it a peer",
                host.name, host.site, host.site
            ));
            return;
        }
        for role in host.roles.keys() {
            let lines = host
                .addresses
                .iter()
                .map(|address| (IpNet::from(*address), host.origin(role)));
            self.peers
                .entry((*role).to_owned())
                .or_default()
                .extend(lines);
        }
    }

    fn clients(&mut self, inventory: &Inventory, sites: &BTreeSet<String>, more: &[String]) {
        for boundary in &inventory.boundaries {
            let (name, site) = (&boundary.name, &boundary.site);
            let other_site = match boundary.kind {
                Kind::AdSite => {
                    Some("a site of Active Directory: list its subnets by --peer client=...")
                }
                Kind::Vpn => Some("a VPN: list its addresses by --peer client=..."),
                Kind::Addresses => {
                    let is_ours = site.is_empty() || sites.contains(site) || more.contains(site);
                    (!is_ours).then_some("its site is not that of a protected system, nor below it")
                }
            };
            if let Some(why) = other_site {
                self.left_out
                    .push(format!("boundary {name} ({site}): {why}"));
                continue;
            }
            let origin = format!("boundary {name} ({site})");
            let lines = boundary
                .prefixes
                .iter()
                .map(|prefix| (*prefix, origin.clone()));
            self.peers
                .entry(CLIENT.to_owned())
                .or_default()
                .extend(lines);
        }
    }

    /// What the policy's file says, without what its sets stand for.
    pub(super) fn policy(&self) -> SitePolicy {
        let addresses = |lines: &Vec<Line>| unique(lines).into_keys().collect();
        let held = self
            .peers
            .iter()
            .map(|(role, lines)| (role, addresses(lines)));
        let nobody = self.nobody.iter().map(|role| (role, Vec::new()));
        let peers = held
            .chain(nobody)
            .map(|(role, list)| (RoleId::from(role.as_str()), list));
        SitePolicy {
            site: Site::new(Catalog::of(Edition::CurrentBranch)),
            outbound: self.outbound,
            peers: Some(peers.collect()),
            protect: self
                .protect
                .iter()
                .map(|(entry, _)| entry.clone())
                .collect(),
            names: self.names.clone(),
            ..SitePolicy::default()
        }
    }
}

/// Puts the lines of each system together.
fn hosts(systems: &[System], mistakes: &mut Mistakes) -> Vec<Host> {
    let mut hosts: BTreeMap<&str, Host> = BTreeMap::new();
    for system in systems {
        let (file, line) = (&system.file, system.line);
        let host = hosts.entry(&system.name).or_insert_with(|| Host {
            name: system.name.clone(),
            site: system.site.clone(),
            addresses: BTreeSet::new(),
            roles: BTreeMap::new(),
            notes: Vec::new(),
        });
        if host.site != system.site {
            let message = format!(
                "{} is of the site {} here, and of {} before: a system is of one site",
                system.name, system.site, host.site
            );
            mistakes.add(file, line, message);
        }
        host.addresses.extend(&system.addresses);
        for called in &system.roles {
            let place = format!("{}:{line}", file.display());
            match meaning(called) {
                Some(Meaning::Role(role)) => {
                    let all = host.roles.entry(role).or_default();
                    if !all.is_empty() {
                        all.push_str(", ");
                    }
                    all.push_str(called);
                }
                Some(Meaning::Nothing) => {}
                Some(Meaning::Untranslatable(why)) => {
                    let note = format!("{called} of {} ({place}): {why}", system.name);
                    host.notes.push(note);
                }
                None => {
                    let note = format!(
                        "{called} of {} ({place}): nobody knows this role",
                        system.name
                    );
                    host.notes.push(note);
                }
            }
        }
    }
    hosts.into_values().collect()
}

/// The protected systems' sites, their parents, those that the operator names, and where a site server
/// is protected, the sites below it.
fn related(
    behind: &[&Host],
    own: &BTreeSet<String>,
    sites: &Sites,
    wish: &Wish,
) -> BTreeSet<String> {
    let mut related = own.clone();
    related.extend(
        own.iter()
            .filter_map(|site| sites.parent(site))
            .map(str::to_owned),
    );
    related.extend(wish.sites.iter().cloned());
    for host in behind {
        if host.roles.contains_key(SITE_SERVER) {
            related.extend(sites.children(&host.site).map(str::to_owned));
        }
    }
    related
}
