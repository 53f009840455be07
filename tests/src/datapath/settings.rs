//! A policy request that owns what it is made from.

use anyhow::{Result, anyhow};
use ipnet::IpNet;
use sccm_agent::catalog::RoleId;
use sccm_agent::policy::{
    Allow, Compiled, Essential, Ethertype, Outbound, Protected, Request, Rpc, Rule, ServiceNames,
    SitePolicy, Surroundings, compile,
};
use sccm_agent::site::Site;
use sccm_common::Reason;
use sccm_common::policy::Timeouts;
use std::collections::BTreeMap;

/// What an operator would ask for: roles of the 2007 catalog, and the flags of `enforce`.
#[derive(Debug, Clone, Default)]
pub struct Settings {
    /// Ids of roles.
    pub roles: Vec<String>,
    /// Where they are; none: everywhere.
    pub addresses: Vec<&'static str>,
    /// Roles and their holders, as `(role, prefix)`; none: anybody may be any.
    pub peers: Vec<(&'static str, &'static str)>,
    /// The site's ports.
    pub site: Site,
    /// `--allow`, as a user writes it.
    pub allow: Vec<&'static str>,
    /// Essentials that are taken away.
    pub without: Vec<Reason>,
    /// Drop nothing.
    pub observe: bool,
    /// `--manage`, as a user writes it.
    pub manage: Vec<&'static str>,
    /// What is known of the machine; by default, of a host, nothing.
    pub machine: Surroundings,
    /// What the protected systems may open.
    pub outbound: Outbound,
    /// How the ports are opened that an endpoint mapper hands out.
    pub rpc: Rpc,
    /// How long flows live.
    pub timeouts: Timeouts,
    /// Pass later fragments whose first was not seen.
    pub pass_orphan_fragments: bool,
    /// Pass what a source route sends on to others.
    pub pass_source_routes: bool,
    /// Pass ICMP errors whatever they quote.
    pub pass_unrelated_icmp_errors: bool,
    /// Pass what is neither IP nor essential.
    pub pass_other_ethertypes: bool,
    /// `--pass-ethertype`, as a user writes it.
    pub pass_ethertypes: Vec<&'static str>,
    /// Count what is refused, and note nothing of it.
    pub count_only: bool,
    /// Until when probes pass, by the program's clock.
    pub probes_until: u32,
}

impl Settings {
    /// These roles, and the document's defaults.
    pub fn roles(roles: &[&str]) -> Self {
        Self {
            roles: roles.iter().map(|role| (*role).to_owned()).collect(),
            ..Self::default()
        }
    }

    /// The policy, under the class numbers that `names` gave out before.
    pub fn compile(&self, names: ServiceNames) -> Result<Compiled> {
        let parsed = |rules: &[&str]| -> Result<Vec<Rule>> {
            let rules = rules.iter();
            rules
                .map(|text| {
                    text.parse::<Allow>()
                        .map_err(|error: String| anyhow!(error))
                })
                .map(|allow| Ok(Rule::from(&allow?)))
                .collect()
        };
        let protected = Protected {
            name: "protected".to_owned(),
            roles: self.roles.iter().map(|role| role.as_str().into()).collect(),
            addresses: parsed_prefixes(&self.addresses)?,
            rpc: self.rpc,
            elsewhere: false,
        };
        let mut peers = BTreeMap::<RoleId, Vec<IpNet>>::new();
        for (role, prefix) in &self.peers {
            let holders = peers.entry((*role).into()).or_default();
            holders.extend(parsed_prefixes(&[prefix])?);
        }
        let policy = SitePolicy {
            site: self.site.clone(),
            outbound: self.outbound,
            timeouts: self.timeouts,
            without: self.without.iter().copied().map(Essential).collect(),
            pass_orphan_fragments: self.pass_orphan_fragments,
            pass_source_routes: self.pass_source_routes,
            pass_unrelated_icmp_errors: self.pass_unrelated_icmp_errors,
            pass_other_ethertypes: self.pass_other_ethertypes,
            pass_ethertypes: parsed_ethertypes(&self.pass_ethertypes)?,
            count_only: self.count_only,
            peers: (!peers.is_empty()).then_some(peers),
            protect: vec![protected],
            allow: parsed(&self.allow)?,
            management: parsed(&self.manage)?,
            ..SitePolicy::default()
        };
        let request = Request {
            policy: &policy,
            machine: &self.machine,
            observe: self.observe,
        };
        let mut compiled = compile(&request, names)?;
        compiled.probe(self.probes_until);
        Ok(compiled)
    }
}

fn parsed_ethertypes(texts: &[&str]) -> Result<Vec<Ethertype>> {
    let parsed = texts
        .iter()
        .map(|text| text.parse().map_err(|error: String| anyhow!(error)));
    parsed.collect()
}

fn parsed_prefixes(texts: &[&str]) -> Result<Vec<IpNet>> {
    texts.iter().map(|text| Ok(text.parse()?)).collect()
}
