//! A flow, as a row of the list.

use crate::blocked::protocol_name;
use crate::kernel::{KnownFlow, TableFlow};
use anyhow::{Context as _, Result, ensure};
use sccm_common::flow::Phase;
use sccm_common::packet::Protocol;
use serde::{Deserialize, Serialize};
use std::net::{IpAddr, SocketAddr};

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

impl Flow {
    pub(super) fn new(one: &TableFlow) -> Self {
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
    pub(super) fn after(&self, seconds: u64) -> Result<TableFlow> {
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

const fn label(phase: Phase) -> &'static str {
    PHASES[phase as usize].1
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(in crate::flows) fn flow() -> Flow {
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

    #[test]
    fn a_flow_is_read_as_it_was_written() {
        for (phase, _) in PHASES {
            for protocol in [Protocol::TCP, Protocol::UDP, Protocol::GRE, Protocol(132)] {
                let written = Flow {
                    phase: label(phase).to_owned(),
                    protocol: protocol_name(protocol),
                    ..flow()
                };
                assert_eq!(Flow::new(&written.after(0).unwrap()), written);
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
    fn mistakes_are_named() {
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
            let error = wrong.after(0).unwrap_err().to_string();
            assert!(error.contains(said), "{error}");
        }
    }
}
