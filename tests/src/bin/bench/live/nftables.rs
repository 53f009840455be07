//! Debian's nftables: what is not accepted is counted and dropped.

use std::fmt::Write as _;
use std::io::Write as _;

use anyhow::{Context as _, Result};
use tempfile::NamedTempFile;

use super::Line;
use super::filter::{Installed, TCP, UDP, client};
use crate::child::run;

/// Where its chain hangs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hook {
    /// At the card.
    Ingress,
    /// Before connection tracking.
    Raw,
}

impl Hook {
    const fn family(self) -> &'static str {
        match self {
            Self::Ingress => "netdev",
            Self::Raw => "inet",
        }
    }

    const fn place(self) -> &'static str {
        match self {
            Self::Ingress => "hook ingress device eth0 priority 0",
            Self::Raw => "hook prerouting priority raw",
        }
    }
}

/// Its rules are there, until their namespace goes.
pub struct AtWork<'l> {
    line: &'l Line,
    hook: Hook,
}

impl<'l> AtWork<'l> {
    /// Loads the rules, with a set that they name.
    pub fn new(line: &'l Line, hook: Hook, set: &str, rules: &str) -> Result<Self> {
        let (family, place) = (hook.family(), hook.place());
        let mut file = NamedTempFile::new()?;
        write!(
            file,
            "table {family} peer {{\n\
             counter refused {{ }}\n\
             set tcp_ports {{ type inet_service; flags interval; elements = {{ {TCP} }} }}\n\
             set udp_ports {{ type inet_service; flags interval; elements = {{ {UDP} }} }}\n\
             {set}\n\
             chain judged {{\n type filter {place};\n\
             meta protocol arp accept\n\
             {rules}\n\
             counter name refused drop\n }}\n}}\n"
        )?;
        let mut load = line.receiver.command("nft");
        run(load.arg("--file").arg(file.path()))?;
        Ok(Self { line, hook })
    }
}

impl Installed for AtWork<'_> {
    fn dropped(&self) -> Result<Option<u64>> {
        let mut list = self.line.receiver.command("nft");
        let text = run(list.args(["list", "counter", self.hook.family(), "peer", "refused"]))?;
        let mut words = text.split_whitespace();
        words.find(|word| *word == "packets");
        let packets = words.next().and_then(|number| number.parse().ok());
        packets
            .map(Some)
            .with_context(|| format!("no count in {text}"))
    }
}

/// The role's ports.
pub fn ports() -> String {
    "tcp dport @tcp_ports accept\nudp dport @udp_ports accept".to_owned()
}

/// A set of so many clients, and the role's ports for them.
pub fn clients(count: u32) -> (String, String) {
    let clients: Vec<String> = (0..count).map(client).collect();
    let set = format!(
        "set clients {{ type ipv4_addr; flags interval; elements = {{ {} }} }}",
        clients.join(", ")
    );
    let rules = "tcp dport @tcp_ports ip saddr @clients accept\n\
                 udp dport @udp_ports ip saddr @clients accept";
    (set, rules.to_owned())
}

/// A rule for each of so many ports.
pub fn one_by_one(count: u32) -> String {
    let mut rules = String::new();
    for port in 10_000..10_000 + count {
        // Writing into a string never fails.
        let _ = writeln!(rules, "tcp dport {port} accept");
    }
    rules
}
