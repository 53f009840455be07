//! What a new policy costs before it judges the first packet: compiling and publishing it.

use std::time::{Duration, Instant};

use anyhow::{Error, Result};
use sccm_agent::policy::addresses::{self, Tag};
use sccm_agent::policy::{Allow, ServiceNames};
use sccm_tests::datapath::Settings;
use serde_json::{Value, json};

use crate::many;
use crate::world::World;

/// How many prefixes a policy names.
const PREFIXES: [u32; 5] = [1, 16, 1_000, 10_000, 100_000];

/// Runs of each, of which the best counts: what else the machine does only adds to it.
const RUNS: usize = 5;

/// How long a policy takes, from the operator's words to the kernel's tables.
pub struct Control {
    /// Prefixes that it names.
    pub prefixes: u32,
    /// Sorting their addresses into classes, and building the table of those.
    pub classes: Duration,
    /// Compiling all of it, the reading of the catalog included.
    pub compile: Duration,
    /// Writing it into the kernel, the grace period included.
    pub publish: Duration,
}

impl Control {
    /// Measures each number of prefixes.
    pub fn measure(role: &Settings) -> Result<Vec<Self>> {
        let mut world = World::new(role)?;
        PREFIXES
            .into_iter()
            .map(|prefixes| Self::of(prefixes, role, &mut world))
            .collect()
    }

    fn of(prefixes: u32, role: &Settings, world: &mut World) -> Result<Self> {
        let settings = Settings {
            allow: many::prefixes(prefixes),
            ..role.clone()
        };
        let rules = settings.allow.iter().map(|text| text.parse());
        let rules: Vec<Allow> = rules.collect::<Result<_, String>>().map_err(Error::msg)?;
        let scopes = || {
            let tags = [0, 1].into_iter().cycle().map(Tag::Peer);
            rules.iter().filter_map(|rule| rule.from).zip(tags)
        };
        let policy = settings.compile(ServiceNames::default())?;
        Ok(Self {
            prefixes,
            classes: best(|| addresses::classify(scopes()))?,
            compile: best(|| settings.compile(ServiceNames::default()))?,
            publish: best(|| world.publish(&policy))?,
        })
    }

    /// For people: names of the columns behind the number of prefixes, and their figures.
    pub const COLUMNS: [&str; 3] = ["classes of addresses", "whole policy", "publishing"];

    /// For people, in milliseconds.
    pub fn figures(&self) -> [String; 3] {
        let milliseconds = |time: Duration| format!("{:.1}", time.as_secs_f64() * 1e3);
        [self.classes, self.compile, self.publish].map(milliseconds)
    }

    /// For tools, in nanoseconds.
    pub fn json(&self) -> Value {
        json!({
            "prefixes": self.prefixes,
            "classes_ns": self.classes.as_nanos() as u64,
            "compile_ns": self.compile.as_nanos() as u64,
            "publish_ns": self.publish.as_nanos() as u64,
        })
    }
}

/// The shortest of some runs.
fn best<T>(mut run: impl FnMut() -> Result<T>) -> Result<Duration> {
    let mut best = Duration::MAX;
    for _ in 0..RUNS {
        let start = Instant::now();
        let made = run()?;
        best = best.min(start.elapsed());
        drop(made);
    }
    Ok(best)
}
