//! Differential fuzzing: the verdict of `sccm-common`, the kernel's programs, and a slow oracle
//! must agree about every frame: what becomes of it, why, which service it wanted, and what is
//! remembered afterwards.
//!
//! Policies are random, and so is what happens under them ([`generate`]); what the oracle is and
//! where it ends says [`oracle`]. A difference is reduced to few steps ([`minimise`]) and written
//! to `regressions/`, where it stays: every case there is run again, before anything else.
//!
//! Beside it, smaller of their kind: the inputs that the coverage-guided fuzzers have kept
//! ([`corpus`]), and random policies against a slow reading of the same file ([`rights`]).
//!
//! `FUZZ_SEED` begins elsewhere, `FUZZ_MINUTES` goes on for longer (`cargo xtask fuzz`).

#![expect(
    clippy::expect_used,
    clippy::unwrap_used,
    reason = "a test that cannot go on panics, also in its helpers"
)]
#![expect(clippy::print_stdout, reason = "progress of a long run")]

mod case;
mod compare;
mod corpus;
mod generate;
mod kernel;
mod minimise;
mod native;
mod oracle;
mod rights;
mod run;
mod slots;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};
use sccm_common::Reason;

use case::Case;
use compare::{Coverage, Stage};
use kernel::Kernel;
use oracle::How;
use run::{Goal, fuzz};

/// Frames of one run of the tests.
const FRAMES: u64 = 10_000_000;

/// Where it begins unless it is told.
const SEED: u64 = 1;

fn regressions() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz/regressions")
}

#[test]
fn what_ever_differed_agrees() -> Result<()> {
    let mut kernel = Kernel::load()?;
    let mut cases = 0;
    for entry in fs::read_dir(regressions())? {
        let path = entry?.path();
        let case = Case::parse(&fs::read_to_string(&path)?)?;
        let policy = compare::load(&case.setting)?;
        let names = kernel.maps.service_names()?;
        let stage = Stage::new(&case.setting, &policy, names)?;
        kernel.publish(&stage.compiled)?;
        let difference = stage.run(&case.steps, &mut kernel, &mut Coverage::default())?;
        ensure!(difference.is_none(), "{}: {difference:?}", path.display());
        cases += 1;
    }
    println!("{cases} cases");
    Ok(())
}

#[test]
fn all_three_agree() -> Result<()> {
    let number = |name: &str| -> Result<Option<u64>> {
        let Ok(text) = std::env::var(name) else {
            return Ok(None);
        };
        let number = text
            .parse()
            .with_context(|| format!("{name} is no number"))?;
        Ok(Some(number))
    };
    let seed = number("FUZZ_SEED")?.unwrap_or(SEED);
    let goal = match number("FUZZ_MINUTES")? {
        Some(minutes) => Goal::Minutes(minutes),
        None => Goal::Frames(FRAMES),
    };
    let report = fuzz(seed, goal, &regressions())?;
    println!("{report}");
    for reason in Reason::ALL {
        // Without tables nothing can be compared.
        let reached = *reason == Reason::NoPolicy || report.coverage.reasons.contains_key(reason);
        ensure!(reached, "no frame ended as {reason:?}");
    }
    for how in How::ALL {
        let [learned, used] = report.coverage.of(how);
        ensure!(
            learned > 0 && used > 0,
            "{how:?}: {learned} learned, {used} used"
        );
    }
    Ok(())
}
