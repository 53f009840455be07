//! `soak`: everything at once, for as long as you like: traffic, reloads, kills, scrapes, and a card
//! that comes and goes.
//!
//! On `eth0` of a throw-away host, datagrams to an allowed and to a forbidden port never stop, and
//! every one of them must be accounted for, by the sockets and by the kernel's counters, whatever
//! happens to the agent. `eth1` beside it goes down, and is replaced; what it loses is told. At the
//! end everything is taken down, and the kernel must have as many programs, maps and namespaces as
//! before: nobody else may load programs meanwhile.
//!
//! Exit codes: 0 all well; 1 something is missing, left over, or failed; 2 wrong arguments; 128 and
//! the number of the signal that ended it.

#![expect(
    clippy::print_stderr,
    reason = "it speaks to the person who started it"
)]

mod chaos;
mod flapping;
mod left;
mod random;
mod report;

use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Result, anyhow, ensure};
use clap::Parser;
use sccm_tests::agent::{Hosts, PolicyFile, Witness};
use sccm_tests::netns::veth_pair;
use sccm_tests::program;
use sccm_tests::signals::Interrupt;

use chaos::Chaos;
use left::Objects;
use random::Random;
use report::Report;

/// Lets the agent live a hard life.
#[derive(Parser)]
#[command(name = "cargo xtask soak", bin_name = "cargo xtask soak")]
struct Arguments {
    /// How long
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=10_000))]
    minutes: u64,
    /// Begins the row of random numbers; left out: the time
    #[arg(long)]
    seed: Option<u64>,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    program::run(|interrupt| {
        let report = soak(&arguments, interrupt)?;
        report.print()?;
        Ok(report.all_well())
    })
}

fn soak(arguments: &Arguments, interrupt: &Interrupt) -> Result<Report> {
    let seed = match arguments.seed {
        Some(seed) => seed,
        None => SystemTime::now().duration_since(UNIX_EPOCH)?.as_nanos() as u64,
    };
    eprintln!("==> {} minutes, --seed {seed}", arguments.minutes);
    let before = Objects::count()?;
    let end = Instant::now() + Duration::from_secs(arguments.minutes * 60);
    let mut report = live(before, Random::new(seed), end, interrupt)?;
    report.objects = Some((before, Objects::settled(before)?));
    Ok(report)
}

/// All of it; when this returns, everything is taken down.
fn live(before: Objects, random: Random, end: Instant, interrupt: &Interrupt) -> Result<Report> {
    let hosts = Hosts::new()?;
    veth_pair(&hosts.client, "eth1", &hosts.point, "eth1")?;
    let policy = PolicyFile::allowing(&[])?;
    let mut chaos = Chaos::start(&hosts, &policy, random)?;
    let now = Objects::count()?;
    ensure!(
        now.programs > before.programs && now.maps > before.maps,
        "the kernel does not list the agent's own programs and maps"
    );
    let witness = Witness::start(&hosts)?;
    let stop = AtomicBool::new(false);
    let (lived, flapping) = thread::scope(|threads| {
        let sender = threads.spawn(|| flapping::send(&hosts, &stop));
        let lived = live_until(&mut chaos, end, interrupt);
        stop.store(true, Ordering::Relaxed);
        (lived, sender.join())
    });
    lived?;
    let flapping = flapping.map_err(|_| anyhow!("the sender of eth1 panicked"))?;
    let seen = witness.finish()?;
    let metrics = chaos.agent()?.metrics()?;
    Ok(Report {
        seen,
        passed: metrics.passed(&[("interface", "eth0"), ("service", "multicast")]),
        dropped: metrics.dropped(&[("interface", "eth0"), ("direction", "inbound")]),
        flapping,
        judged: metrics.dropped(&[("interface", "eth1"), ("reason", "not-allowed")]),
        tally: chaos.tally,
        worst_gap: chaos.worst_gap,
        first: chaos.first,
        most: chaos.most,
        objects: None,
    })
}

fn live_until(chaos: &mut Chaos, end: Instant, interrupt: &Interrupt) -> Result<()> {
    let mut told = Instant::now();
    while Instant::now() < end {
        interrupt.check()?;
        chaos.step()?;
        if told.elapsed() > Duration::from_secs(60) {
            told = Instant::now();
            let left = end.saturating_duration_since(told).as_secs() / 60;
            eprintln!("==> {}; {left} minutes left", chaos.tally);
        }
    }
    Ok(())
}
