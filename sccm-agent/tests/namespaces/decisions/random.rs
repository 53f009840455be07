//! Random sequences of what an operator does and what befalls a machine: after each step, the kernel
//! enforces what a short model says.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, ensure};
use fastrand::Rng;
use nix::sys::signal::Signal;
use sccm_agent::config;
use sccm_agent::kernel::{Found, Maps, PinDir};
use sccm_agent::policy::hash_of;
use sccm_tests::agent::{Agent, Hosts, PolicyFile};

/// What files and candidates may say, by their numbers.
const POLICIES: [&[&str]; 3] = [&[], &["tcp/21"], &["tcp/22"]];

/// How long new sequences are begun.
const TIME: Duration = Duration::from_secs(20);

const STEPS: usize = 12;

#[derive(Clone, Copy, Debug)]
enum Step {
    Edit(usize),
    Start,
    Reload,
    Trial,
    Confirm,
    Rollback,
    Shadow(usize),
    Promote,
    Terminate,
    Kill,
    Reboot,
}

/// What should be true. Policies are numbers.
#[derive(Default)]
struct Model {
    /// What is enforced.
    enforced: Option<usize>,
    file: usize,
    /// What the agent read last.
    given: Option<usize>,
    confirmed: Option<usize>,
    previous: Option<usize>,
    trial: Option<usize>,
    withdrawn: BTreeSet<usize>,
    candidate: Option<usize>,
}

impl Model {
    fn confirm(&mut self, policy: usize) {
        self.withdrawn.remove(&policy);
        if self.confirmed != Some(policy) {
            self.previous = self.confirmed.replace(policy);
        }
        (self.enforced, self.trial) = (Some(policy), None);
    }

    fn roll_back(&mut self) {
        self.withdrawn.extend(self.trial.take());
        self.enforced = self.enforced.and(self.confirmed);
    }

    fn start(&mut self) {
        let goes_on = self.enforced.is_some() && self.trial == Some(self.file);
        if !goes_on {
            self.roll_back();
            let decided = self.given == Some(self.file) || self.withdrawn.contains(&self.file);
            self.confirm(self.confirmed.filter(|_| decided).unwrap_or(self.file));
        }
        self.given = Some(self.file);
    }

    /// Whether a running agent does it, rather than refuse.
    fn command(&mut self, step: Step) -> bool {
        match (step, self.trial, self.candidate, self.previous) {
            (Step::Reload, None, ..) => self.confirm(self.file),
            (Step::Trial, None, ..) if self.enforced == Some(self.file) => return false,
            (Step::Trial, None, ..) => {
                self.trial = Some(self.file);
                self.enforced = self.trial;
            }
            (Step::Confirm, Some(trial), ..) => self.confirm(trial),
            (Step::Rollback, Some(_), ..) => self.roll_back(),
            (Step::Rollback, None, _, Some(previous)) => {
                self.withdrawn.extend(self.confirmed);
                self.confirm(previous);
            }
            (Step::Shadow(candidate), ..) => self.candidate = Some(candidate),
            (Step::Promote, None, Some(candidate), _) => {
                self.confirm(candidate);
                self.candidate = None;
            }
            _ => return false,
        }
        if matches!(step, Step::Reload | Step::Trial) {
            self.given = Some(self.file);
        }
        true
    }

    /// The agent ends; with it, unless it is killed, or with the machine, what is enforced.
    fn end(&mut self, step: Step) {
        self.candidate = None;
        match step {
            Step::Kill => {}
            Step::Reboot => self.enforced = None,
            _ => {
                self.roll_back();
                self.enforced = None;
            }
        }
    }
}

struct Run<'h> {
    hosts: &'h Hosts,
    agent: Option<Agent<'h>>,
    policy: PolicyFile,
    hashes: Vec<[u8; 32]>,
    model: Model,
}

