//! `demo`: the agent between two throw-away hosts, shown in one table.
//!
//! It makes a client and a distribution point in network namespaces, tries a list of conversations
//! between them, starts the real `sccm-agent enforce` on the distribution point, tries the same
//! list again, and prints what changed and why. What should happen is read from the catalog, what
//! does happen from real sockets, and the counters from the agent's own `/metrics`.
//!
//! No interface of the machine is touched, and nothing stays behind, also on Ctrl-C. Exit codes:
//! 0 all is as expected; 1 something is not, or failed; 128 and the number of the signal that ended
//! it.

#![expect(clippy::expect_used, reason = "a demonstration may panic")]
#![expect(
    clippy::print_stderr,
    reason = "it speaks to the person who started it"
)]

mod agent;
mod attempt;
mod counters;
mod hosts;
mod reasons;
mod report;
mod row;
mod table;
mod web;

use std::path::PathBuf;
use std::process::ExitCode;
use std::thread;

use anyhow::{Context, Result};
use sccm_tests::bpffs::BpfMount;
use sccm_tests::program;
use sccm_tests::signals::Interrupt;

use agent::{Agent, Enforce};
use attempt::{Attempt, Outcome};
use hosts::Hosts;
use reasons::Expectation;
use report::Report;
use row::Row;

/// What the distribution point's agent is told to be.
const ROLE: &str = "distribution-point";

fn main() -> ExitCode {
    program::run(|interrupt| {
        let report = show(Enforce::find_program()?, interrupt)?;
        report.print()?;
        Ok(report.is_as_expected())
    })
}

/// Does everything but print. When it returns, hosts, agent and mount are gone.
fn show(program: PathBuf, interrupt: &Interrupt) -> Result<Report> {
    let attempts = attempt::all();
    let expectations: Vec<Expectation> = attempts
        .iter()
        .map(|attempt| reasons::expect(ROLE, attempt))
        .collect::<Result<_>>()?;

    progress("making a client and a distribution point, joined by a cable");
    let mount = BpfMount::new()?;
    let hosts = Hosts::new(interrupt)?;

    progress(&format!(
        "{} conversations without the agent",
        attempts.len()
    ));
    let without = try_all(&hosts, &attempts, interrupt, |_| true)?;

    progress("starting sccm-agent enforce on the distribution point");
    let enforce = Enforce {
        program,
        role: ROLE,
        interface: hosts::INTERFACE,
        pin_dir: mount.path().join("agent"),
    };
    let agent = Agent::start(&enforce, &hosts.distribution_point, interrupt)?;

    progress("the same conversations with it");
    let with = try_all(&hosts, &attempts, interrupt, |index| {
        expectations[index].passes
    })?;

    progress("reading the counters, and ending the agent");
    let counters = agent.counters(&hosts.distribution_point)?;
    let host = hosts.distribution_point.name().to_owned();
    agent.stop(interrupt)?;

    let rows = attempts
        .into_iter()
        .zip(expectations)
        .zip(without.into_iter().zip(with))
        .map(|((attempt, expectation), (without, with))| Row {
            attempt,
            expectation,
            without,
            with,
        })
        .collect();
    Ok(Report {
        rows,
        counters,
        command: enforce.line(),
        host,
    })
}

/// Makes every attempt, most of them at once: each that stays without an answer takes its time.
fn try_all(
    hosts: &Hosts,
    attempts: &[Attempt],
    interrupt: &Interrupt,
    answers: impl Fn(usize) -> bool + Sync,
) -> Result<Vec<Outcome>> {
    hosts.forget_neighbours()?;
    let make = |index: usize, attempt: &Attempt| {
        let outcome = attempt.make(hosts, attempt::patience(answers(index)));
        outcome.with_context(|| format!("trying {}", attempt.name))
    };
    let mut outcomes = Vec::new();
    let (first, rest): (Vec<_>, Vec<_>) = attempts
        .iter()
        .enumerate()
        .partition(|(_, attempt)| attempt.needs_quiet());
    for (index, attempt) in first {
        interrupt.check()?;
        outcomes.push((index, make(index, attempt)?));
    }
    thread::scope(|scope| {
        let running: Vec<_> = rest
            .into_iter()
            .map(|(index, attempt)| (index, scope.spawn(move || make(index, attempt))))
            .collect();
        for (index, attempt) in running {
            let outcome = attempt.join();
            outcomes.push((index, outcome.expect("an attempt returns what went wrong")?));
        }
        anyhow::Ok(())
    })?;
    interrupt.check()?;
    outcomes.sort_by_key(|(index, _)| *index);
    Ok(outcomes.into_iter().map(|(_, outcome)| outcome).collect())
}

/// Tells a waiting person what happens now, in the manner of `cargo xtask`.
fn progress(step: &str) {
    eprintln!("==> {step}");
}
