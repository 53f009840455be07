//! Conversations, wherever they were seen.

use crate::blocked::{Change, question};
use crate::kernel::Clock;
use crate::policy::{Opener, Question, Target};
use crate::replay::conversations::Conversations;
use anyhow::{Context as _, Result};
use sccm_common::Reason;
use sccm_common::blocked::BlockedFlow;
use serde::Deserialize;
use std::net::IpAddr;
use std::time::Duration;

/// A conversation: all connections of one system to a port of another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    pub question: Question,
    /// The policy refuses it.
    pub refused: bool,
    /// Packets of who opened it, and of the other end.
    pub packets: [u64; 2],
    /// When the first was seen, and the last, since 1970.
    pub first: Duration,
    pub last: Duration,
}

impl Seen {
    /// Who opened it.
    #[must_use]
    pub const fn opener(&self) -> IpAddr {
        match self.question.opener {
            Opener::Peer => self.question.peer,
            Opener::Protected => self.question.protected,
        }
    }

    /// The other end.
    #[must_use]
    pub const fn server(&self) -> IpAddr {
        match self.question.opener {
            Opener::Peer => self.question.protected,
            Opener::Protected => self.question.peer,
        }
    }
}

/// Reasons that are a matter of rights: other packets are wrong in themselves.
const OF_RIGHTS: [Reason; 3] = [
    Reason::NotAllowed,
    Reason::OutboundNotAllowed,
    Reason::UnlistedHost,
];

/// From captures that were judged.
#[must_use]
pub fn of_capture(conversations: &Conversations) -> Vec<Seen> {
    let all = conversations.all().iter();
    all.map(|(key, talk)| {
        let (opener, protected, peer) = match talk.outward {
            false => (Opener::Peer, key.server, key.opener),
            true => (Opener::Protected, key.opener, key.server),
        };
        Seen {
            question: Question {
                opener,
                protected,
                peer,
                target: key.target(),
            },
            refused: talk.reasons.iter().any(|reason| OF_RIGHTS.contains(reason)),
            packets: talk.packets,
            first: talk.first.at,
            last: talk.last.at,
        }
    })
    .collect()
}

/// From what the kernel noted. Of the shadow's flows, those that a candidate would let pass need nothing.
#[must_use]
pub fn of_flows(flows: &[BlockedFlow], clock: Clock) -> Vec<Seen> {
    let refused = flows
        .iter()
        .filter(|flow| Change::of(&flow.key) == Change::WouldDrop);
    let seen = refused.filter_map(|flow| {
        Some(Seen {
            question: question(&flow.key)?,
            refused: true,
            packets: [flow.packets, 0],
            first: Duration::from_secs(clock.unix(flow.first)),
            last: Duration::from_secs(clock.unix(flow.last)),
        })
    });
    seen.collect()
}

/// What `blocked -o json` prints, as far as it is needed.
#[derive(Deserialize)]
struct Listing {
    flows: Vec<Flow>,
}

#[derive(Deserialize)]
struct Flow {
    source: String,
    destination: String,
    protocol: String,
    port: Option<u16>,
    icmp_type: Option<u8>,
    reason: String,
    direction: String,
    packets: u64,
    first_seen: u64,
    last_seen: u64,
    change: Option<Change>,
}

/// From what `blocked -o json` printed.
///
/// # Errors
/// It is something else.
pub fn of_blocked(json: &str) -> Result<Vec<Seen>> {
    let listing: Listing = serde_json::from_str(json)
        .context("this is not what `sccm-agent blocked -o json` prints")?;
    Ok(listing.flows.iter().filter_map(Flow::seen).collect())
}

impl Flow {
    fn seen(&self) -> Option<Seen> {
        let is_of_rights = OF_RIGHTS.iter().any(|reason| reason.label() == self.reason);
        if !is_of_rights || self.change == Some(Change::WouldPass) {
            return None;
        }
        // What is no IP has hardware addresses.
        let source: IpAddr = self.source.parse().ok()?;
        let destination: IpAddr = self.destination.parse().ok()?;
        let (opener, protected, peer) = match self.direction.as_str() {
            "outbound" => (Opener::Protected, source, destination),
            _ => (Opener::Peer, destination, source),
        };
        Some(Seen {
            question: Question {
                opener,
                protected,
                peer,
                target: self.target()?,
            },
            refused: true,
            packets: [self.packets, 0],
            first: Duration::from_secs(self.first_seen),
            last: Duration::from_secs(self.last_seen),
        })
    }

    fn target(&self) -> Option<Target> {
        const NAMED: [(&str, u8); 4] = [("igmp", 2), ("gre", 47), ("esp", 50), ("ah", 51)];
        Some(match self.protocol.as_str() {
            "tcp" => Target::Tcp(self.port?..=self.port?),
            "udp" => Target::Udp(self.port?..=self.port?),
            "icmp" => Target::Icmp(self.icmp_type?),
            "icmpv6" => Target::Icmpv6(self.icmp_type?),
            other => {
                let named = NAMED.iter().find(|(name, _)| *name == other);
                let number = named.map(|(_, number)| *number);
                Target::Protocol(number.or_else(|| other.parse().ok())?)
            }
        })
    }
}