impl<'h> Run<'h> {
    fn new(hosts: &'h Hosts) -> Result<Self> {
        let policy = PolicyFile::allowing(&[])?;
        let mut hashes = Vec::new();
        for ports in POLICIES {
            policy.allow(ports)?;
            hashes.push(hash_of(&config::load(&policy.path())?));
        }
        policy.allow(POLICIES[0])?;
        Ok(Self {
            hosts,
            agent: None,
            policy,
            hashes,
            model: Model::default(),
        })
    }

    /// A step that is possible now.
    fn choose(&self, rng: &mut Rng) -> Step {
        let policy = rng.usize(..POLICIES.len());
        let pinned = self.model.enforced.is_some();
        match (&self.agent, rng.u8(..10)) {
            (_, 0..2) => Step::Edit(policy),
            (None, 2) if pinned => Step::Reboot,
            (None, _) => Step::Start,
            (_, 2) => Step::Reload,
            (_, 3) => Step::Trial,
            (_, 4) => Step::Confirm,
            (_, 5) => Step::Rollback,
            (_, 6) if self.model.candidate.is_some() => Step::Promote,
            (_, 6) => Step::Shadow(policy),
            (_, 7) => Step::Terminate,
            (_, 8) => Step::Kill,
            _ => Step::Reboot,
        }
    }

    fn take(&mut self, step: Step) -> Result<()> {
        let command = match step {
            Step::Edit(policy) => {
                self.model.file = policy;
                return self.policy.allow(POLICIES[policy]);
            }
            Step::Start => {
                self.agent = Some(self.hosts.enforce(&self.policy.arguments())?);
                self.model.start();
                return Ok(());
            }
            Step::Terminate | Step::Kill | Step::Reboot => return self.end(step),
            Step::Reload => "reload",
            Step::Trial => "reload --confirm-within 1h",
            Step::Confirm => "confirm",
            Step::Rollback => "rollback",
            Step::Shadow(candidate) => {
                self.policy.propose(POLICIES[candidate])?;
                "reload --shadow"
            }
            Step::Promote => "promote",
        };
        let finished = self.hosts.run(command)?;
        let expected = if self.model.command(step) { 0 } else { 2 };
        ensure!(finished.code == Some(expected), "{finished:?}");
        Ok(())
    }

    fn end(&mut self, step: Step) -> Result<()> {
        let signal = match step {
            Step::Terminate => Signal::SIGTERM,
            _ => Signal::SIGKILL,
        };
        if let Some(agent) = self.agent.take() {
            agent.end(signal)?;
        }
        if matches!(step, Step::Reboot) {
            self.hosts.run("detach")?;
        }
        self.model.end(step);
        Ok(())
    }

    fn check(&self) -> Result<()> {
        let pins = PinDir::new(self.hosts.pins());
        let enforced = match pins.look()? {
            Found::Maps => Some(Maps::open(&pins)?.info()?.hash),
            _ => None,
        };
        let expected = self.model.enforced.map(|policy| self.hashes[policy]);
        let number = enforced.map(|hash| self.hashes.iter().position(|one| *one == hash));
        ensure!(
            enforced == expected,
            "policy {number:?} is enforced, and {:?} should be",
            self.model.enforced
        );
        Ok(())
    }
}

fn sequence(seed: u64) -> Result<()> {
    let mut rng = Rng::with_seed(seed);
    let hosts = Hosts::new()?;
    let mut run = Run::new(&hosts)?;
    let mut taken = String::new();
    for _ in 0..STEPS {
        let step = run.choose(&mut rng);
        write!(taken, " {step:?}")?;
        let done = run.take(step).and_then(|()| run.check());
        done.with_context(|| format!("seed {seed}, after{taken}"))?;
    }
    Ok(())
}

#[test]
fn what_is_enforced_is_what_was_decided() -> Result<()> {
    // The same ones in every run, and then others.
    (0..4).try_for_each(sequence)?;
    let end = Instant::now() + TIME;
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?;
    let mut seed = now.as_nanos() as u64;
    while Instant::now() < end {
        sequence(seed)?;
        seed = seed.wrapping_add(1);
    }
    Ok(())
}
