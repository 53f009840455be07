//! What a new agent makes of the policy that it was given, of the one that it finds in the maps, and
//! of what was decided before.
//!
//! An agent that dies while a policy is on trial leaves it enforced, and nobody to roll it back. So
//! the next one does that first of all, by one word, before it checks anything that could go wrong;
//! or the trial goes on, if there is time left and the agent was given that very policy.

use super::Settings;
use crate::decisions::{Choice, Decisions, StateFile};
use crate::files;
use crate::kernel::{Found, Maps, PinDir};
use crate::policies::Settings as PolicySettings;
use crate::policies::prepare::check_policy;
use crate::policy::{Compiled, SitePolicy, hash_of, hash_text};
use anyhow::{Context as _, Error, Result};
use sccm_common::abi::PolicyInfo;
use sccm_common::policy::flag;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// What is pinned.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Taken {
    pub found: Found,
    /// What is left of a trial that goes on.
    pub trial: Option<Duration>,
    /// What the maps say of the active policy, unless that only observes.
    pub running: Option<PolicyInfo>,
    /// The policy file cannot be read: the agent was given nothing, and what was confirmed last stands
    /// in.
    pub unread: bool,
}

/// What a start does with a policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Start {
    /// Makes it the active one.
    Publish,
    /// Nothing: it is the active one.
    Unchanged,
    /// Nothing: another one is, and stays so.
    Keep,
}

/// What a start enforces.
pub(crate) struct Chosen {
    pub start: Start,
    pub compiled: Compiled,
    /// As it was written; `None` for one that another agent published.
    pub policy: Option<SitePolicy>,
    /// It is the one that the agent was given.
    pub obeyed: bool,
}

impl Taken {
    pub(crate) const NOTHING: Self = Self {
        found: Found::Nothing,
        trial: None,
        running: None,
        unread: false,
    };

    /// The policy of a start whose file cannot be read: where nothing filters, as after a reboot, the
    /// one that was confirmed last from that file.
    ///
    /// # Errors
    /// `error`, where there is none.
    pub(crate) async fn stand_in(
        &mut self,
        settings: &Settings,
        error: Error,
    ) -> Result<SitePolicy> {
        let file = settings.policies.written.path();
        let Some(file) = file.filter(|_| self.found == Found::Nothing) else {
            return Err(error);
        };
        let decisions = decisions(settings).await;
        let confirmed = decisions.confirmed_from(file);
        let Some(confirmed) = confirmed.filter(|_| !settings.policies.observe) else {
            return Err(error);
        };
        self.unread = true;
        tracing::error!(
            "the policy file has a mistake, so the last confirmed policy is enforced instead; correct \
             the file, then run `sccm-agent reload`: {error:#}"
        );
        Ok(confirmed)
    }

    /// Looks at what is pinned. A policy that nobody confirmed is rolled back, unless its trial goes
    /// on: there is time left, and it is what the agent was `given`. Where no policy was confirmed
    /// before it, all hooks and maps are removed. Sets `changed` then.
    ///
    /// # Errors
    /// The pins cannot be read or changed.
    pub(crate) fn over(
        pins: &PinDir,
        given: Option<&SitePolicy>,
        settings: &PolicySettings,
        changed: &mut bool,
    ) -> Result<Self> {
        let mut taken = Self {
            found: pins.look()?,
            ..Self::NOTHING
        };
        if taken.found != Found::Maps {
            return Ok(taken);
        }
        let mut maps = Maps::open(pins)?;
        let active = maps.info()?;
        if !active.is_confirmed() {
            let left = active.confirm_by.saturating_sub(now());
            let is_given = given.is_some_and(|given| hash_of(given) == active.hash)
                && observes(&active) == settings.observe;
            if left > 0 && is_given {
                taken.trial = Some(Duration::from_secs(left));
            } else {
                *changed = true;
                taken.found = roll_back(pins, &mut maps, active.generation)?;
            }
        }
        if taken.found == Found::Maps {
            taken.running = Some(maps.info()?).filter(|running| !observes(running));
        }
        Ok(taken)
    }

