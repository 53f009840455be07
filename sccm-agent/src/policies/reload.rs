//! Reading the policy's file again. It may hang, so it takes no turn among the changes.

use super::{Outcome, Policies, Reload, What, Written, kept, outcome, prepare, save};
use crate::files;
use crate::policy::hash_text;
use anyhow::{Context as _, Result, anyhow, ensure};
use std::sync::Arc;
use tokio::sync::MutexGuard;
use tokio::time::timeout;

impl Policies {
    /// Reads the policy's file again and makes it the active policy. Before that, the other
    /// files are read again; where those are good, they are in force from then on, whatever
    /// becomes of the policy.
    ///
    /// # Errors
    /// Whatever speaks against the files; the running policy stays.
    pub async fn reload(&self, order: Reload) -> Result<Outcome> {
        let result = self.publish_file(order).await;
        self.record.reloads.note(result.is_ok());
        result
    }

    /// While it reads, others may confirm and roll back: a file system may hang.
    async fn publish_file(&self, order: Reload) -> Result<Outcome> {
        let _turn = self.turn_to_read().await?;
        let _reloading = self.supervisor.reloading();
        let has_policy = matches!(self.settings.written, Written::File(_));
        ensure!(
            has_policy || self.other_files.exist() && order.confirm_within.is_none(),
            "this agent was started with flags and has no file to read again: start one with --config"
        );
        let other_files = Arc::clone(&self.other_files);
        let put_in_force = files::in_time(|| other_files.read()).await?;
        put_in_force();
        if !has_policy {
            return outcome(&*self.held.lock().await, What::Unchanged);
        }
        self.ensure_confirmed(&*self.held.lock().await)?;
        let changes = self.changes();
        let policy = self.settings.written.load_in_time().await?;
        prepare::check_policy(&self.settings, &policy)?;
        self.announce(&policy, order).await?;
        let mut turn = self.held.lock().await;
        let held = &mut *turn;
        let changed = match changes == self.changes() {
            true => self.change_to(held, policy, order).await,
            false => {
                self.settle(held);
                Err(anyhow!(
                    "somebody changed the policy while its file was read: run `sccm-agent reload` again"
                ))
            }
        };
        if changed.is_ok() {
            let hash = held.maps.info()?.hash;
            held.decisions.was_given(hash, self.settings.written.path());
            save(held);
            self.record.drift.note(Some(hash_text(&hash)));
        }
        kept(turn).await;
        let outcome = changed?;
        Ok(Outcome {
            file_differs: false,
            ..outcome
        })
    }

    /// Those who read files take turns, so that nobody publishes what was read before something newer.
    pub(super) async fn turn_to_read(&self) -> Result<MutexGuard<'_, ()>> {
        let turn = timeout(files::PATIENCE, self.reading.lock()).await;
        turn.context("another reload still reads its files: try again")
    }
}
