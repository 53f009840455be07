//! A policy on trial: who ends it, if nobody confirms it.

use super::{Held, Outcome, Policies, What, kept, outcome, save};
use crate::decisions::Saving;
use crate::kernel::since_boot;
use crate::record::Part;
use anyhow::{Result, ensure};
use std::time::Duration;
use tokio::sync::MutexGuard;
use tokio::time::sleep;

/// From an attempt that failed to the next, and from one look at the clock to the next.
const AGAIN: Duration = Duration::from_secs(1);

/// The end of all changes: nobody publishes anything while this lives.
pub struct Ended<'a> {
    /// Somebody confirmed the active policy, or nobody needs to: it may outlive the agent.
    pub confirmed: bool,
    /// To be waited for before the process ends.
    pub saving: Saving,
    _turn: MutexGuard<'a, Held>,
}

impl Policies {
    /// Ends the trial: the active policy stays.
    ///
    /// # Errors
    /// Nothing is on trial, or the kernel refuses the write.
    pub async fn confirm(&self) -> Result<Outcome> {
        let mut turn = self.held.lock().await;
        let held = &mut *turn;
        ensure!(
            self.deadline.borrow().is_some(),
            "nothing waits to be confirmed: the active policy, generation {}, stays anyway",
            held.maps.info()?.generation
        );
        held.maps.confirm()?;
        held.before_trial = None;
        if let Some(policy) = &held.running.policy {
            held.decisions.confirm(policy);
        }
        save(held);
        self.deadline.send_replace(None);
        self.catch_up(held).await;
        let outcome = outcome(held, What::Confirmed);
        kept(turn).await;
        outcome
    }

    /// Takes policies back that nobody confirms in time, for as long as there is
    /// one to go back to. Ends where there is none: then the agent must let go.
    pub async fn take_back_when_due(&self) {
        let mut deadline = self.deadline.subscribe();
        loop {
            let due = *deadline.borrow_and_update();
            let over = async {
                match due {
                    Some(due) => reach(due).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = over => {}
                // Never an error: the sender lives as long as this does.
                _ = deadline.changed() => continue,
            }
            let mut held = self.held.lock().await;
            if *self.deadline.borrow() != due {
                continue;
            }
            match self.go_back(&mut held).await {
                Ok(true) => {}
                Ok(false) => return,
                Err(error) => {
                    drop(held);
                    self.record.errors.count(Part::Trial);
                    tracing::error!(
                        "rolling back the policy that nobody confirmed in time: {error:#}"
                    );
                    sleep(AGAIN).await;
                }
            }
        }
    }

    /// Rolls back what nobody confirmed in time; false if there is nothing to return to.
    async fn go_back(&self, held: &mut Held) -> Result<bool> {
        if !held.maps.standby()?.is_confirmed() {
            held.decisions.roll_back_trial();
            save(held);
            return Ok(false);
        }
        tracing::warn!("nobody confirmed the policy in time");
        self.roll_back_trial(held).await?;
        Ok(true)
    }

    /// Ends all changes, before the agent does. A policy that is on trial is rolled back, if
    /// there is one to go back to: without an agent, nobody would.
    ///
    /// # Errors
    /// The maps cannot be read, or the kernel refuses the write.
    pub async fn end(&self) -> Result<Ended<'_>> {
        let mut held = self.held.lock().await;
        let mut confirmed = true;
        if self.deadline.borrow().is_some() {
            confirmed = held.maps.standby()?.is_confirmed();
            if confirmed {
                self.roll_back_trial(&mut held).await?;
            } else {
                held.decisions.roll_back_trial();
                save(&mut held);
            }
        }
        Ok(Ended {
            confirmed,
            saving: held.decisions.last_saving(),
            _turn: held,
        })
    }

    /// One word: the other bank holds the confirmed policy as it was.
    pub(super) async fn roll_back_trial(&self, held: &mut Held) -> Result<()> {
        held.maps.roll_back()?;
        held.decisions.roll_back_trial();
        save(held);
        if let Some(before) = held.before_trial.take() {
            self.run(held, before);
            self.return_to_hooks(held).await;
        }
        self.deadline.send_replace(None);
        let generation = held.maps.info().map(|info| info.generation).ok();
        tracing::warn!(generation, "returned to the confirmed policy");
        self.catch_up(held).await;
        Ok(())
    }
}

/// When a trial that begins now ends, in seconds since the machine booted.
#[must_use]
pub fn confirm_by(trial: Duration) -> u64 {
    since_boot().saturating_add(trial).as_secs()
}

/// Waits until the machine has been up for so long. Timers stand still while it is suspended.
async fn reach(uptime: Duration) {
    loop {
        let left = uptime.saturating_sub(since_boot());
        if left.is_zero() {
            return;
        }
        sleep(left.min(AGAIN)).await;
    }
}
