//! Blocked flows, with names: who was refused what, and what would let it pass.
//!
//! The kernel keeps numbers and its own clock. Here they become addresses, services,
//! interfaces and times, for `sccm-agent blocked`, the metrics and the [`log`]. The maps do not say
//! which site's policy they were made from. Where that is known, what would let a flow pass is what
//! changes the policy's answer; elsewhere, the links of the catalog.

mod explainer;
pub mod log;
mod names;
mod party;

pub use explainer::Explainer;
pub use names::{Names, protocol_name};
pub use party::Party;

use crate::kernel::Clock;
use crate::policy::{Advice, Opener, Question, Target};
use sccm_common::Reason;
use sccm_common::blocked::{BlockedFlow, BlockedKey, mark};
use sccm_common::packet::Protocol;
use serde::{Deserialize, Serialize};

/// Who was refused what.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Refused {
    /// Who sent.
    #[cfg_attr(test, schemars(with = "String"))]
    pub source: Party,
    /// To whom.
    #[cfg_attr(test, schemars(with = "String"))]
    pub destination: Party,
    /// What the policy calls the source, if it has a name for it and is known.
    pub source_name: Option<String>,
    /// What it calls the destination.
    pub destination_name: Option<String>,
    /// `tcp`, `udp` ...; the number of an IP protocol without a name here; `ethernet`, `snap` or
    /// `llc` where no IP packet was found.
    pub protocol: String,
    /// Destination port, for protocols that have ports.
    pub port: Option<u16>,
    /// Type of an ICMP or ICMPv6 message.
    pub icmp_type: Option<u16>,
    /// The ethertype of a frame that is `ethernet`, such as `0x88b5`.
    pub ethertype: Option<String>,
    /// Organization and protocol of a frame that is `snap`, such as `00000c-010b`.
    pub snap: Option<String>,
    /// The service access points of a frame that is `llc`, such as `f0-f0`.
    pub llc: Option<String>,
    /// The service that it wanted; `none` where none is known.
    pub service: String,
    /// Label of the reason, as `docs/reasons.md` has it.
    pub reason: &'static str,
    /// Where it was seen.
    pub interface: String,
    /// `inbound` or `outbound`, seen from the protected system.
    pub direction: &'static str,
    /// Observe mode: it was let pass.
    pub observed: bool,
}

impl Refused {
    /// What it wanted, in a word or two: `tcp/445 smb`, `icmp/8`, `ethernet/0x88b5`.
    #[must_use]
    pub fn what(&self) -> String {
        let number = match self.number() {
            number if number.is_empty() => number,
            number => format!("/{number}"),
        };
        let service = match self.service.as_str() {
            "none" => String::new(),
            service => format!(" {service}"),
        };
        format!("{}{number}{service}", self.protocol)
    }

    /// Source and destination, each with its name: `10.1.0.10 (dc1)`.
    #[must_use]
    pub fn ends(&self, before_name: &str) -> [String; 2] {
        let end = |party: &Party, name: &Option<String>| match name {
            Some(name) => format!("{party}{before_name}({name})"),
            None => party.to_string(),
        };
        [
            end(&self.source, &self.source_name),
            end(&self.destination, &self.destination_name),
        ]
    }

    /// What stands behind the protocol: a port, a type, or an id; empty if there is none.
    #[must_use]
    pub fn number(&self) -> String {
        let number = self
            .port
            .or(self.icmp_type)
            .map(|number| number.to_string());
        let kinds = [&number, &self.ethertype, &self.snap, &self.llc];
        kinds
            .into_iter()
            .flatten()
            .next()
            .cloned()
            .unwrap_or_default()
    }
}

/// How a candidate would change what becomes of a flow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Change {
    /// It passes; the candidate would drop it, for the reason of the flow.
    WouldDrop,
    /// It is dropped for the reason of the flow; the candidate would let it pass.
    WouldPass,
}

impl Change {
    /// What the shadow noted of a flow.
    #[must_use]
    pub const fn of(key: &BlockedKey) -> Self {
        match key.marks & mark::WOULD_PASS {
            0 => Self::WouldDrop,
            _ => Self::WouldPass,
        }
    }
}

/// A blocked flow, or one that the shadow judges otherwise.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Flow {
    /// Who was refused what.
    #[serde(flatten)]
    pub refused: Refused,
    /// Why, in a sentence.
    pub why: &'static str,
    /// Packets.
    pub packets: u64,
    /// Bytes of them.
    pub bytes: u64,
    /// When the first came, in seconds since 1970.
    pub first_seen: u64,
    /// When the last came.
    pub last_seen: u64,
    /// Attack techniques that have such a flow, by their ids (`sccm-agent coverage`); empty where the
    /// policy is not known.
    pub techniques: Vec<&'static str>,
    /// What would let it pass.
    #[serde(flatten)]
    pub advice: Advice,
    /// What the candidate would change; null without `--shadow`.
    pub change: Option<Change>,
}

impl Flow {
    /// A blocked flow, before anybody says what would let it pass.
    pub fn new(flow: &BlockedFlow, names: &Names, clock: Clock) -> Self {
        Self {
            refused: names.of(&flow.key),
            why: why(flow),
            packets: flow.packets,
            bytes: flow.bytes,
            first_seen: clock.unix(flow.first),
            last_seen: clock.unix(flow.last),
            techniques: Vec::new(),
            advice: Advice::default(),
            change: None,
        }
    }

    /// The same of a flow that the shadow noted.
    pub fn changed(flow: &BlockedFlow, names: &Names, clock: Clock) -> Self {
        Self {
            change: Some(Change::of(&flow.key)),
            ..Self::new(flow, names, clock)
        }
    }
}

/// Why a flow was refused, in a sentence.
#[must_use]
pub fn why(flow: &BlockedFlow) -> &'static str {
    match names::reason(&flow.key) {
        Some(reason) => reason.explanation(),
        None => "A reason that this sccm-agent does not know.",
    }
}

/// What a flow wanted to open, if a policy has a word in that: not where the packet itself was
/// wrong.
#[must_use]
pub fn question(key: &BlockedKey) -> Option<Question> {
    let policy = [
        Reason::NotAllowed,
        Reason::OutboundNotAllowed,
        Reason::UnlistedHost,
    ];
    let is_ip = key.marks & mark::LINK == 0;
    if !is_ip || !policy.iter().any(|reason| *reason as u8 == key.reason) {
        return None;
    }
    let target = match Protocol(key.protocol) {
        Protocol::TCP => Target::Tcp(key.port..=key.port),
        Protocol::UDP => Target::Udp(key.port..=key.port),
        Protocol::ICMP => Target::Icmp(key.port as u8),
        Protocol::ICMPV6 => Target::Icmpv6(key.port as u8),
        Protocol(number) => Target::Protocol(number),
    };
    let (source, destination) = names::ends(key);
    let (opener, protected, peer) = match key.marks & mark::OUTBOUND == 0 {
        true => (Opener::Peer, destination, source),
        false => (Opener::Protected, source, destination),
    };
    Some(Question {
        opener,
        protected,
        peer,
        target,
    })
}

#[cfg(test)]
mod tests;
