//! What was decided about policies: which was confirmed, which is on trial, which were rolled back.
//!
//! The kernel's maps say what runs; they go with the machine, and at `detach`. This outlives both, in
//! a [file](file). Policies are kept as they were written, complete in themselves.

mod file;
mod keeper;
#[cfg(test)]
mod tests;

pub use file::{DEFAULT_STATE_DIR, StateFile};
pub use keeper::Saving;

use crate::policy::{SitePolicy, hash_of};
use anyhow::Result;
use keeper::Keeper;
use sccm_common::abi::PolicyInfo;
use std::path::{self, Path, PathBuf};

/// Which policy is meant: [`hash_of`].
type Hash = [u8; 32];

/// So many policies are remembered that were rolled back; the oldest is forgotten first.
const MOST_WITHDRAWN: usize = 256;

/// The decisions, and the file that keeps them.
pub struct Decisions {
    known: Known,
    keeper: Option<Keeper>,
}

#[derive(Debug, Default, PartialEq, Eq)]
struct Known {
    /// What is enforced unless somebody decides otherwise.
    confirmed: Option<Decided>,
    /// What was confirmed before that.
    previous: Option<Decided>,
    trial: Option<Hash>,
    /// What was rolled back, the latest last.
    withdrawn: Vec<Hash>,
    /// What the agent was given when it last read its policy: where that is not what was confirmed,
    /// somebody has decided since.
    given: Option<Hash>,
    /// Where it read that; `None`: from flags.
    policy_file: Option<PathBuf>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Decided {
    hash: Hash,
    policy: SitePolicy,
}

/// What a start enforces.
#[derive(Debug, PartialEq, Eq)]
pub enum Choice {
    /// The policy that it was given.
    Given,
    /// The one that was confirmed last, in place of it.
    Confirmed(Box<SitePolicy>),
    /// What runs, in place of it; nobody has that one as it was written.
    Running,
}

impl Decisions {
    /// Reads what the file has. A file that cannot be read is told, and changes nothing.
    ///
    /// # Errors
    /// No thread can be started that will write it.
    pub fn load(mut file: StateFile) -> Result<Self> {
        let known = file.load();
        let keeper = Some(Keeper::begin(file)?);
        Ok(Self { known, keeper })
    }

    /// None so far, and none to be kept: where nothing is dropped, nothing is decided.
    #[must_use]
    pub fn unkept() -> Self {
        Self {
            known: Known::default(),
            keeper: None,
        }
    }

    /// Brings what is known up to what the kernel runs, which is the truth. A trial that it knows
    /// nothing of is over: the policy was rolled back, or the machine went down.
    pub fn follow(&mut self, running: Option<&PolicyInfo>) {
        let trial = self.known.trial.take();
        match running {
            Some(running) if !running.is_confirmed() => self.known.trial = Some(running.hash),
            Some(running) if trial == Some(running.hash) => {}
            _ => trial.into_iter().for_each(|trial| self.withdraw(trial)),
        }
        if let Some(running) = running.filter(|running| running.withdrawn != [0; 32]) {
            self.withdraw(running.withdrawn);
        }
    }

    /// What a start enforces that was given this policy, where the kernel runs that one, if any.
    #[must_use]
    pub fn choose(&self, given: &Hash, running: Option<&Hash>) -> Choice {
        let known = &self.known;
        let confirmed = known.confirmed.as_ref().map(|confirmed| &confirmed.hash);
        let Some(last) = running.or(confirmed).filter(|last| *last != given) else {
            return Choice::Given;
        };
        // Nobody has changed the file since another policy was confirmed.
        let replaced = known.given.as_ref() == Some(given) && confirmed == Some(last);
        if !replaced && !self.was_withdrawn(given) {
            return Choice::Given;
        }
        let both = known.confirmed.iter().chain(&known.previous);
        match both.into_iter().find(|one| one.hash == *last) {
            Some(one) => Choice::Confirmed(Box::new(one.policy.clone())),
            None => Choice::Running,
        }
    }

    /// Whether it was rolled back, and nobody has asked for it since.
    #[must_use]
    pub fn was_withdrawn(&self, policy: &Hash) -> bool {
        self.known.withdrawn.contains(policy)
    }