    /// Which policy a start enforces that was given this one, compiled.
    ///
    /// # Errors
    /// The policy does not compile, or the maps cannot be read.
    pub(crate) fn choose(
        &self,
        settings: &Settings,
        decisions: &Decisions,
        given: SitePolicy,
        compile: impl Fn(&SitePolicy) -> Result<Compiled>,
    ) -> Result<Chosen> {
        let hash = hash_of(&given);
        let running = self.running.map(|running| running.hash);
        let mut choice = match settings.policies.observe {
            // Nothing is dropped then: there is nothing to spare the operator.
            true => Choice::Given,
            false => decisions.choose(&hash, running.as_ref()),
        };
        if let Choice::Confirmed(confirmed) = choice {
            let check = check_policy(&settings.policies, &confirmed);
            match check.and_then(|()| compile(&confirmed)) {
                Ok(mut compiled) => {
                    compiled.info.withdrawn = hash;
                    return Ok(Chosen {
                        start: self.start(&settings.pins, &compiled)?,
                        compiled,
                        policy: Some(*confirmed),
                        obeyed: false,
                    });
                }
                Err(error) => {
                    tracing::error!("the last confirmed policy cannot be enforced: {error:#}")
                }
            }
            choice = match running {
                Some(_) => Choice::Running,
                None => Choice::Given,
            };
        }
        let compiled = compile(&given)?;
        let obeyed = choice == Choice::Given;
        Ok(Chosen {
            start: match obeyed {
                true => self.start(&settings.pins, &compiled)?,
                false => Start::Keep,
            },
            compiled,
            policy: obeyed.then_some(given),
            obeyed,
        })
    }

    fn start(&self, pins: &PinDir, compiled: &Compiled) -> Result<Start> {
        // On trial, nothing else is published.
        let stays = match self.found {
            Found::Maps if self.trial.is_none() => {
                Maps::open(pins)?.info()?.tables == compiled.info.tables
            }
            _ => self.trial.is_some(),
        };
        Ok(match stays {
            true => Start::Unchanged,
            false => Start::Publish,
        })
    }
}

/// What was decided before. A file system that hangs keeps no start from enforcing.
pub(crate) async fn decisions(settings: &Settings) -> Decisions {
    let file = StateFile::new(&settings.state_dir, &settings.pins);
    let read = files::in_time(|| Decisions::load(file)).await;
    read.unwrap_or_else(|error| {
        tracing::error!(
            "which policies were confirmed before cannot be read, and decisions are not saved: {error:#}"
        );
        Decisions::unkept()
    })
}

fn roll_back(pins: &PinDir, maps: &mut Maps, unconfirmed: u64) -> Result<Found> {
    if maps.standby()?.is_confirmed() {
        maps.roll_back()?;
        tracing::warn!(
            generation = maps.info()?.generation,
            "nobody confirmed policy {unconfirmed} before its agent died: returned to the previous policy"
        );
        return Ok(Found::Maps);
    }
    pins.clear()
        .context("rolling back the policy that nobody confirmed")?;
    tracing::warn!(
        "nobody confirmed the first policy before its agent died: detached everything, and starting anew"
    );
    Ok(Found::Nothing)
}

/// Says that something else is enforced than what the agent was given.
pub(crate) fn tell_disobedience(active: &PolicyInfo, given_was_withdrawn: bool) {
    let why = match given_was_withdrawn {
        true => "it was rolled back before",
        false => {
            "another policy was confirmed after the agent last read it, and it has not changed since"
        }
    };
    tracing::warn!(
        "the last confirmed policy, {}, is enforced, and not the policy that this agent was started with: {why}; change it, or run `sccm-agent reload`",
        &hash_text(&active.hash)[..12]
    );
}

/// Whether nothing would be dropped: then there is nothing to spare the operator.
const fn observes(info: &PolicyInfo) -> bool {
    info.flags & flag::OBSERVE != 0
}

fn now() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.unwrap_or_default().as_secs()
}
