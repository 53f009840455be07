//! `bench`: what the agent costs, beside an empty program and beside its peers.
//!
//! Five parts, each of which says in its own file how it measures: single *packets* in the real
//! programs, the same on two *cores* at once, *live* frames dropped by us and by others, throughput *through* a router, and the
//! *life* of the agent itself. Whatever is compared takes turns, round by round, so that a
//! disturbance hits one round of some rather than all rounds of one. All traffic stays in network
//! namespaces made here, and nothing stays behind, also on Ctrl-C.
//!
//! Exit codes: 0 measured; 1 something failed; 2 wrong arguments; 128 and the number of
//! the signal that ended it. No figure makes it fail.

#![expect(
    clippy::print_stderr,
    reason = "it speaks to the person who started it"
)]

mod case;
mod cases;
mod child;
mod claims;
mod control;
mod cores;
mod docs;
mod floor;
mod forwarded;
mod life;
mod live;
mod machine;
mod many;
mod mapper;
mod opening;
mod packets;
mod plot;
mod report;
mod scrape;
mod series;
mod statistics;
mod sys;
mod through;
mod world;

use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, ValueEnum};
use sccm_tests::processor::OneProcessor;
use sccm_tests::program;
use sccm_tests::signals::Interrupt;

use cores::Cores;
use life::Life;
use live::Live;
use machine::Machine;
use packets::Packets;
use report::Report;
use through::Through;

/// How often everything is measured: enough for a median that one busy second does not move.
const ROUNDS: u32 = 9;

/// Measures what the agent costs.
#[derive(Parser)]
#[command(name = "cargo xtask bench", bin_name = "cargo xtask bench")]
struct Arguments {
    /// Prints for tools
    #[arg(long)]
    json: bool,
    /// Writes the run, and a picture of it, into docs/
    #[arg(long, conflicts_with_all = ["json", "part"])]
    docs: bool,
    /// Measures this part only; may be given several times
    #[arg(long = "part", value_enum)]
    part: Vec<Part>,
}

/// A part of the benchmark.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Part {
    /// Single packets in the programs; memory, compiling and publishing
    Packets,
    /// The same packets on two processors at once
    Cores,
    /// Frames dropped at the end of a cable, by us and by others
    Live,
    /// Throughput and latency through a router
    Through,
    /// Start, reload and memory of the agent
    Life,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    program::run(|interrupt| {
        let report = measure(&arguments.part, interrupt)?;
        match (arguments.json, arguments.docs) {
            (true, _) => report.print_json()?,
            (_, true) => docs::write(&report)?,
            _ => report.print()?,
        }
        Ok(true)
    })
}

/// Measures these parts, or all. When it returns, programs, maps, mounts and namespaces are gone.
fn measure(parts: &[Part], interrupt: &Interrupt) -> Result<Report> {
    let wanted = |part| parts.is_empty() || parts.contains(&part);
    let machine = Machine::look()?;
    let (mut life, mut through, mut live) = (None, None, None);
    let (mut packets, mut cores) = (None, None);
    if wanted(Part::Life) {
        life = Some(Life::measure(ROUNDS, interrupt)?);
    }
    if wanted(Part::Through) {
        through = Some(Through::measure(ROUNDS, interrupt)?);
    }
    if wanted(Part::Cores) {
        cores = Some(Cores::measure(ROUNDS, interrupt)?);
    }
    let _one = OneProcessor::stay()?;
    if wanted(Part::Live) {
        live = Some(Live::measure(ROUNDS, interrupt)?);
    }
    if wanted(Part::Packets) {
        packets = Some(Packets::measure(ROUNDS, interrupt)?);
    }
    Ok(Report {
        machine,
        rounds: ROUNDS,
        packets,
        cores,
        live,
        through,
        life,
    })
}
