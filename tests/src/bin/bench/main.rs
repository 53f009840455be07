//! `bench`: what the agent's programs cost, packet by packet, over an empty program.
//!
//! `BPF_PROG_TEST_RUN` runs a loaded program on one frame many times in a row and says how long
//! that took. The loop around it costs, too, so an empty program is run in the same way right
//! before, and only the difference is told. Programs, maps and policies are the real ones. Cases
//! are measured one after the other, round by round, so that a disturbance hits one round of some
//! rather than all rounds of one; nothing is attached, and nothing stays behind, also on Ctrl-C.
//!
//! `--json` prints for tools. Exit codes: 0 measured; 1 something failed; 2 wrong arguments or not
//! root; 128 and the number of the signal that ended it. No figure makes it fail.

mod case;
mod cases;
mod control;
mod floor;
mod machine;
mod many;
mod opening;
mod report;
mod scrape;
mod series;
mod sys;
mod world;

use std::env;
use std::process::ExitCode;

use anyhow::Result;
use nix::unistd::geteuid;
use sccm_tests::datapath::Settings;
use sccm_tests::signals::Interrupt;

use case::Case;
use control::Control;
use machine::Machine;
use many::Peers;
use opening::Opening;
use report::Report;
use scrape::Scrape;
use series::Series;
use world::World;

/// How often everything is measured: enough for a median that one busy second does not move.
const ROUNDS: u32 = 9;

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let json = arguments == ["--json"];
    if !json && !arguments.is_empty() {
        eprintln!("usage: cargo xtask bench [--json]");
        return ExitCode::from(2);
    }
    if !geteuid().is_root() {
        eprintln!(
            "the benchmark loads programs into the kernel, which only root may do: run \
             sudo env \"HOME=$HOME\" \"PATH=$PATH\" cargo xtask bench"
        );
        return ExitCode::from(2);
    }
    let interrupt = match Interrupt::watch() {
        Ok(interrupt) => interrupt,
        Err(error) => return failure(&error),
    };
    let measured = measure(&interrupt);
    // Whatever else an interrupted program ran into: the signal is why it ends.
    if let Err(interrupted) = interrupt.check() {
        eprintln!("{interrupted}: everything is cleaned up");
        return ExitCode::from(interrupted.exit_code());
    }
    let printed = measured.and_then(|report| match json {
        true => report.print_json(),
        false => report.print(),
    });
    match printed {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => failure(&error),
    }
}

fn failure(error: &anyhow::Error) -> ExitCode {
    eprintln!("error: {error:#}");
    ExitCode::FAILURE
}

/// Measures everything. When it returns, programs, maps and mounts are gone.
fn measure(interrupt: &Interrupt) -> Result<Report> {
    let machine = Machine::look()?;
    machine::stay_on_one_processor()?;
    let role = Settings::roles(&cases::ROLES);
    let peers = Settings {
        allow: cases::prefixes(),
        ..role.clone()
    };
    let many = Settings {
        allow: many::prefixes(100_000),
        ..role.clone()
    };
    let mut worlds = [
        (World::new(&role)?, measured(cases::of_a_role())),
        (World::new(&peers)?, measured(cases::of_peers())),
        (World::new(&many)?, measured(many::cases())),
    ];
    let mut cold = Peers::new();
    let mut opening = Opening::new();
    for round in 1..=ROUNDS {
        eprintln!("==> round {round} of {ROUNDS}");
        for (world, cases) in &mut worlds {
            for (case, series) in cases {
                interrupt.check()?;
                let (floor, cost) = case.measure(world)?;
                series.add(floor, cost);
            }
        }
        interrupt.check()?;
        cold.round(&mut worlds[2].0)?;
        opening.round(&role)?;
    }
    let memory = worlds[0].0.memory()?;
    eprintln!("==> compiling and publishing");
    let control = Control::measure(&role)?;
    eprintln!("==> scraping");
    let scrape = Scrape::measure()?;
    let steady = worlds.into_iter().flat_map(|(_, cases)| cases);
    let steady = steady.map(|(_, series)| series);
    Ok(Report {
        machine,
        rounds: ROUNDS,
        series: steady
            .chain(cold.series())
            .chain(opening.series())
            .collect(),
        memory,
        control,
        scrape,
    })
}

fn measured(cases: Vec<Case>) -> Vec<(Case, Series)> {
    let cases = cases.into_iter();
    cases
        .map(|case| {
            let series = Series::new(case.title);
            (case, series)
        })
        .collect()
}
