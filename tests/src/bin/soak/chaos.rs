//! What happens to the agent, one thing after the other, and what must hold after each.

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use nix::sys::signal::Signal;
use sccm_agent::kernel::{Maps, PinDir};
use sccm_tests::agent::{Agent, Hosts, PolicyFile};
use sccm_tests::netns::veth_pair;
use sccm_tests::scrape::Metrics;

use crate::random::Random;

/// What a policy file may say; nothing of it concerns what is sent.
const FILES: [&[&str]; 4] = [
    &[],
    &["tcp/22"],
    &["tcp/23", "udp/53"],
    &["tcp/22", "tcp/23"],
];

/// What may happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Event {
    Reload,
    Trial { confirmed: bool },
    BrokenReload,
    Scrapes,
    Down,
    Replaced,
    Killed,
}

/// As often as each stands here.
const EVENTS: [Event; 12] = [
    Event::Reload,
    Event::Reload,
    Event::Reload,
    Event::Trial { confirmed: true },
    Event::Trial { confirmed: false },
    Event::BrokenReload,
    Event::Scrapes,
    Event::Scrapes,
    Event::Scrapes,
    Event::Down,
    Event::Replaced,
    Event::Killed,
];

/// How often what happened.
#[derive(Clone, Copy, Debug, Default)]
pub struct Tally {
    /// Reloads, those on trial among them.
    pub reloads: u64,
    /// Reloads of a broken file, all of which were refused.
    pub refused: u64,
    /// Scrapes of the metrics.
    pub scrapes: u64,
    /// Times that `eth1` went down, or was replaced.
    pub flaps: u64,
    /// Agents that were killed.
    pub kills: u64,
}

impl fmt::Display for Tally {
    fn fmt(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        write!(
            formatter,
            "{} reloads and {} refused, {} scrapes, {} flaps, {} kills",
            self.reloads, self.refused, self.scrapes, self.flaps, self.kills
        )
    }
}

/// What one agent takes of the machine.
#[derive(Clone, Copy, Debug, Default)]
pub struct Taken {
    /// Memory in KiB.
    pub memory: u64,
    /// Open files.
    pub files: u64,
    /// Pinned maps, programs and links.
    pub pins: u64,
}

/// An agent's hard life.
pub struct Chaos<'h> {
    hosts: &'h Hosts,
    policy: &'h PolicyFile,
    random: Random,
    /// Which of [`FILES`] is enforced.
    active: usize,
    /// Which was taken back in its favour: an agent that starts does not publish it again.
    withdrawn: Option<usize>,
    /// None only between two of them.
    agent: Option<Agent<'h>>,
    /// What the kernel counted at the last look.
    before: BTreeMap<String, u64>,
    /// The metric of the gaps at the last look, by this agent.
    gap: f64,
    /// How often what happened.
    pub tally: Tally,
    /// Seconds of the longest time that `eth1` was there without a program.
    pub worst_gap: f64,
    /// What the first agent took after its first reload.
    pub first: Taken,
    /// The most that any took.
    pub most: Taken,
}

impl<'h> Chaos<'h> {
    /// Starts the agent.
    pub fn start(hosts: &'h Hosts, policy: &'h PolicyFile, random: Random) -> Result<Self> {
        let mut chaos = Self {
            hosts,
            policy,
            random,
            active: 0,
            withdrawn: None,
            agent: Some(enforce(hosts, policy)?),
            before: BTreeMap::new(),
            gap: 0.0,
            tally: Tally::default(),
            worst_gap: 0.0,
            first: Taken::default(),
            most: Taken::default(),
        };
        chaos.happen(Event::Reload)?;
        chaos.first = chaos.taken()?;
        Ok(chaos)
    }

    /// Lets something happen, and looks whether all is well.
    pub fn step(&mut self) -> Result<()> {
        let event = self.random.of(&EVENTS);
        self.happen(event).with_context(|| format!("{event:?}"))?;
        self.look().with_context(|| format!("after {event:?}"))
    }

