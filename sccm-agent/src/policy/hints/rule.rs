//! Rules that let something pass, for the policy file.

use super::Hint;
use crate::policy::{Opener, Question, Rule, SitePolicy, Target, address_of};
use ipnet::IpNet;
use std::collections::BTreeSet;

/// The table of rules for what the protected systems open.
pub(crate) const OUTBOUND: &str = "[[outbound.allow]]";

/// A rule that lets pass what is asked about, and nothing else.
pub(in crate::policy) fn rule_for(
    policy: &SitePolicy,
    question: &Question,
    of_gateway: bool,
) -> Hint {
    let Question {
        protected,
        peer,
        target,
        opener,
    } = question;
    // A rule for whoever has no address yet is for everybody.
    let peers = (!peer.is_unspecified()).then(|| IpNet::from(*peer));
    // Where no addresses are listed, naming one would cost a look-up for each packet.
    let mut listed = policy.protect.iter().flat_map(|entry| &entry.addresses);
    let (family, address) = address_of(*protected);
    let is_listed = listed.any(|prefix| prefix.contains(protected)) || address.is_group(family);
    let systems = (is_listed && !of_gateway).then(|| IpNet::from(*protected));
    let (table, flag, preposition) = match (of_gateway, opener) {
        (true, _) => ("[[management.allow]]", "--manage", "from"),
        (false, Opener::Peer) => ("[[allow]]", "--allow", "from"),
        (false, Opener::Protected) => (OUTBOUND, "--allow-out", "to"),
    };
    let (from, to) = match table == OUTBOUND {
        true => (systems, peers),
        false => (peers, systems),
    };
    let rule = Rule {
        name: unused(policy, &target.to_string().replace('/', "-")),
        targets: vec![target.clone()],
        from: from.into_iter().collect(),
        to: to.into_iter().collect(),
        tracked: false,
        internet: false,
        reason: "why this site needs it".to_owned(),
    };
    let at = peers.map_or_else(String::new, |_| format!("@{peer}"));
    let with = peers.map_or_else(|| "anybody".to_owned(), |_| peer.to_string());
    Hint {
        table: table.to_owned(),
        lines: rule.toml(table == OUTBOUND),
        brief: format!("{table} {target} {preposition} {with}"),
        flag: Some(format!("{flag} {target}{at}")),
        rule: Some(rule),
    }
}

/// A name that nothing in the policy has.
pub(crate) fn unused(policy: &SitePolicy, wanted: &str) -> String {
    let rules = policy.rules().map(|rule| &rule.name);
    let published = policy.publish.iter().map(|one| &one.name);
    let taken: BTreeSet<&String> = rules.chain(published).collect();
    let numbered = (2..).map(|number| format!("{wanted}-{number}"));
    let mut names = std::iter::once(wanted.to_owned()).chain(numbered);
    names.find(|name| !taken.contains(name)).unwrap_or_default()
}

/// What lets something pass where the policy is not known.
pub(in crate::policy) fn rule_hint(question: &Question, of_gateway: bool) -> Hint {
    rule_for(&SitePolicy::default(), question, of_gateway)
}

impl Rule {
    /// As the policy file has it, without its table's header. The end of the peers is always
    /// written.
    #[must_use]
    pub fn toml(&self, is_outbound: bool) -> String {
        let prefixes = |list: &[IpNet]| {
            let list =
                list.iter().map(
                    |prefix| match prefix.prefix_len() == prefix.max_prefix_len() {
                        true => format!("\"{}\"", prefix.addr()),
                        false => format!("\"{prefix}\""),
                    },
                );
            format!("[{}]", list.collect::<Vec<_>>().join(", "))
        };
        // All targets of a rule are of one protocol.
        let protocol = self.targets.first().map_or("ip", Target::protocol);
        let ports = self.targets.iter().map(|target| {
            let text = target.to_string();
            let numbers = text.rsplit('/').next().unwrap_or_default();
            match numbers.contains('-') {
                true => format!("\"{numbers}\""),
                false => numbers.to_owned(),
            }
        });
        let mut lines = vec![
            format!("name = \"{}\"", self.name),
            format!("protocol = \"{protocol}\""),
            format!("ports = [{}]", ports.collect::<Vec<_>>().join(", ")),
        ];
        for (key, list, is_peers) in [
            ("from", &self.from, !is_outbound),
            ("to", &self.to, is_outbound),
        ] {
            match list.as_slice() {
                [] if is_peers => lines.push(format!("{key} = \"any\"")),
                [] => {}
                list => lines.push(format!("{key} = {}", prefixes(list))),
            }
        }
        lines.push(format!("reason = \"{}\"", self.reason));
        lines.join("\n")
    }
}
