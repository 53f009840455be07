//! Following the machine: its own addresses and its routes are part of the running policy.

use super::{Held, Policies, prepare, publish};
use crate::kernel::Clock;
use crate::plan::Plan;
use crate::policy::Compiled;
use crate::units;
use anyhow::Result;
use sccm_common::policy::flag;
use sccm_common::probe;

impl Policies {
    /// Publishes the running policy for the machine as it is now, if it has changed; `plan` are
    /// its cards from now on. While a policy is on trial, that waits for its end.
    ///
    /// # Errors
    /// The kernel does not answer, or refuses a write.
    pub async fn follow_machine(&self, plan: &Plan) -> Result<()> {
        let mut held = self.held.lock().await;
        if held.plan != *plan {
            held.plan = plan.clone();
        }
        self.follow(&mut held).await
    }

    async fn follow(&self, held: &mut Held) -> Result<()> {
        let machine = prepare::surroundings(&self.settings, &self.netlink, &held.plan).await?;
        self.follow_with_shadow(held, &machine).await;
        if self.deadline.borrow().is_some() || held.running.machine == machine {
            return Ok(());
        }
        let Some(policy) = held.running.policy.clone() else {
            held.running.machine = machine;
            tracing::warn!(
                "this machine's addresses or routes have changed, but an agent before this one \
                 published the policy: run `sccm-agent reload` to update it"
            );
            return Ok(());
        };
        let (machine, mut compiled) = self.compile(held, &policy).await?;
        let active = held.maps.info()?;
        // Whoever has become the master of a pair knows no streams.
        let known = &held.running.machine.own;
        if machine.own.iter().any(|own| !known.contains(own)) {
            probe(&mut compiled)?;
        }
        if compiled.info.tables != active.tables {
            compiled.info.withdrawn = active.withdrawn;
            publish(held, compiled, None)?;
            tracing::info!(
                generation = held.maps.info()?.generation,
                "this machine's addresses or routes have changed; policy published"
            );
        }
        held.running.machine = machine;
        Ok(())
    }

    /// [`Policies::follow_machine`], after a trial in which nobody could.
    pub(super) async fn catch_up(&self, held: &mut Held) {
        if let Err(error) = self.follow(held).await {
            tracing::error!("following this machine's addresses and routes: {error:#}");
        }
    }
}

/// Lets probes pass from now on, if they may at all.
pub fn probe(compiled: &mut Compiled) -> Result<()> {
    compiled.probe(Clock::read()?.program().saturating_add(probe::TIME));
    if compiled.policy.has(flag::PROBES) {
        let time = units::describe(probe::TIME.into());
        tracing::info!("for {time}, a few packets of each unknown TCP connection pass as probes");
    }
    Ok(())
}
