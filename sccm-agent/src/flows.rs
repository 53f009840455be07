//! What protected systems have opened, as a document: what `sccm-agent flows` prints, and what the
//! other gateway of a pair takes over.

use crate::blocked::protocol_name;
use crate::kernel::{Clock, FlowTable, KnownFlow, Merged, TableFlow};
use crate::policy::Tables;
use crate::units;
use anyhow::{Context as _, Result, bail, ensure};
use sccm_common::flow::Phase;
use sccm_common::packet::Protocol;
use serde::{Deserialize, Serialize};
use std::net::{IpAddr, SocketAddr};

/// How old a list may be that is taken over, in seconds, and how much two machines' clocks may differ.
const FRESH: u64 = 60;

/// Seconds by which a copy is older than its flow. The clocks that tell its age are read in whole seconds,
/// two on either machine; so a flow that goes to and fro between two gateways never gets younger.
const ROUNDED: u64 = 2;

/// How far a flow has come, and what people call it.
const PHASES: [(Phase, &str); 7] = [
    (Phase::Opening, "opening"),
    (Phase::Open, "open"),
    (Phase::Closing, "closing"),
    (Phase::PeerClosing, "peer-closing"),
    (Phase::PeerClosed, "peer-closed"),
    (Phase::LastAck, "last-ack"),
    (Phase::Closed, "closed"),
];

/// The flows of a gateway. As JSON, what `flows` prints and takes over.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Listing {
    /// When it was made, in seconds since 1970.
    pub made: u64,
    /// The flows that have not expired; those that were heard of last come first.
    pub flows: Vec<Flow>,
}

/// A flow that a protected system has opened. Answers come in by it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Flow {
    /// `tcp`, `udp` ...; the number of an IP protocol without a name here.
    pub protocol: String,
    /// The protected system.
    pub local: IpAddr,
    /// Its port; 0 where there is none.
    pub local_port: u16,
    /// The other end.
    pub peer: IpAddr,
    /// Its port; 0 where there is none; of a ping, the identifier.
    pub peer_port: u16,
    /// How far it has come: `opening` (a SYN was sent), `open`, `closing` (the protected system has sent
    /// its FIN), `peer-closing` (the other end claims to), `peer-closed` (and that is acknowledged),
    /// `last-ack` (the first two together) or `closed`. What has no handshake is `open`.
    pub phase: String,
    /// Seconds since one of its ends spoke.
    pub idle_seconds: u32,
    /// What the protected system acknowledged last (TCP); 0: not known.
    pub acknowledged: u32,
}

/// What became of flows that were taken over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Loaded {
    /// Flows that no protected system may open by the active policy, and pings: they are not written.
    pub refused: u64,
    /// The rest.
    #[serde(flatten)]
    pub merged: Merged,
}

impl Flow {
    fn new(one: &TableFlow) -> Self {
        let TableFlow { flow, .. } = one;
        Self {
            protocol: protocol_name(Protocol(flow.protocol)),
            local: flow.local.ip(),
            local_port: flow.local.port(),
            peer: flow.peer.ip(),
            peer_port: flow.peer.port(),
            phase: label(flow.phase).to_owned(),
            idle_seconds: one.idle,
            acknowledged: one.acknowledged,
        }
    }

    /// As a table has it, so many seconds after the list was made.
    fn after(&self, seconds: u64) -> Result<TableFlow> {
        ensure!(
            self.local.is_ipv4() == self.peer.is_ipv4(),
            "{} and {} are of two families",
            self.local,
            self.peer
        );
        let mut protocols = (0..=u8::MAX).map(Protocol);
        let protocol = protocols
            .find(|protocol| protocol_name(*protocol) == self.protocol)
            .with_context(|| format!("no IP protocol is called {}", self.protocol))?;
        let phase = PHASES.iter().find(|(_, label)| *label == self.phase);
        let (phase, _) = phase.with_context(|| format!("no phase is called {}", self.phase))?;
        let idle = u64::from(self.idle_seconds).saturating_add(seconds);
        Ok(TableFlow {
            flow: KnownFlow {
                protocol: protocol.0,
                local: SocketAddr::new(self.local, self.local_port),
                peer: SocketAddr::new(self.peer, self.peer_port),
                phase: *phase,
            },
            idle: u32::try_from(idle).unwrap_or(u32::MAX),
            acknowledged: self.acknowledged,
        })
    }
}

impl Listing {
    /// Reads a table.
    ///
    /// # Errors
    /// The kernel refuses a read, or the active policy is missing.
    pub fn read(table: &FlowTable) -> Result<Self> {
        Ok(Self {
            made: Clock::read()?.wall(),
            flows: table.list()?.iter().map(Flow::new).collect(),
        })
    }

