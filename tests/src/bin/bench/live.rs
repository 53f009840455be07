//! Live frames: the kernel makes them at a card as fast as it can, and what stands there drops
//! them.
//!
//! `BPF_F_TEST_XDP_LIVE_FRAMES` makes real frames of a test run, and does with each what the
//! program decides: gives its page back, or hands it to the network stack as one that the card
//! received. So a filter in XDP is run itself; for one behind it, a program that passes
//! everything. The time of a run over its frames is the cost of one frame, from its making to its
//! drop. A program that drops everything is the floor. All filters are there all the time, each at
//! a card of its own, and take turns.

mod agent;
mod filter;
pub mod firewalld;
mod nftables;
mod xdp_filter;

use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use aya::programs::loaded_programs;
use sccm_common::Hook;
use sccm_tests::netns::{Namespace, veth_pair};
use sccm_tests::packet::{MacAddress, Packet};
use sccm_tests::signals::Interrupt;
use serde_json::{Value, json};

use crate::floor;
use crate::statistics::median;
use crate::sys;
pub use agent::text as policy;
use filter::Installed;
pub use filter::{Filter, TCP, UDP};
pub use nftables::Hook as NftablesHook;

/// Frames of a run.
const FRAMES: u32 = 500_000;

/// Frames before the first run: caches, and neighbours that a stack wants to know.
const WARM_UP: u32 = 10_000;

/// Frames that a stack may send unasked meanwhile, to find routers and neighbours.
const STRAY: u64 = 100;

/// Who gets the frames.
const RECEIVER_MAC: MacAddress = [0x02, 0, 0, 0, 0, 0x02];

/// One of nobody's peers, who sends them.
const STRANGER: &str = "198.51.100.7";

/// A host that holds the filter, at the end of a cable.
pub struct Line {
    /// The other end, with the address [`Line::SENDER`].
    pub sender: Namespace,
    /// Has the address [`Line::RECEIVER`]; its card is `eth0`.
    pub receiver: Namespace,
}

impl Line {
    /// The neighbour's address.
    pub const SENDER: &str = "192.0.2.20";

    /// The host's address.
    pub const RECEIVER: &str = "192.0.2.10";

    /// Makes both ends.
    pub fn new() -> Result<Self> {
        let line = Self {
            sender: Namespace::new("sender")?,
            receiver: Namespace::new("receiver")?,
        };
        let (start, end) = veth_pair(&line.sender, "eth0", &line.receiver, "eth0")?;
        start.address(&format!("{}/24", Self::SENDER))?;
        end.address(&format!("{}/24", Self::RECEIVER))?;
        line.receiver
            .ip("link set dev eth0 address 02:00:00:00:00:02")?;
        line.receiver.route("default dev eth0")?;
        Ok(line)
    }

    /// What decides about a frame first: the card's program, or one that lets everything pass.
    fn program(&self) -> Result<OwnedFd> {
        let text = self.receiver.ip("-j link show dev eth0")?;
        let links: Value = serde_json::from_str(&text)?;
        let Some(id) = links[0]["xdp"]["prog"]["id"].as_u64() else {
            return floor::empty(Hook::Ingress);
        };
        let mut programs = loaded_programs().filter_map(Result::ok);
        let attached = programs.find(|program| u64::from(program.id()) == id);
        let attached = attached.with_context(|| format!("there is no program {id}"))?;
        Ok(attached.fd()?.as_fd().try_clone_to_owned()?)
    }

    /// Runs it, and returns how long that took.
    fn run(&self, program: BorrowedFd<'_>, frame: &[u8], count: u32) -> Result<Duration> {
        self.receiver.enter(|| -> Result<Duration> {
            let card = nix::net::if_::if_nametoindex("eth0")?;
            let start = Instant::now();
            sys::run_live(program, card, frame, count)?;
            Ok(start.elapsed())
        })
    }
}

/// What a filter took for a dropped frame.
pub struct Live {
    /// The filter.
    pub filter: Filter,
    /// Nanoseconds per frame, in each round.
    rounds: Vec<f64>,
}

impl Live {
    /// Measures all filters, in turns.
    pub fn measure(rounds: u32, interrupt: &Interrupt) -> Result<Vec<Self>> {
        let filters = filter::all();
        let lines: Vec<Line> = filters.iter().map(|_| Line::new()).collect::<Result<_>>()?;
        let mut measured = Vec::new();
        for (filter, line) in filters.into_iter().zip(&lines) {
            interrupt.check()?;
            let name = filter.name();
            eprintln!("==> live frames: setting up {name}");
            let installed = filter.install(line).with_context(|| name.clone())?;
            let program = line.program().with_context(|| name.clone())?;
            line.run(program.as_fd(), &frame(filter), WARM_UP)
                .with_context(|| name)?;
            let rounds = Vec::new();
            measured.push((Self { filter, rounds }, line, program, installed));
        }
        for round in 1..=rounds {
            eprintln!("==> live frames: round {round} of {rounds}");
            for (live, line, program, installed) in &mut measured {
                interrupt.check()?;
                let name = live.filter.name();
                live.round(line, program.as_fd(), installed.as_ref())
                    .context(name)?;
            }
        }
        Ok(measured.into_iter().map(|(live, ..)| live).collect())
    }

    fn round(
        &mut self,
        line: &Line,
        program: BorrowedFd<'_>,
        installed: &dyn Installed,
    ) -> Result<()> {
        let frames = self.filter.frames();
        let dropped = installed.dropped()?;
        let took = line.run(program, &frame(self.filter), frames)?;
        if let (Some(before), Some(now)) = (dropped, installed.dropped()?) {
            let dropped = now - before;
            ensure!(
                dropped.abs_diff(frames.into()) <= STRAY,
                "{dropped} of {frames} frames were dropped"
            );
        }
        self.rounds.push(took.as_nanos() as f64 / f64::from(frames));
        Ok(())
    }

    /// Nanoseconds per frame, in the middle round.
    pub fn nanoseconds(&self) -> f64 {
        median(&self.rounds)
    }

    /// The middle one of each round's ratio of this filter's rate to another's.
    pub fn rate_over(&self, other: &Self) -> f64 {
        let ratios = self.rounds.iter().zip(&other.rounds);
        let ratios: Vec<f64> = ratios.map(|(own, others)| others / own).collect();
        median(&ratios)
    }

    /// For tools.
    pub fn json(&self, floor: &Self) -> Value {
        json!({
            "filter": self.filter.name(),
            "median_ns": self.nanoseconds(),
            "rate_over_empty": self.rate_over(floor),
            "rounds_ns": self.rounds,
        })
    }
}

/// What is sent: to a port of nobody's, or to one of the role's where its peers are named.
fn frame(filter: Filter) -> Vec<u8> {
    let port = match filter {
        Filter::Agent(Some(_)) | Filter::NftablesPrefixes(_) => 445,
        _ => 3389,
    };
    let packet = Packet::ipv4(STRANGER, Line::RECEIVER)
        .tcp(50000, port)
        .syn();
    packet.destination_mac(RECEIVER_MAC).build()
}
