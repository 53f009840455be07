//! Through the box: a client and a server with a router between them, and what the router's filter
//! leaves of their throughput and latency.
//!
//! Each filter has a stage of its own, and they take turns. On a cable of this kind, a card with any
//! XDP program takes no segments larger than the cable's packets (`veth_set_features`), which costs
//! TCP far more than any program does; a real card loses nothing by it. So the empty program is
//! among the filters, and the agent is measured at each of its hooks.

mod ping;
mod setup;

use anyhow::{Context as _, Result};
use sccm_agent::kernel::Ingress;
use sccm_tests::gateway::{Stage, Topology};
use sccm_tests::signals::Interrupt;
use serde_json::{Value, json};

use crate::statistics::median;
use setup::Setup;

/// What the router does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Filter {
    /// Nothing.
    None,
    /// A program on both cards that lets everything pass.
    Empty,
    /// `sccm-agent enforce` at a hook.
    Agent(Ingress),
    /// nftables, forwarding what connection tracking knows and what the role's ports are.
    Nftables,
    /// firewalld, which trusts both sides, and tracks connections.
    Firewalld,
}

impl Filter {
    const ALL: [Self; 7] = [
        Self::None,
        Self::Empty,
        Self::Agent(Ingress::Native),
        Self::Agent(Ingress::Generic),
        Self::Agent(Ingress::Tc),
        Self::Nftables,
        Self::Firewalld,
    ];

    /// What the table calls it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Empty => "empty XDP programs",
            Self::Agent(Ingress::Native) => "sccm-agent at xdp",
            Self::Agent(Ingress::Generic) => "sccm-agent at xdp-generic",
            Self::Agent(Ingress::Tc) => "sccm-agent at tc",
            Self::Nftables => "nftables with conntrack",
            Self::Firewalld => "firewalld, both sides trusted",
        }
    }
}

/// What one round found.
#[derive(Clone, Copy, Debug)]
struct Round {
    /// Gbit/s of one TCP connection.
    tcp: f64,
    /// Busy processors while it ran.
    tcp_busy: f64,
    /// Thousand datagrams of 64 bytes that arrived in a second.
    udp: f64,
    /// Busy processors while they did.
    udp_busy: f64,
    /// Microseconds there and back: the middle one, and the one of a hundred.
    ping: [f64; 2],
}

/// All rounds of a filter.
pub struct Through {
    /// The filter.
    pub filter: Filter,
    rounds: Vec<Round>,
}

impl Through {
    /// The columns of the table, behind the filter.
    pub const COLUMNS: [&str; 6] = [
        "TCP Gbit/s",
        "CPUs",
        "UDP kpps",
        "CPUs",
        "ping p50 µs",
        "p99 µs",
    ];

    /// Measures all filters, in turns.
    pub fn measure(rounds: u32, interrupt: &Interrupt) -> Result<Vec<Self>> {
        let stages: Vec<Stage> = Filter::ALL
            .iter()
            .map(|_| Stage::new(Topology::Routed))
            .collect::<Result<_>>()?;
        let mut measured = Vec::new();
        for (filter, stage) in Filter::ALL.into_iter().zip(&stages) {
            let setup = Setup::new(filter, stage).with_context(|| filter.name())?;
            let rounds = Vec::new();
            measured.push((Self { filter, rounds }, setup));
        }
        for round in 1..=rounds {
            eprintln!("==> through the box: round {round} of {rounds}");
            for (through, setup) in &mut measured {
                interrupt.check()?;
                let round = setup.round().with_context(|| through.filter.name())?;
                through.rounds.push(round);
            }
        }
        Ok(measured.into_iter().map(|(through, _)| through).collect())
    }

    /// The middle of each figure, in the order of [`Through::COLUMNS`].
    pub fn figures(&self) -> [f64; 6] {
        let middle =
            |of: fn(&Round) -> f64| median(&self.rounds.iter().map(of).collect::<Vec<_>>());
        [
            middle(|round| round.tcp),
            middle(|round| round.tcp_busy),
            middle(|round| round.udp),
            middle(|round| round.udp_busy),
            middle(|round| round.ping[0]),
            middle(|round| round.ping[1]),
        ]
    }

    /// For tools.
    pub fn json(&self) -> Value {
        let [tcp, tcp_busy, udp, udp_busy, p50, p99] = self.figures();
        json!({
            "filter": self.filter.name(),
            "tcp_gbit_per_second": tcp,
            "tcp_busy_processors": tcp_busy,
            "udp_kilopackets_per_second": udp,
            "udp_busy_processors": udp_busy,
            "ping_p50_microseconds": p50,
            "ping_p99_microseconds": p99,
        })
    }
}