    /// Writes to the table what the active policy lets protected systems open.
    ///
    /// # Errors
    /// The list is too old, or has a mistake: then nothing is written. The kernel refuses a read.
    pub fn load(&self, table: &FlowTable, active: &Tables) -> Result<Loaded> {
        let flows = self.flows_at(Clock::read()?.wall())?;
        let all = flows.len();
        let may_be_open = |one: &TableFlow| {
            let KnownFlow {
                protocol,
                local,
                peer,
                ..
            } = one.flow;
            let is_ping = matches!(Protocol(protocol), Protocol::ICMP | Protocol::ICMPV6);
            !is_ping && active.lets_open(protocol, local, peer)
        };
        let flows: Vec<TableFlow> = flows.into_iter().filter(may_be_open).collect();
        Ok(Loaded {
            refused: (all - flows.len()) as u64,
            merged: table.merge(&flows)?,
        })
    }

    /// The flows as old as they are at a time of the wall clock.
    fn flows_at(&self, now: u64) -> Result<Vec<TableFlow>> {
        if now.abs_diff(self.made) > FRESH {
            let (way, seconds) = match now.checked_sub(self.made) {
                Some(seconds) => ("ago", seconds),
                None => ("from now", self.made - now),
            };
            bail!(
                "by this machine's clock the list was made {} {way}; it must be less than {}: take \
                 a new one, and have both clocks set (NTP)",
                units::describe(seconds),
                units::describe(FRESH)
            );
        }
        let older = now.saturating_sub(self.made) + ROUNDED;
        let rows = self.flows.iter().enumerate();
        rows.map(|(number, row)| {
            row.after(older)
                .with_context(|| format!("flow {}", number + 1))
        })
        .collect()
    }
}

const fn label(phase: Phase) -> &'static str {
    PHASES[phase as usize].1
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flow() -> Flow {
        Flow {
            protocol: "tcp".to_owned(),
            local: "198.51.100.20".parse().unwrap(),
            local_port: 40000,
            peer: "192.0.2.10".parse().unwrap(),
            peer_port: 443,
            phase: "peer-closed".to_owned(),
            idle_seconds: 7,
            acknowledged: 99,
        }
    }

    fn listing(flow: Flow) -> Listing {
        let flows = vec![flow];
        Listing { made: 1000, flows }
    }

    #[test]
    fn a_flow_is_read_as_it_was_written_and_never_younger() {
        for (phase, _) in PHASES {
            for protocol in [Protocol::TCP, Protocol::UDP, Protocol::GRE, Protocol(132)] {
                let phase = label(phase).to_owned();
                let protocol = protocol_name(protocol);
                let written = Flow {
                    phase,
                    protocol,
                    ..flow()
                };
                // To and fro at once, with clocks that differ by the most that is allowed.
                for here in [940, 1000, 1001, 1060] {
                    let [read] = listing(written.clone()).flows_at(here).unwrap()[..] else {
                        panic!("one flow")
                    };
                    let elapsed = here.saturating_sub(1000) as u32;
                    assert_eq!(read.idle, written.idle_seconds + elapsed + 2);
                    let idle_seconds = written.idle_seconds;
                    let again = Flow {
                        idle_seconds,
                        ..Flow::new(&read)
                    };
                    assert_eq!(again, written);
                }
            }
        }
    }

    #[test]
    fn labels_are_in_the_order_of_the_phases() {
        for (phase, text) in PHASES {
            assert_eq!(label(phase), text);
        }
    }

    #[test]
    fn an_old_list_or_one_from_the_future_is_refused() {
        for (now, said) in [
            (1061, "made 1m 1s ago"),
            (1_000_000, "ago"),
            (939, "made 1m 1s from now"),
            (0, "from now"),
        ] {
            let error = listing(flow()).flows_at(now).unwrap_err().to_string();
            assert!(error.contains(said) && error.contains("NTP"), "{error}");
        }
        for now in [940, 1000, 1060] {
            assert_eq!(listing(flow()).flows_at(now).unwrap().len(), 1);
        }
    }

    #[test]
    fn mistakes_are_named_with_the_flow() {
        let six = "2001:db8::1".parse().unwrap();
        for (wrong, said) in [
            (
                Flow {
                    peer: six,
                    ..flow()
                },
                "of two families",
            ),
            (
                Flow {
                    protocol: "carrier pigeon".to_owned(),
                    ..flow()
                },
                "no IP protocol is called carrier pigeon",
            ),
            (
                Flow {
                    phase: "waning".to_owned(),
                    ..flow()
                },
                "no phase is called waning",
            ),
        ] {
            let mut listing = listing(flow());
            listing.flows.push(wrong);
            let error = format!("{:#}", listing.flows_at(1000).unwrap_err());
            assert!(
                error.starts_with("flow 2: ") && error.contains(said),
                "{error}"
            );
        }
    }
}
