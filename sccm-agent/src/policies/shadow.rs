//! The shadow: a candidate that judges beside the active policy, until it is promoted or
//! let go.
//!
//! Its file was fixed when the agent began, because commands name no file. What is promoted
//! is what was judged with, not what the file says by then. A shadow ends with the agent's
//! start: the next agent has the bank, but not the policy as it was written.

use super::{Applied, Held, Outcome, Policies, Reload, What, Written, kept, outcome, prepare};
use crate::policy::Surroundings;
use anyhow::{Context as _, Result, anyhow};
use tokio::task::block_in_place;

impl Policies {
    /// Reads the candidate's file and has it judged beside the active policy, in place of a
    /// candidate before.
    ///
    /// # Errors
    /// Whatever speaks against the candidate, except for what it would cut off; the one
    /// before stays, if there is one.
    pub async fn shadow(&self) -> Result<Outcome> {
        let _turn = self.turn_to_read().await?;
        let path = self.settings.candidate.clone().context(
            "this agent was started with flags and has no candidate to read: start one with \
             --config, or --shadow-config",
        )?;
        let policy = Written::File(path).load_in_time().await?;
        prepare::check_policy(&self.settings, &policy)?;
        let mut held = self.held.lock().await;
        let (machine, compiled) = self.compile(&held, &policy).await?;
        // Should a write fail, there is none.
        held.shadow = None;
        block_in_place(|| held.maps.cast_shadow(&compiled))?;
        let policy = Some(policy);
        held.shadow = Some(Applied { policy, machine });
        outcome(&held, What::Shadowed)
    }

    /// Ends the shadow. Its counters and flows stay until there is another candidate.
    ///
    /// # Errors
    /// There is none, or the kernel refuses the write.
    pub async fn end_shadow(&self) -> Result<Outcome> {
        let mut held = self.held.lock().await;
        candidate_of(&held)?;
        held.maps.end_shadow()?;
        held.shadow = None;
        outcome(&held, What::ShadowEnded)
    }

    /// Makes the candidate the active policy, as a reload would.
    ///
    /// # Errors
    /// There is none, or whatever speaks against it; the active policy and the shadow stay.
    pub async fn promote(&self, order: Reload) -> Result<Outcome> {
        let judged = {
            let held = self.held.lock().await;
            self.ensure_confirmed(&held)?;
            candidate_of(&held)?.policy.clone().context(NO_SHADOW)?
        };
        self.announce(&judged, order).await?;
        let mut held = self.held.lock().await;
        let same = candidate_of(&held).is_ok_and(|now| now.policy.as_ref() == Some(&judged));
        let changed = match same {
            true => self.change_to(&mut held, judged, order).await,
            false => {
                self.settle(&mut held);
                Err(anyhow!(
                    "somebody changed the shadow meanwhile: look at it again"
                ))
            }
        };
        if changed.is_ok() {
            held.maps.end_shadow()?;
            held.shadow = None;
        }
        kept(held).await;
        let changed = changed?;
        Ok(Outcome {
            what: What::Promoted,
            shadow: None,
            ..changed
        })
    }

    /// Compiles the candidate for the machine as it is now. If that fails, the shadow ends, because
    /// its counters would be wrong.
    pub(super) async fn follow_with_shadow(&self, held: &mut Held, machine: &Surroundings) {
        let has_changed = |shadow: &mut Applied| shadow.machine != *machine;
        let Some(shadow) = held.shadow.take_if(has_changed) else {
            return;
        };
        match self.cast_again(held, shadow).await {
            Ok(shadow) => held.shadow = Some(shadow),
            Err(error) => {
                tracing::error!(
                    "the candidate does not fit this machine any more, and the shadow ends: {error:#}"
                );
                if let Err(error) = held.maps.end_shadow() {
                    tracing::error!("ending the shadow: {error:#}");
                }
            }
        }
    }

    async fn cast_again(&self, held: &mut Held, shadow: Applied) -> Result<Applied> {
        let policy = shadow.policy.context(NO_SHADOW)?;
        let (machine, compiled) = self.compile(held, &policy).await?;
        block_in_place(|| held.maps.cast_shadow(&compiled))?;
        tracing::info!("this machine's addresses or routes have changed; candidate updated");
        let policy = Some(policy);
        Ok(Applied { policy, machine })
    }
}

/// What a command is answered that needs a shadow.
pub const NO_SHADOW: &str = "there is no shadow: begin one with `sccm-agent reload --shadow`";

fn candidate_of(held: &Held) -> Result<&Applied> {
    held.shadow.as_ref().context(NO_SHADOW)
}
