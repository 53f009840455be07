//! What would change if a policy took the place of the running one.
//!
//! The kernel knows classes, not names: so both policies are asked about every
//! stretch of addresses and every port that either of them tells apart, and what
//! they answer differently is put into the words of the candidate's file. Links
//! behind what is lost are those of the running roles.

mod joint;
mod words;

use super::rows::View;
use crate::policy::{self, Request, ServiceNames, SitePolicy, Surroundings, Tables};
use crate::policy::{hash_text, roles_text};
use anyhow::Result;
pub use joint::settings;
use joint::{Answer, Joint};
use sccm_common::abi::PolicyInfo;
use sccm_common::policy::flag;
use serde::Serialize;
use std::net::Ipv4Addr;
use words::{GROUPS, Words};

/// The running policy, as the kernel has it.
pub struct Live {
    /// What is said about it.
    pub info: PolicyInfo,
    /// What it is.
    pub tables: Tables,
    /// What its services are called.
    pub names: ServiceNames,
    /// Broadcast addresses of this machine's interfaces, sorted.
    pub broadcasts: Vec<Ipv4Addr>,
}

/// The difference, as `check --against-live -o json` prints it.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Difference {
    /// The generation of the running policy.
    pub generation: u64,
    /// Its hash.
    pub hash: String,
    /// Settings that differ, as `outbound: track, then enforce`.
    pub settings: Vec<String>,
    /// Services that differ.
    pub changes: Vec<Change>,
}

/// A service that would be open and is not, or the other way round.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Change {
    /// `opens` or `closes`.
    pub change: &'static str,
    /// Whether the candidate opens it only as the endpoint mapper hands it out.
    pub if_handed_out: bool,
    /// `inbound`, towards the protected systems, or `outbound`.
    pub direction: &'static str,
    /// The protected systems, by their names in the candidate.
    pub systems: String,
    /// The other end, by its roles in the candidate.
    pub peers: String,
    /// An address of the other end for which it is so.
    pub example: String,
    /// The service, by the name that counters have.
    pub service: String,
    /// `tcp`, `udp`, `icmp`, `icmpv6` or `ip`.
    pub protocol: &'static str,
    /// Ports, types, or numbers of protocols.
    pub ports: String,
    /// The links that open it, or, for what closes, that opened it; rules by
    /// their names.
    pub links: Vec<String>,
}

impl Difference {
    /// Compares a policy with the running one, on the same machine.
    pub fn new(policy: &SitePolicy, live: &Live) -> Result<Self> {
        let machine = match live.tables.own_addresses().as_slice() {
            [] => Surroundings::default(),
            own => Surroundings::gateway(own),
        };
        let machine = Surroundings {
            broadcasts: live.broadcasts.clone(),
            is_bridge: live.tables.policy.has(flag::BRIDGE),
            ..machine
        };
        let request = Request {
            policy,
            machine: &machine,
            observe: false,
        };
        let compiled = policy::compile(&request, live.names.clone())?;
        let candidate = Tables::from(&compiled);
        let view = View::new(policy)?;
        let roles = roles_text(&live.info);
        let words = Words::new(&view, &compiled.services, &roles);
        let joint = Joint::new(&candidate, &live.tables);
        let mut changes: Vec<Change> = Vec::new();
        joint.differences(|answer: Answer<'_>| {
            let change = words.change(&answer);
            let same = |known: &Change| {
                let known = Change {
                    example: change.example.clone(),
                    ..known.clone()
                };
                known == change
            };
            if !changes.iter().any(same) {
                changes.push(change);
            }
        });
        // Groups belong to no system, but are told of only where no system changes alike.
        let of_systems: Vec<Change> = changes
            .iter()
            .filter(|it| it.systems != GROUPS)
            .cloned()
            .collect();
        let implied = |change: &Change| {
            let alike = |other: &Change| {
                let systems = change.systems.clone();
                let example = change.example.clone();
                *change
                    == Change {
                        systems,
                        example,
                        ..other.clone()
                    }
            };
            change.systems == GROUPS && of_systems.iter().any(alike)
        };
        changes.retain(|change| !implied(change));
        changes.sort();
        Ok(Self {
            generation: live.info.generation,
            hash: hash_text(&live.info.hash),
            settings: settings(&candidate.policy, &live.tables.policy),
            changes,
        })
    }
}
