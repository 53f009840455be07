//! Through the box: a client and a server with a router between them, and what the router's filter
//! leaves of their throughput and latency.
//!
//! Each filter has a stage of its own, and they take turns. Rates scatter by whatever else the
//! machine does: each transfer has one without a filter right before or after it, with sender and
//! receiver on a processor each, and the ratio of the two is what is told. On a cable of this kind,
//! a card with any XDP program takes no segments larger than the cable's packets
//! (`veth_set_features`), which costs TCP far more than any program does; a real card loses nothing
//! by it. So the empty program is among the filters, and the agent is measured at each of its hooks.

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

/// Pairs of transfers of each kind in a round.
const PAIRS: u32 = 3;

/// What is sent through the box.
#[derive(Clone, Copy, Debug)]
enum Load {
    /// One TCP connection: Gbit/s.
    Tcp,
    /// Datagrams of 64 bytes: thousand that arrive in a second.
    Udp,
}

/// What one transfer reached.
#[derive(Clone, Copy, Debug)]
struct Rate {
    /// By the unit of its [`Load`].
    rate: f64,
    /// Busy processors meanwhile.
    busy: f64,
}

/// Two transfers, one after the other.
#[derive(Clone, Copy, Debug)]
struct Pair {
    /// Through the filter.
    through: Rate,
    /// Without a filter.
    without: Rate,
}

/// All pairs of one load.
#[derive(Default)]
struct Pairs(Vec<Pair>);

impl Pairs {
    fn middle(&self, of: fn(&Rate) -> f64) -> f64 {
        median(
            &self
                .0
                .iter()
                .map(|pair| of(&pair.through))
                .collect::<Vec<_>>(),
        )
    }

    /// What comes through, of what comes through without a filter: the geometric mean of the pairs.
    fn figures(&self) -> Figures {
        let ratios = self.0.iter();
        let ratios = ratios.map(|pair| pair.through.rate / pair.without.rate);
        Figures {
            rate: self.middle(|rate| rate.rate),
            busy: self.middle(|rate| rate.busy),
            of_none: geometric_mean(&ratios.collect::<Vec<_>>()),
        }
    }
}

/// What is told of one load.
#[derive(Clone, Copy, Debug)]
pub struct Figures {
    /// The middle rate, by the unit of its [`Load`].
    pub rate: f64,
    /// How many processors were busy meanwhile.
    pub busy: f64,
    /// The share of what comes through without a filter, and its standard error.
    pub of_none: (f64, f64),
}

/// All rounds of a filter.
pub struct Through {
    /// The filter.
    pub filter: Filter,
    tcp: Pairs,
    udp: Pairs,
    /// Microseconds there and back in each round: the middle one, and the one of a hundred.
    pings: Vec<[f64; 2]>,
}

impl Through {
    /// The columns of the table.
    pub const COLUMNS: [&str; 9] = [
        "through the box",
        "TCP Gbit/s",
        "CPUs",
        "of none",
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
            tcp: Pairs::default(),
            udp: Pairs::default(),
            pings: Vec::new(),
        });
        for round in 1..=rounds {
            eprintln!("==> through the box: round {round} of {rounds}");
            for (through, setup) in measured.iter_mut().zip(&setups) {
                let name = through.filter.name();
                interrupt.check()?;
                through.pings.push(setup.ping().context(name)?);
                for number in 0..PAIRS {
                    let filter_first = (round + number) % 2 == 0;
                    let pair = |load| {
                        interrupt.check()?;
                        pair(load, setup, none, filter_first).context(name)
                    };
                    through.tcp.0.push(pair(Load::Tcp)?);
                    through.udp.0.push(pair(Load::Udp)?);
                }
            }
        }
        Ok(measured.into())
    }

    /// Of the TCP connection.
    pub fn tcp(&self) -> Figures {
        self.tcp.figures()
    }

    /// Of the datagrams.
    pub fn udp(&self) -> Figures {
        self.udp.figures()
    }

    /// The middle of the answer times in µs: of the middle ones, and of the ones of a hundred.
    pub fn pings(&self) -> [f64; 2] {
        [0, 1].map(|which| median(&self.pings.iter().map(|one| one[which]).collect::<Vec<_>>()))
    }

    /// For tools.
    pub fn json(&self) -> Value {
        let (tcp, udp, [p50, p99]) = (self.tcp(), self.udp(), self.pings());
        json!({
            "filter": self.filter.name(),
            "tcp_gbit_per_second": tcp.rate,
            "tcp_busy_processors": tcp.busy,
            "tcp_of_none": tcp.of_none.0,
            "tcp_of_none_standard_error": tcp.of_none.1,
            "udp_kilopackets_per_second": udp.rate,
            "udp_busy_processors": udp.busy,
            "udp_of_none": udp.of_none.0,
            "udp_of_none_standard_error": udp.of_none.1,
            "ping_p50_microseconds": p50,
            "ping_p99_microseconds": p99,
        })
    }
}

/// Through a filter and without one, in either order.
fn pair(load: Load, setup: &Setup, none: &Setup, filter_first: bool) -> Result<Pair> {
    let before = (!filter_first).then(|| none.transfer(load)).transpose()?;
    let through = setup.transfer(load)?;
    let without = match before {
        Some(before) => before,
        None => none.transfer(load)?,
    };
    Ok(Pair { through, without })
}
