//! Many policies, on every CPU.

use std::fmt;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow, bail};
use fastrand::Rng;
use sccm_common::Reason;
use sccm_tests::reading::Outbound;

use crate::case::{Case, Setting, Step};
use crate::compare::{self, Coverage, Stage};
use crate::generate;
use crate::kernel::Kernel;
use crate::minimise::minimise;
use crate::oracle::How;

/// Cases under one policy, and steps of each.
const CASES: usize = 20;
const STEPS: usize = 1_000;

/// Every so many policies, another one judges beside, and must change nothing.
const SHADOWED: u64 = 8;

/// aya hands tables over by way of the stack, more than once, and one takes 4 MiB.
const STACK: usize = 256 << 20;

/// When it is enough.
#[derive(Debug, Clone, Copy)]
pub enum Goal {
    Frames(u64),
    Minutes(u64),
}

/// What was done.
pub struct Report {
    seed: u64,
    frames: u64,
    policies: u64,
    took: Duration,
    pub coverage: Coverage,
}

/// What the threads share.
struct Shared<'a> {
    seed: u64,
    goal: Goal,
    begun: Instant,
    kept: &'a Path,
    policies: AtomicU64,
    frames: AtomicU64,
    coverage: Mutex<Coverage>,
}

/// Runs until the goal, or the first difference, which is reduced and kept.
pub fn fuzz(seed: u64, goal: Goal, kept: &Path) -> Result<Report> {
    let shared = Shared {
        seed,
        goal,
        begun: Instant::now(),
        kept,
        policies: AtomicU64::new(0),
        frames: AtomicU64::new(0),
        coverage: Mutex::default(),
    };
    let threads = thread::available_parallelism()?.get();
    thread::scope(|scope| {
        let start = |_| {
            let builder = thread::Builder::new().stack_size(STACK);
            builder.spawn_scoped(scope, || shared.work())
        };
        let workers = (0..threads).map(start).collect::<Result<Vec<_>, _>>()?;
        workers.into_iter().try_for_each(|worker| {
            worker
                .join()
                .map_err(|_| anyhow!("a thread panicked, seed {seed}"))?
        })
    })?;
    Ok(Report {
        seed,
        frames: shared.frames.into_inner(),
        policies: shared.policies.into_inner(),
        took: shared.begun.elapsed(),
        coverage: shared
            .coverage
            .into_inner()
            .map_err(|_| anyhow!("a thread panicked"))?,
    })
}

impl Shared<'_> {
    fn is_done(&self) -> bool {
        match self.goal {
            Goal::Frames(frames) => self.frames.load(Ordering::Relaxed) >= frames,
            Goal::Minutes(minutes) => self.begun.elapsed() >= Duration::from_secs(minutes * 60),
        }
    }

    fn work(&self) -> Result<()> {
        let mut kernel = Kernel::load()?;
        while !self.is_done() {
            let number = self.policies.fetch_add(1, Ordering::Relaxed);
            let mut random = Rng::with_seed(self.seed.wrapping_mul(1 << 32).wrapping_add(number));
            let found = self.policy(&mut kernel, &mut random, number);
            if let Err(error) = found {
                // The others need not go on.
                self.frames.store(u64::MAX / 2, Ordering::Relaxed);
                return Err(error.context(format!("seed {}, policy {number}", self.seed)));
            }
        }
        Ok(())
    }

    fn policy(&self, kernel: &mut Kernel, random: &mut Rng, number: u64) -> Result<()> {
        let setting = generate::setting(random);
        let policy = match compare::load(&setting) {
            // Some roles cannot do without a look at what goes out.
            Err(_) if setting.document.site.outbound == Outbound::Off => return Ok(()),
            policy => policy?,
        };
        let stage = |names| Stage::new(&setting, &policy, names);
        let names = kernel.maps.service_names()?;
        let stage = match stage(names.clone()) {
            Ok(stage) if stage.keeps(&names) => stage,
            _ => {
                // Every number has been given to a name. The oracle knows nothing of two names that
                // share one.
                *kernel = Kernel::load()?;
                stage(kernel.maps.service_names()?)?
            }
        };
        kernel.publish(&stage.compiled)?;
        if number.is_multiple_of(SHADOWED) {
            let other = generate::setting(random);
            let names = kernel.maps.service_names()?;
            if let Ok(policy) = compare::load(&other)
                && let Ok(other) = Stage::new(&other, &policy, names.clone())
                && other.keeps(&names)
            {
                kernel.maps.cast_shadow(&other.compiled)?;
            }
        }
        let mut coverage = Coverage::default();
        for _ in 0..CASES {
            let steps = generate::steps(random, &setting, STEPS);
            if let Some(difference) = stage.run(&steps, kernel, &mut coverage)? {
                self.report(&stage, kernel, &steps, difference)?;
            }
            self.frames.fetch_add(steps.len() as u64, Ordering::Relaxed);
        }
        kernel.maps.end_shadow()?;
        let mut all = self
            .coverage
            .lock()
            .map_err(|_| anyhow!("a thread panicked"))?;
        all.add(&coverage);
        Ok(())
    }

    /// Reduces what differed, and keeps it.
    fn report(
        &self,
        stage: &Stage<'_>,
        kernel: &mut Kernel,
        steps: &[Step],
        difference: String,
    ) -> Result<()> {
        let mut differs = |steps: &[Step]| {
            let run = stage.run(steps, kernel, &mut Coverage::default());
            run.ok().flatten()
        };
        if differs(steps).is_none() {
            // The kernel's clock went on between two packets of the same moment.
            println!("not again: {difference}");
            return Ok(());
        }
        let steps = minimise(steps, |steps| differs(steps).is_some());
        let difference = differs(&steps).unwrap_or(difference);
        let setting = Setting::clone(stage.setting);
        let case = Case { setting, steps };
        let name = format!("{:016x}.case", fastrand::u64(..));
        let path = self.kept.join(name);
        let comment = format!("{difference}\nSeed {}.", self.seed);
        std::fs::write(&path, case.text(&comment))
            .with_context(|| format!("writing {}", path.display()))?;
        bail!("{difference}: {}", path.display())
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.took.as_secs_f64();
        writeln!(
            f,
            "seed {}: {} frames under {} policies in {seconds:.0} s, {:.0} frames/s",
            self.seed,
            self.frames,
            self.policies,
            self.frames as f64 / seconds
        )?;
        for reason in Reason::ALL {
            let count = self
                .coverage
                .reasons
                .get(reason)
                .copied()
                .unwrap_or_default();
            writeln!(f, "{count:>12}  {}", reason.label())?;
        }
        for how in How::ALL {
            let [learned, used] = self.coverage.of(how);
            writeln!(f, "{learned:>12}  ports handed out by {how:?}, {used} used")?;
        }
        Ok(())
    }
}