    fn happen(&mut self, event: Event) -> Result<()> {
        match event {
            Event::Reload => {
                let published = self.reload("reload")?;
                self.published(published);
                Ok(())
            }
            Event::Trial { confirmed } => {
                let tried = self.reload("reload --confirm-within 60s")?;
                match confirmed {
                    true => self.published(tried),
                    false => self.withdrawn = Some(tried),
                }
                self.obeyed(if confirmed { "confirm" } else { "rollback" })
            }
            Event::BrokenReload => {
                self.policy
                    .write("[[protect]]\nname = \"point\"\nroles = [\"nobody\"]\n")?;
                let finished = self.hosts.run("reload")?;
                ensure!(finished.code != Some(0), "a broken policy was taken");
                self.tally.refused += 1;
                Ok(())
            }
            Event::Scrapes => {
                for _ in 0..10 {
                    self.agent()?.metrics()?;
                    self.tally.scrapes += 1;
                }
                Ok(())
            }
            Event::Down => {
                self.hosts.point.ip("link set dev eth1 down")?;
                self.hosts.point.ip("link set dev eth1 up")?;
                self.flapped()
            }
            Event::Replaced => {
                self.hosts.point.ip("link delete dev eth1")?;
                veth_pair(&self.hosts.client, "eth1", &self.hosts.point, "eth1")?;
                self.flapped()
            }
            Event::Killed => {
                // The next one reads the file, too.
                let other = self.write_another()?;
                if self.withdrawn != Some(other) {
                    self.published(other);
                }
                if let Some(agent) = self.agent.take() {
                    agent.end(Signal::SIGKILL)?;
                }
                self.agent = Some(enforce(self.hosts, self.policy)?);
                self.gap = 0.0;
                self.tally.kills += 1;
                Ok(())
            }
        }
    }

    fn published(&mut self, file: usize) {
        self.active = file;
        self.withdrawn = None;
    }

    fn reload(&mut self, command: &str) -> Result<usize> {
        let other = self.write_another()?;
        self.tally.reloads += 1;
        self.obeyed(command)?;
        Ok(other)
    }

    /// Writes a file that is not the active one: of that, no trial would begin.
    fn write_another(&mut self) -> Result<usize> {
        let others = FILES.len() as u64 - 1;
        let other = (self.active + 1 + self.random.below(others) as usize) % FILES.len();
        self.policy.allow(FILES[other])?;
        Ok(other)
    }

    fn obeyed(&self, command: &str) -> Result<()> {
        let finished = self.hosts.run(command)?;
        ensure!(finished.code == Some(0), "{command}: {}", finished.stderr);
        Ok(())
    }

    /// Waits until the card that came back has its program.
    fn flapped(&mut self) -> Result<()> {
        self.tally.flaps += 1;
        let enforced =
            |metrics: &Metrics| metrics.sum("sccm_enforcing", &[("interface", "eth1")]) > 0.0;
        let metrics = self.agent()?.metrics_when(enforced)?;
        let labels = [("interface", "eth1")];
        let gap = metrics.sum("sccm_interface_gap_seconds_total", &labels);
        self.worst_gap = self.worst_gap.max(gap - self.gap);
        self.gap = gap;
        Ok(())
    }

    /// No counter may fall, and the agent must not grow.
    fn look(&mut self) -> Result<()> {
        let now = self.counted()?;
        for (what, count) in &self.before {
            let now = now.get(what).copied().unwrap_or_default();
            ensure!(now >= *count, "{what} fell from {count} to {now}");
        }
        self.before = now;
        let taken = self.taken()?;
        self.most.memory = self.most.memory.max(taken.memory);
        self.most.files = self.most.files.max(taken.files);
        self.most.pins = self.most.pins.max(taken.pins);
        Ok(())
    }

    /// What the kernel has counted, by interface, direction and reason.
    fn counted(&self) -> Result<BTreeMap<String, u64>> {
        let maps = Maps::open(&PinDir::new(self.hosts.pins()))?;
        let mut counted = BTreeMap::new();
        for reading in maps.counters()? {
            let what = format!(
                "{} {:?} {:?}",
                reading.interface, reading.direction, reading.reason
            );
            *counted.entry(what).or_default() += reading.count.packets;
        }
        Ok(counted)
    }

    /// The agent that lives now.
    pub fn agent(&self) -> Result<&Agent<'h>> {
        self.agent.as_ref().context("the last agent did not start")
    }

    fn taken(&self) -> Result<Taken> {
        let process = self.agent()?.proc()?;
        let status = fs::read_to_string(process.join("status"))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let memory = line.and_then(|line| line.split_whitespace().next());
        Ok(Taken {
            memory: memory.context("no memory is told")?.parse()?,
            files: fs::read_dir(process.join("fd"))?.count() as u64,
            pins: files_below(&self.hosts.pins())?,
        })
    }
}

fn enforce<'h>(hosts: &'h Hosts, policy: &PolicyFile) -> Result<Agent<'h>> {
    hosts.enforce(&format!("{} --interface eth1", policy.arguments()))
}

fn files_below(directory: &Path) -> Result<u64> {
    let mut count = 0;
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        count += match entry.file_type()?.is_dir() {
            true => files_below(&entry.path())?,
            false => 1,
        };
    }
    Ok(count)
}
