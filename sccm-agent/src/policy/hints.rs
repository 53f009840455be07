//! What to write into a policy file so that something passes that does not.
//!
//! Each hint is a change of the policy. It is made, and asked the same question; what would not
//! help is not given.

use super::explain::{Opener, Question, passes};
use super::rights::Way;
use super::scopes::{self, Local};
use super::{DHCP_RELAY, Outbound, PXE_CLIENT, Request, Rule, SitePolicy, Target};
use crate::catalog::RoleId;
use ipnet::IpNet;
use serde::Serialize;
use std::collections::BTreeSet;
use std::net::IpAddr;

/// The most hints that are given of one thing.
const MOST: usize = 5;

/// What to write where.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Hint {
    /// The table of the policy file: `[peers]`, `[[management.allow]]`, `[[protect]] boot`.
    pub table: String,
    /// What to write there: lines of TOML. A list is to be added to one that is there.
    pub lines: String,
    /// The flag that says the same, where the policy is made of flags.
    pub flag: Option<String>,
}

impl Hint {
    /// In one line: `[peers] dhcp-relay = ["172.16.0.5"]`.
    #[must_use]
    pub fn brief(&self) -> String {
        format!("{} {}", self.table, self.lines.replace('\n', ", "))
    }
}

/// Hints for a question whose answer is no. `roles` are those that the peer lacks, by the
/// document.
pub(super) fn of(
    request: &Request<'_>,
    question: &Question,
    roles: &BTreeSet<RoleId>,
) -> Vec<Hint> {
    let policy = request.policy;
    let scopes = scopes::of(policy, request.machine);
    let local = scopes.local_at(question.protected);
    let mut hints = Vec::new();
    let mut give = |changed: &SitePolicy, hint: Hint| {
        let changed = Request {
            policy: changed,
            ..request.clone()
        };
        if hints.len() < MOST && passes(&changed, question).unwrap_or(false) {
            hints.push(hint);
        }
    };
    if matches!(local, Local::Own) {
        let (changed, hint) = ruled(policy, question, true);
        give(&changed, hint);
        return hints;
    }
    // An address that no entry lists: each entry could.
    for (index, entry) in policy.protect.iter().enumerate() {
        let is_unlisted = matches!(&local, Local::Systems { entries, .. } if entries.is_empty());
        if is_unlisted && !entry.elsewhere {
            let mut changed = policy.clone();
            changed.protect[index]
                .addresses
                .push(IpNet::from(question.protected));
            let hint = Hint {
                table: format!("[[protect]] {}", entry.name),
                lines: format!("addresses = [\"{}\"]", question.protected),
                flag: None,
            };
            give(&changed, hint);
        }
    }
    for role in roles {
        if let Some((changed, hint)) = held(policy, role, question.peer) {
            give(&changed, hint);
        }
    }
    match question.opener {
        Opener::Peer => {
            let (changed, hint) = ruled(policy, question, false);
            give(&changed, hint);
        }
        Opener::Protected => {
            let mut changed = policy.clone();
            changed.outbound = Outbound::Track;
            let hint = Hint {
                table: "[site]".to_owned(),
                lines: "outbound = \"track\"".to_owned(),
                flag: Some("--outbound track".to_owned()),
            };
            give(&changed, hint);
        }
    }
    hints
}

/// What lets something reach the gateway itself.
#[must_use]
pub fn management_hint(question: &Question) -> Hint {
    ruled(&SitePolicy::default(), question, true).1
}

/// The policy in which the peer holds the role, if it can.
fn held(policy: &SitePolicy, role: &RoleId, peer: IpAddr) -> Option<(SitePolicy, Hint)> {
    let is_known = [PXE_CLIENT, DHCP_RELAY].contains(&role.as_str())
        || policy.site.catalog.role(role.as_str()).is_ok();
    // The Internet cannot be listed, and who has no address neither.
    let can_be = is_known && role.as_str() != super::INTERNET && !peer.is_unspecified();
    let mut changed = policy.clone();
    let holders = changed.peers.as_mut().filter(|_| can_be)?;
    holders
        .entry(role.clone())
        .or_default()
        .push(IpNet::from(peer));
    let hint = Hint {
        table: "[peers]".to_owned(),
        lines: format!("{role} = [\"{peer}\"]"),
        flag: None,
    };
    Some((changed, hint))
}

/// The policy with a rule, of the gateway itself or of the protected systems.
fn ruled(policy: &SitePolicy, question: &Question, of_gateway: bool) -> (SitePolicy, Hint) {
    let Question { target, peer, .. } = question;
    let from: Vec<IpNet> = match peer.is_unspecified() {
        true => Vec::new(),
        false => vec![IpNet::from(*peer)],
    };
    let rule = Rule {
        name: String::new(),
        targets: vec![target.clone()],
        from,
        to: Vec::new(),
        reason: String::new(),
    };
    let (table, flag) = match of_gateway {
        true => ("[[management.allow]]", "--manage"),
        false => ("[[allow]]", "--allow"),
    };
    let at = match peer.is_unspecified() {
        true => String::new(),
        false => format!("@{peer}"),
    };
    let hint = Hint {
        table: table.to_owned(),
        lines: lines(target, *peer),
        flag: Some(format!("{flag} {target}{at}")),
    };
    let mut changed = policy.clone();
    match of_gateway {
        true => changed.management.push(rule),
        false => changed.allow.push(rule),
    }
    (changed, hint)
}

fn lines(target: &Target, peer: IpAddr) -> String {
    let text = target.to_string();
    let (protocol, numbers) = text.split_once('/').unwrap_or((&text, ""));
    let ports = match target {
        Target::Tcp(ports) | Target::Udp(ports) if ports.start() != ports.end() => {
            format!("ports = [\"{numbers}\"]")
        }
        _ => format!("ports = [{numbers}]"),
    };
    let from = match peer.is_unspecified() {
        true => "from = \"any\"".to_owned(),
        false => format!("from = [\"{peer}\"]"),
    };
    let name = text.replace('/', "-");
    format!(
        "name = \"{name}\"\nprotocol = \"{protocol}\"\n{ports}\n{from}\nreason = \"why this site needs it\""
    )
}

/// Which way a question goes.
pub(super) fn way(question: &Question) -> Way {
    match question.opener {
        Opener::Peer => Way::Inbound,
        Opener::Protected => Way::Outbound,
    }
}
