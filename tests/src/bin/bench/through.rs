//! Through the box: a client and a server with a router between them, and what the router's filter
//! leaves of their throughput and latency.
//!
//! Each filter has a stage of its own, and they take turns. Datagrams scatter most, by whatever else the
//! machine does: each transfer of them has one without a filter right before or after it, with
//! sender and receiver on a processor each, and the ratio of the two is what is told. On a cable of this kind, a card with any
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

use crate::statistics::{geometric_mean, median};
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

/// Pairs of transfers in a round.
const PAIRS: u32 = 3;

/// What one round found.
#[derive(Clone, Copy, Debug)]
struct Round {
    /// Gbit/s of one TCP connection.
    tcp: f64,
    /// Busy processors while it ran.
    tcp_busy: f64,
    /// Microseconds there and back: the middle one, and the one of a hundred.
    ping: [f64; 2],
}

/// Two transfers of datagrams, one after the other.
#[derive(Clone, Copy, Debug)]
struct Pair {
    /// Thousand of 64 bytes that arrived in a second, through the filter.
    through: f64,
    /// Busy processors while they did.
    busy: f64,
    /// Thousand that arrived without a filter.
    without: f64,
}

/// All rounds of a filter.
pub struct Through {
    /// The filter.
    pub filter: Filter,
    rounds: Vec<Round>,
    pairs: Vec<Pair>,
}

impl Through {
    /// The columns of the table, behind the filter.
    pub const COLUMNS: [&str; 7] = [
        "TCP Gbit/s",
        "CPUs",
        "UDP kpps",
        "CPUs",
        "of none",
        "ping p50 µs",
        "p99 µs",
    ];

    /// Measures all filters, in turns.
    pub fn measure(rounds: u32, interrupt: &Interrupt) -> Result<Vec<Self>> {
        let stages: Vec<Stage> = Filter::ALL
            .iter()
            .map(|_| Stage::new(Topology::Routed))
            .collect::<Result<_>>()?;
        let setups = Filter::ALL.into_iter().zip(&stages);
        let setups: Vec<Setup> = setups
            .map(|(filter, stage)| Setup::new(filter, stage).with_context(|| filter.name()))
            .collect::<Result<_>>()?;
        let none = setups
            .first()
            .context("there is no stage without a filter")?;
        let mut measured = Filter::ALL.map(|filter| Self {
            filter,
            rounds: Vec::new(),
            pairs: Vec::new(),
        });
        for round in 1..=rounds {
            eprintln!("==> through the box: round {round} of {rounds}");
            for (through, setup) in measured.iter_mut().zip(&setups) {
                interrupt.check()?;
                let name = || through.filter.name();
                through.rounds.push(setup.round().with_context(name)?);
                for number in 0..PAIRS {
                    interrupt.check()?;
                    let name = || through.filter.name();
                    let pair = pair(setup, none, (round + number) % 2 == 0).with_context(name)?;
                    through.pairs.push(pair);
                }
            }
        }
        Ok(measured.into())
    }

    /// The middle of each figure, in the order of [`Through::COLUMNS`]; the share of what comes
    /// through without a filter is the geometric mean of the pairs.
    pub fn figures(&self) -> [f64; 7] {
        fn middle<T>(all: &[T], of: fn(&T) -> f64) -> f64 {
            median(&all.iter().map(of).collect::<Vec<_>>())
        }
        let (rounds, pairs) = (&self.rounds, &self.pairs);
        [
            middle(rounds, |round| round.tcp),
            middle(rounds, |round| round.tcp_busy),
            middle(pairs, |pair| pair.through),
            middle(pairs, |pair| pair.busy),
            self.of_none().0,
            middle(rounds, |round| round.ping[0]),
            middle(rounds, |round| round.ping[1]),
        ]
    }

    /// The share of the datagrams that come through without a filter, and its standard error.
    pub fn of_none(&self) -> (f64, f64) {
        let ratios = self.pairs.iter().map(|pair| pair.through / pair.without);
        geometric_mean(&ratios.collect::<Vec<_>>())
    }

    /// For tools.
    pub fn json(&self) -> Value {
        let [tcp, tcp_busy, udp, udp_busy, of_none, p50, p99] = self.figures();
        json!({
            "filter": self.filter.name(),
            "tcp_gbit_per_second": tcp,
            "tcp_busy_processors": tcp_busy,
            "udp_kilopackets_per_second": udp,
            "udp_busy_processors": udp_busy,
            "udp_of_none": of_none,
            "udp_of_none_standard_error": self.of_none().1,
            "ping_p50_microseconds": p50,
            "ping_p99_microseconds": p99,
        })
    }
}

/// Datagrams through a filter and without one, in either order.
fn pair(setup: &Setup, none: &Setup, filter_first: bool) -> Result<Pair> {
    let before = (!filter_first).then(|| none.datagrams()).transpose()?;
    let (through, busy) = setup.datagrams()?;
    let (without, _) = match before {
        Some(before) => before,
        None => none.datagrams()?,
    };
    Ok(Pair {
        through,
        busy,
        without,
    })
}
