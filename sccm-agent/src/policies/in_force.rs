//! A policy's tables and its hooks come into force together.

use super::tracking::{keep_open, tracks};
use super::{Held, Policies, publish};
use crate::hooks::Attachments;
use crate::interface::Interface;
use crate::policy::{Compiled, Hooks, Tables};
use anyhow::Result;
use std::time::Duration;
use tokio::task::block_in_place;

impl Policies {
    /// Makes a policy the active one, at the hooks that it asks; with a trial, until its end.
    ///
    /// # Errors
    /// A card cannot have its hook, or the kernel refuses; hooks and policy are as before.
    pub(super) async fn put_in_force(
        &self,
        held: &mut Held,
        compiled: Compiled,
        trial: Option<Duration>,
        hooks: &Hooks,
    ) -> Result<()> {
        let present = self.netlink.interfaces().await?;
        block_in_place(|| {
            let mut attachments = self.attachments.lock();
            let change = attachments.begin(hooks, &held.maps, (&held.plan, &present))?;
            self.keep_open(held, &compiled)?;
            publish(held, compiled, trial)?;
            attachments.finish(change);
            Ok(())
        })
    }

    /// Spares connections to ports that the policy begins to track.
    fn keep_open(&self, held: &Held, compiled: &Compiled) -> Result<()> {
        if tracks(&compiled.policy) {
            let (before, after) = (held.maps.tables()?, Tables::from(compiled));
            keep_open(
                &self.pins,
                self.settings.is_gateway(),
                Some(&before),
                &after,
            );
        }
        Ok(())
    }

    /// Returns to the hooks of the running policy, which is active again. What cannot be done at once
    /// is done later: the policy needs no hook to hold.
    pub(super) async fn return_to_hooks(&self, held: &Held) {
        let Some(policy) = &held.running.policy else {
            return;
        };
        let present = self.netlink.interfaces().await;
        block_in_place(|| {
            let mut attachments = self.attachments.lock();
            let returned = present.and_then(|present| {
                return_at_once(&mut attachments, &policy.hooks, held, &present)
            });
            let Err(error) = returned else { return };
            tracing::error!("returning to the hooks of the confirmed policy: {error:#}");
            if let Err(error) = attachments.ask_later(&policy.hooks, &held.maps) {
                tracing::error!("the hooks stay as they are: {error:#}");
            }
        });
    }
}

fn return_at_once(
    attachments: &mut Attachments,
    hooks: &Hooks,
    held: &Held,
    present: &[Interface],
) -> Result<()> {
    let change = attachments.begin(hooks, &held.maps, (&held.plan, present))?;
    attachments.finish(change);
    Ok(())
}
