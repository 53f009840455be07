//! Rules that let something in, for the policy file.

use super::Hint;
use crate::policy::{Question, Rule, SitePolicy, Target, address_of};
use ipnet::IpNet;
use std::collections::BTreeSet;

/// A rule that lets in what is asked about, and nothing else.
pub(in crate::policy) fn rule_for(
    policy: &SitePolicy,
    question: &Question,
    of_gateway: bool,
) -> Hint {
    let Question {
        protected,
        peer,
        target,
        ..
    } = question;
    // A rule for whoever has no address yet is for everybody.
    let from = (!peer.is_unspecified()).then(|| IpNet::from(*peer));
    // Where no addresses are listed, naming one would cost a look-up for each packet.
    let mut listed = policy.protect.iter().flat_map(|entry| &entry.addresses);
    let (family, address) = address_of(*protected);
    let is_listed = listed.any(|prefix| prefix.contains(protected)) || address.is_group(family);
    let to = (is_listed && !of_gateway).then(|| IpNet::from(*protected));
    let rule = Rule {
        name: unused(policy, &target.to_string().replace('/', "-")),
        targets: vec![target.clone()],
        from: from.into_iter().collect(),
        to: to.into_iter().collect(),
        reason: "why this site needs it".to_owned(),
    };
    let (table, flag) = match of_gateway {
        true => ("[[management.allow]]", "--manage"),
        false => ("[[allow]]", "--allow"),
    };
    let at = from.map_or_else(String::new, |_| format!("@{peer}"));
    let by = from.map_or_else(|| "anybody".to_owned(), |_| peer.to_string());
    Hint {
        table: table.to_owned(),
        lines: rule.toml(),
        brief: format!("{table} {target} from {by}"),
        flag: Some(format!("{flag} {target}{at}")),
        rule: Some(rule),
    }
}

/// A name that nothing in the policy has.
pub(crate) fn unused(policy: &SitePolicy, wanted: &str) -> String {
    let rules = policy.allow.iter().chain(&policy.management);
    let rules = rules.map(|rule| &rule.name);
    let published = policy.publish.iter().map(|one| &one.name);
    let taken: BTreeSet<&String> = rules.chain(published).collect();
    let numbered = (2..).map(|number| format!("{wanted}-{number}"));
    let mut names = std::iter::once(wanted.to_owned()).chain(numbered);
    names.find(|name| !taken.contains(name)).unwrap_or_default()
}

/// What lets something in where the policy is not known.
pub(in crate::policy) fn rule_hint(question: &Question, of_gateway: bool) -> Hint {
    rule_for(&SitePolicy::default(), question, of_gateway)
}

impl Rule {
    /// As the policy file has it, without its table's header.
    #[must_use]
    pub fn toml(&self) -> String {
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
            match self.from.as_slice() {
                [] => "from = \"any\"".to_owned(),
                from => format!("from = {}", prefixes(from)),
            },
        ];
        if !self.to.is_empty() {
            lines.push(format!("to = {}", prefixes(&self.to)));
        }
        lines.push(format!("reason = \"{}\"", self.reason));
        lines.join("\n")
    }
}
