//! One of the two policies: of a file, of an edition, or what is enforced.

use crate::catalog::{Catalog, Edition, RoleId};
use crate::config;
use crate::policy::{
    Compiled, Ground, Opener, Question, Request, Running, ServiceNames, SitePolicy, Surroundings,
    Tables, Target, answer, check_roles, compile,
};
use anyhow::{Context as _, Result, bail};
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::str::FromStr;

/// What somebody names on the command line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Operand {
    /// A policy file.
    File(PathBuf),
    /// The other operand, read as a policy of this edition.
    Edition(Edition),
    /// What is enforced now.
    Live,
}

impl FromStr for Operand {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.strip_prefix("edition:") {
            Some(edition) => Ok(Self::Edition(edition.parse()?)),
            None if text == "live" => Ok(Self::Live),
            None => Ok(Self::File(text.into())),
        }
    }
}

/// A policy that is ready to be compared.
pub struct Side {
    name: String,
    what: What,
}

/// What is known of it.
enum What {
    /// Its words and its tables.
    Written {
        policy: Box<SitePolicy>,
        machine: Surroundings,
        compiled: Box<Compiled>,
        tables: Tables,
    },
    /// Its tables alone.
    Running(Box<Running>),
}

impl Side {
    /// What the kernel has.
    #[must_use]
    pub fn live(running: Running) -> Self {
        Self {
            name: "live".to_owned(),
            what: What::Running(Box::new(running)),
        }
    }

    /// A policy, for a machine.
    ///
    /// # Errors
    /// It cannot be compiled.
    pub fn written(name: String, policy: SitePolicy, machine: &Surroundings) -> Result<Self> {
        let request = Request {
            policy: &policy,
            machine,
            observe: false,
        };
        let compiled = compile(&request, ServiceNames::default())
            .with_context(|| format!("compiling {name}"))?;
        Ok(Self {
            name,
            what: What::Written {
                tables: Tables::from(&compiled),
                compiled: Box::new(compiled),
                policy: Box::new(policy),
                machine: machine.clone(),
            },
        })
    }

    /// The policy of a file.
    ///
    /// # Errors
    /// It is no policy.
    pub fn file(path: &Path, machine: &Surroundings) -> Result<Self> {
        Self::written(path.display().to_string(), config::load(path)?, machine)
    }

    /// The same policy, by the table of another edition. Roles that it has no more give way to those
    /// that took their places.
    ///
    /// # Errors
    /// A role without one, or a policy of which only the tables are known.
    pub fn of_edition(&self, edition: Edition, machine: &Surroundings) -> Result<Self> {
        let What::Written { policy, .. } = &self.what else {
            bail!(
                "edition:{edition} is another operand's policy in that edition, and the kernel keeps \
                 no words: name a file beside it"
            );
        };
        let mut policy = SitePolicy::clone(policy);
        let catalog = Catalog::of(edition);
        policy.site.catalog = catalog;
        for entry in &mut policy.protect {
            for role in &mut entry.roles {
                *role = renamed(catalog, role)?;
            }
        }
        if let Some(peers) = policy.peers.take() {
            let mut renewed = std::collections::BTreeMap::new();
            for (role, addresses) in peers {
                // What no edition lists is a key of `[peers]` all the same.
                let role = match Edition::ALL
                    .into_iter()
                    .any(|one| Catalog::of(one).find(role.as_str()).is_some())
                {
                    true => renamed(catalog, &role).ok(),
                    false => Some(role),
                };
                if let Some(role) = role {
                    let held: &mut Vec<_> = renewed.entry(role).or_default();
                    held.extend(addresses);
                }
            }
            policy.peers = Some(renewed);
        }
        check_roles(&policy)?;
        Self::written(
            format!("{} as edition {edition}", self.name),
            policy,
            machine,
        )
    }

    /// What it is called.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its tables.
    #[must_use]
    pub fn tables(&self) -> &Tables {
        match &self.what {
            What::Written { tables, .. } => tables,
            What::Running(running) => &running.tables,
        }
    }

    /// The entries that a protected address is of.
    #[must_use]
    pub fn entries(&self, address: IpAddr) -> Vec<String> {
        let What::Written { policy, .. } = &self.what else {
            return Vec::new();
        };
        let class = self.tables().class_at(address);
        let is_group = address.is_multicast()
            || address == IpAddr::V4(std::net::Ipv4Addr::BROADCAST)
            || class.local == sccm_common::address::LOCAL_SELF;
        let named = policy.protect.iter().filter(|entry| {
            let mut prefixes = entry.addresses.iter();
            prefixes.any(|prefix| prefix.contains(&address))
        });
        let named: Vec<String> = named.map(|entry| entry.name.clone()).collect();
        match named.is_empty() && !is_group {
            true => {
                let rest = policy.protect.iter();
                let rest = rest.filter(|entry| entry.addresses.is_empty());
                rest.map(|entry| entry.name.clone()).collect()
            }
            false => named,
        }
    }

    /// The roles that an address holds as a peer.
    #[must_use]
    pub fn roles(&self, address: IpAddr) -> Vec<String> {
        let What::Written { policy, .. } = &self.what else {
            return Vec::new();
        };
        let peers = policy.peers.iter().flatten();
        let holding = peers.filter(|(_, list)| list.iter().any(|one| one.contains(&address)));
        holding.map(|(role, _)| role.to_string()).collect()
    }

    /// What lets something be opened.
    ///
    /// # Errors
    /// The policy cannot be read.
    pub(super) fn because(
        &self,
        opener: Opener,
        protected: IpAddr,
        peer: IpAddr,
        protocol: &str,
        number: u16,
    ) -> Result<Vec<Ground>> {
        let kind = number as u8;
        let question = Question {
            opener,
            protected,
            peer,
            target: match protocol {
                "tcp" => Target::Tcp(number..=number),
                "udp" => Target::Udp(number..=number),
                "icmp" => Target::Icmp(kind),
                "icmpv6" => Target::Icmpv6(kind),
                _ => Target::Protocol(kind),
            },
        };
        match &self.what {
            What::Running(running) => Ok(running.explain(&question, false).because),
            What::Written {
                policy,
                machine,
                compiled,
                ..
            } => {
                let request = Request {
                    policy,
                    machine,
                    observe: false,
                };
                Ok(answer(&request, compiled, &question)?.because)
            }
        }
    }
}

/// The role, or the one that took its place.
fn renamed(catalog: &Catalog, role: &RoleId) -> Result<RoleId> {
    let mut retired = catalog.retired.iter();
    let successor = retired
        .find(|gone| gone.id == *role)
        .and_then(|gone| gone.replaced_by.clone());
    match (catalog.find(role.as_str()), successor) {
        (None, Some(successor)) => Ok(successor),
        _ => Ok(catalog.role(role.as_str())?.id.clone()),
    }
}