    /// Whether it is the one that was confirmed last.
    #[must_use]
    pub fn is_confirmed(&self, policy: &Hash) -> bool {
        let confirmed = self.known.confirmed.as_ref();
        confirmed.is_some_and(|confirmed| confirmed.hash == *policy)
    }

    /// The policy with this hash, if it was confirmed last.
    #[must_use]
    pub fn confirmed(&self, policy: &Hash) -> Option<SitePolicy> {
        let confirmed = self.known.confirmed.as_ref();
        let confirmed = confirmed.filter(|confirmed| confirmed.hash == *policy);
        confirmed.map(|confirmed| confirmed.policy.clone())
    }

    /// What was confirmed last, if the agent read its policy from this file then.
    #[must_use]
    pub fn confirmed_from(&self, file: &Path) -> Option<SitePolicy> {
        let known = &self.known;
        let confirmed = known.confirmed.as_ref();
        let confirmed = confirmed.filter(|_| known.policy_file.as_ref() == Some(&absolute(file)));
        confirmed.map(|confirmed| confirmed.policy.clone())
    }

    /// What was confirmed before what is confirmed now.
    #[must_use]
    pub fn previous(&self) -> Option<SitePolicy> {
        let previous = self.known.previous.as_ref();
        previous.map(|previous| previous.policy.clone())
    }

    /// The agent has read this from its file, or from its flags.
    pub fn was_given(&mut self, policy: Hash, file: Option<&Path>) {
        self.known.given = Some(policy);
        self.known.policy_file = file.map(absolute);
    }

    /// Whether the agent's file held something else than this policy when it was read last.
    #[must_use]
    pub fn file_differs(&self, active: &Hash) -> bool {
        let known = &self.known;
        known.policy_file.is_some() && known.given.is_some_and(|given| given != *active)
    }

    /// A policy is active, and nobody has to confirm it, or somebody has.
    pub fn confirm(&mut self, policy: &SitePolicy) {
        let known = &mut self.known;
        known.trial = None;
        let next = Decided::of(policy);
        known.withdrawn.retain(|one| *one != next.hash);
        let before = known.confirmed.replace(next);
        if before != known.confirmed {
            known.previous = before;
        }
    }

    /// The active policy is written in other words that mean the same.
    pub fn rename(&mut self, policy: &SitePolicy) {
        let previous = self.known.previous.take();
        self.confirm(policy);
        self.known.previous = previous;
    }

    /// A policy goes on trial. To be saved before it is published, so that no reboot confirms it.
    pub fn try_out(&mut self, policy: Hash) {
        self.known.trial = Some(policy);
    }

    /// It could not be published.
    pub fn end_trial(&mut self) {
        self.known.trial = None;
    }

    /// What was on trial has been rolled back.
    pub fn roll_back_trial(&mut self) {
        if let Some(trial) = self.known.trial.take() {
            self.withdraw(trial);
        }
    }

    /// The active policy has been rolled back for this one.
    pub fn roll_back_to(&mut self, policy: &SitePolicy) {
        if let Some(left) = &self.known.confirmed {
            self.withdraw(left.hash);
        }
        self.confirm(policy);
    }

    /// Has it written down. What goes wrong is logged.
    pub fn save(&self) -> Saving {
        let Some(keeper) = &self.keeper else {
            return Saving::NOTHING;
        };
        match file::text(&self.known) {
            Ok(text) => keeper.keep(Some(text)),
            Err(error) => {
                tracing::error!("the decision was not saved: {error:#}");
                Saving::NOTHING
            }
        }
    }

    /// What was handed over to be written, and may not be yet.
    pub fn last_saving(&self) -> Saving {
        let keep = |keeper: &Keeper| keeper.keep(None);
        self.keeper.as_ref().map_or(Saving::NOTHING, keep)
    }

    fn withdraw(&mut self, policy: Hash) {
        let withdrawn = &mut self.known.withdrawn;
        withdrawn.retain(|one| *one != policy);
        withdrawn.push(policy);
        let surplus = withdrawn.len().saturating_sub(MOST_WITHDRAWN);
        withdrawn.drain(..surplus);
    }
}

fn absolute(file: &Path) -> PathBuf {
    path::absolute(file).unwrap_or_else(|_| file.to_owned())
}

impl Decided {
    fn of(policy: &SitePolicy) -> Self {
        Self {
            hash: hash_of(policy),
            policy: policy.clone(),
        }
    }
}
