//! The policy's file, with the origin of each line.

use super::policy::{Imported, Line};
use crate::policy::Outbound;
use crate::visible::one_line;
use ipnet::IpNet;
use std::collections::BTreeMap;
use std::fmt::Write as _;

impl Imported {
    /// The policy's file.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = String::from(
            "# Made by `sccm-agent import`. `sccm-agent check` says what it means; docs/go-live.md is the\n\
             # way to enforcing it. What changes at the site: `sccm-agent import ... --diff FILE`.\n\n\
             [site]\nedition = \"current-branch\"\n",
        );
        let outbound = match self.outbound {
            Outbound::Enforce => "enforce",
            Outbound::Track => "track",
            Outbound::Off => "off",
        };
        let _ = writeln!(
            text,
            "# track: what the protected systems open passes. enforce: only what links and rules say.\n\
             outbound = \"{outbound}\""
        );
        if !self.sets.is_empty() {
            let sets: Vec<String> = self.sets.iter().map(|set| format!("{set:?}")).collect();
            let _ = writeln!(text, "sets = [{}]", sets.join(", "));
        }
        text.push_str("\n# Who holds which role, outside the protected segment.\n[peers]\n");
        for (role, lines) in &self.peers {
            let _ = writeln!(text, "{role} = [");
            for (net, origin) in unique(lines) {
                let _ = writeln!(text, "  \"{}\",  # {}", short(&net), one_line(&origin));
            }
            text.push_str("]\n");
        }
        if !self.nobody.is_empty() {
            text.push_str(
                "# Nobody in the inventory has these, so nobody gets in or is reached as one. List those \
                 of your site.\n",
            );
        }
        for role in &self.nobody {
            let _ = writeln!(text, "{role} = []");
        }
        text.push_str("\n# What is behind this machine.\n");
        for (entry, origin) in &self.protect {
            let roles = entry.roles.iter().map(|role| format!("\"{role}\""));
            let _ = write!(
                text,
                "[[protect]]  # {}\nname = \"{}\"\nroles = [{}]\naddresses = [{}]\n\n",
                one_line(origin),
                entry.name,
                roles.collect::<Vec<_>>().join(", "),
                list(&entry.addresses),
            );
        }
        text.push_str(
            "# What `blocked`, `watch`, `explain` and the page call these addresses.\n[names]\n",
        );
        for (name, addresses) in &self.names {
            let _ = writeln!(text, "{name:?} = [{}]", list(addresses));
        }
        text.push('\n');
        if !self.left_out.is_empty() {
            text.push_str("# Not in this policy:\n");
        }
        for line in &self.left_out {
            let _ = writeln!(text, "# - {}", one_line(line));
        }
        text
    }
}

/// Each address once, with all that is said of it.
pub(super) fn unique(lines: &[Line]) -> BTreeMap<IpNet, String> {
    let mut unique: BTreeMap<IpNet, String> = BTreeMap::new();
    for (net, origin) in lines {
        let all = unique.entry(*net).or_default();
        if !all.is_empty() {
            all.push_str("; ");
        }
        all.push_str(origin);
    }
    unique
}

/// As a list of a policy file has them.
fn list(addresses: &[IpNet]) -> String {
    let quoted = addresses.iter().map(|net| format!("\"{}\"", short(net)));
    quoted.collect::<Vec<_>>().join(", ")
}

/// An address without its length.
pub(super) fn short(net: &IpNet) -> String {
    match net.prefix_len() == net.max_prefix_len() {
        true => net.addr().to_string(),
        false => net.to_string(),
    }
}
