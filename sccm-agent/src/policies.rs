//! The running policy, and every way in which it changes.
//!
//! Reload, promotion, confirmation, rollback and changes of the machine all come here and take
//! turns, so that no two of them ever write a bank. In its turn, nobody waits for a file. A policy on trial keeps
//! the confirmed one untouched in the other bank, one word away: until the trial
//! ends, nothing else is published.

mod drift;
mod in_force;
mod machine;
mod order;
mod other_files;
pub mod prepare;
mod reload;
mod settings;
mod shadow;
mod tracking;
mod trial;
mod written;

pub use machine::probe;
pub use order::{Outcome, Reload, What};
pub use other_files::{OtherFiles, PutInForce};
pub use settings::Settings;
pub use shadow::NO_SHADOW;
pub use tracking::keep_open;
pub use trial::{Ended, confirm_by};
pub use written::Written;

use crate::decisions::{Decisions, Saving};
use crate::hooks::{self, SharedAttachments};
use crate::interface::Netlink;
use crate::kernel::{Maps, PinDir, since_boot};
use crate::plan::Plan;
use crate::policy::{Compiled, SitePolicy, Surroundings, hash_of, hash_text};
use crate::record::Record;
use crate::supervisor::Supervisor;
use anyhow::{Result, bail, ensure};
use sccm_common::abi::PolicyInfo;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::{Mutex, MutexGuard, watch};
use tokio::task::block_in_place;

/// Owner of the policy of a running agent.
pub struct Policies {
    settings: Settings,
    pins: PinDir,
    netlink: Netlink,
    record: Arc<Record>,
    other_files: Arc<dyn OtherFiles>,
    supervisor: Arc<Supervisor>,
    attachments: Arc<SharedAttachments>,
    held: Mutex<Held>,
    reading: Mutex<()>,
    /// For how long the machine is up when the trial ends; `None` without one. Written under the lock only.
    deadline: watch::Sender<Option<Duration>>,
    /// How often `held.running` has been replaced.
    changes: AtomicU64,
}

struct Held {
    /// Handles of their own, so that nobody who reads the maps waits for a publication.
    maps: Maps,
    /// The machine's cards.
    plan: Plan,
    running: Applied,
    decisions: Decisions,
    /// What the change that has the turn waits for, once it has handed it on.
    saving: Option<Saving>,
    /// While `running` is on trial: what the other bank holds.
    before_trial: Option<Applied>,
    /// The candidate in the shadow's bank.
    shadow: Option<Applied>,
}

/// What a start has left in the maps.
pub struct Started {
    pub maps: Maps,
    /// The machine's cards.
    pub plan: Plan,
    /// The active policy.
    pub running: Applied,
    /// For how long it is on trial; `None`: it is not.
    pub trial: Option<Duration>,
    /// While it is: what the other bank holds, as it was written, if that is known.
    pub before: Option<SitePolicy>,
    pub decisions: Decisions,
}

/// A policy that is in a bank.
pub struct Applied {
    /// As it was written; `None` for one that another agent published.
    pub policy: Option<SitePolicy>,
    /// The machine as it was when the policy was compiled for it.
    pub machine: Surroundings,
}

impl Policies {
    /// Takes charge of what a start has left in the maps.
    #[must_use]
    pub fn new(
        settings: Settings,
        pins: PinDir,
        netlink: Netlink,
        (record, supervisor, attachments): (Arc<Record>, Arc<Supervisor>, Arc<SharedAttachments>),
        other_files: Arc<dyn OtherFiles>,
        started: Started,
    ) -> Self {
        let Started {
            maps,
            plan,
            running,
            trial,
            before,
            decisions,
        } = started;
        let before = Applied {
            machine: match before {
                // Compared with the machine once the trial ends.
                Some(_) => Surroundings::default(),
                None => running.machine.clone(),
            },
            policy: before,
        };
        record.rules.note(running.policy.as_ref());
        let held = Held {
            maps,
            plan,
            running,
            decisions,
            saving: None,
            before_trial: trial.map(|_| before),
            shadow: None,
        };
        Self {
            settings,
            pins,
            netlink,
            record,
            other_files,
            supervisor,
            attachments,
            held: Mutex::new(held),
            reading: Mutex::default(),
            deadline: watch::Sender::new(trial.map(|trial| since_boot() + trial)),
            changes: AtomicU64::new(0),
        }
    }

    /// How often the running policy has been replaced, also by one with the same tables.
    pub fn changes(&self) -> u64 {
        self.changes.load(Ordering::Relaxed)
    }

    /// The running policy as it was written, unless another agent published it, and what
    /// the kernel says about it. Waits while the policy is being changed.
    ///
    /// # Errors
    /// The kernel refuses the read.
    pub async fn running(&self) -> Result<(Option<SitePolicy>, PolicyInfo)> {
        let held = self.held.lock().await;
        Ok((held.running.policy.clone(), held.maps.info()?))
    }

    /// What the kernel says of the active policy, and the cards that it is for.
    ///
    /// # Errors
    /// The kernel refuses the read, or somebody else made another policy the active one.
    pub async fn in_force(&self) -> Result<(PolicyInfo, Plan)> {
        let held = self.held.lock().await;
        let active = held.maps.info()?;
        let running = held.running.policy.as_ref();
        ensure!(
            running.is_none_or(|running| hash_of(running) == active.hash),
            "policy {} is active, and not the one that this agent made active: run `sccm-agent reload`",
            &hash_text(&active.hash)[..12]
        );
        Ok((active, held.plan.clone()))
    }

    /// The running policy as it was written, unless another agent published it, and the machine
    /// that it was compiled for.
    pub async fn written(&self) -> Option<(SitePolicy, Surroundings)> {
        let held = self.held.lock().await;
        let running = &held.running;
        running
            .policy
            .clone()
            .map(|policy| (policy, running.machine.clone()))
    }

    fn ensure_confirmed(&self, held: &Held) -> Result<()> {
        ensure!(
            self.deadline.borrow().is_none(),
            "generation {} still waits to be confirmed: run `sccm-agent confirm` or \
             `sccm-agent rollback` first",
            held.maps.info()?.generation
        );
        Ok(())
    }

    /// Writes down that a policy goes on trial, before it does, so that no reboot confirms it.
    async fn announce(&self, policy: &SitePolicy, order: Reload) -> Result<()> {
        if order.confirm_within.is_some() {
            let mut held = self.held.lock().await;
            self.ensure_confirmed(&held)?;
            held.decisions.try_out(hash_of(policy));
            save(&mut held);
            kept(held).await;
        }
        Ok(())
    }

    /// Makes a policy that has been checked, and announced, the active one.
    async fn change_to(
        &self,
        held: &mut Held,
        policy: SitePolicy,
        order: Reload,
    ) -> Result<Outcome> {
        self.ensure_confirmed(held)?;
        if order.confirm_within.is_some() {
            held.decisions.try_out(hash_of(&policy));
        }
        let changed = self.publish_changed(held, policy, order).await;
        self.settle(held);
        changed
    }

    /// Writes down what came of an announcement.
    fn settle(&self, held: &mut Held) {
        if self.deadline.borrow().is_none() {
            held.decisions.end_trial();
        }
        save(held);
    }

    async fn publish_changed(
        &self,
        held: &mut Held,
        policy: SitePolicy,
        order: Reload,
    ) -> Result<Outcome> {
        let (machine, compiled) = self.compile(held, &policy).await?;
        let next = |policy| Applied {
            policy: Some(policy),
            machine,
        };
        let active = held.maps.info()?;
        let same_hooks = self.attachments.lock().how().by_card == policy.hooks;
        if compiled.info.tables == active.tables && same_hooks {
            if order.confirm_within.is_some() {
                bail!(not_on_trial(&active));
            }
            held.maps.rename(&compiled.info)?;
            held.decisions.rename(&policy);
            self.run(held, next(policy));
            return outcome(held, What::Unchanged);
        }
        self.guard(&compiled, &held.plan, order.accept_lockout)
            .await?;
        let trial = order.confirm_within.map(Duration::from_secs);
        match trial {
            Some(trial) => {
                self.put_in_force(held, compiled, Some(trial), &policy.hooks)
                    .await?;
                held.before_trial = Some(self.run(held, next(policy)));
                self.deadline.send_replace(Some(since_boot() + trial));
            }
            None => {
                self.put_in_force(held, compiled, None, &policy.hooks)
                    .await?;
                held.decisions.confirm(&policy);
                self.run(held, next(policy));
            }
        }
        let confirm_within = order.confirm_within;
        let outcome = outcome(held, What::Published)?;
        Ok(Outcome {
            confirm_within,
            ..outcome
        })
    }

    /// Returns to the previous policy: at once where the active one is on trial,
    /// otherwise by publishing that one again.
    ///
    /// # Errors
    /// There is none, it would cut the operator off, or the kernel refuses
    /// a write.
    pub async fn rollback(&self, accept_lockout: bool) -> Result<Outcome> {
        let mut held = self.held.lock().await;
        if self.deadline.borrow().is_some() {
            ensure!(
                held.maps.standby()?.is_confirmed(),
                "no policy was confirmed before this one: stop the agent to end enforcement, or run \
                 `sccm-agent confirm`"
            );
            self.roll_back_trial(&mut held).await?;
            let outcome = outcome(&held, What::RolledBack);
            kept(held).await;
            return outcome;
        }
        let Some(policy) = held.decisions.previous() else {
            bail!(
                "this agent knows of no policy before the active one: change the file, then \
                 run `sccm-agent reload`"
            );
        };
        let (machine, mut compiled) = self.compile(&held, &policy).await?;
        self.guard(&compiled, &held.plan, accept_lockout).await?;
        compiled.info.withdrawn = held.maps.info()?.hash;
        self.put_in_force(&mut held, compiled, None, &policy.hooks)
            .await?;
        held.decisions.roll_back_to(&policy);
        save(&mut held);
        let policy = Some(policy);
        self.run(&mut held, Applied { policy, machine });
        let outcome = outcome(&held, What::RolledBack);
        kept(held).await;
        outcome
    }

    /// Takes note of what runs from now on, and returns what ran before.
    fn run(&self, held: &mut Held, next: Applied) -> Applied {
        self.record.rules.note(next.policy.as_ref());
        self.changes.fetch_add(1, Ordering::Relaxed);
        std::mem::replace(&mut held.running, next)
    }

    async fn compile(&self, held: &Held, policy: &SitePolicy) -> Result<(Surroundings, Compiled)> {
        let machine = prepare::surroundings(&self.settings, &self.netlink, &held.plan).await?;
        let names = held.maps.known_names()?;
        let compiled =
            block_in_place(|| prepare::compile(&self.settings, policy, &machine, names))?;
        Ok((machine, compiled))
    }

    /// Keeps operators from cutting their own session.
    async fn guard(&self, compiled: &Compiled, plan: &Plan, accept_lockout: bool) -> Result<()> {
        if accept_lockout {
            return Ok(());
        }
        let present = self.netlink.interfaces().await?;
        let reach = hooks::reach(&self.pins, &self.settings.interfaces, &present)?;
        prepare::check_sessions(&self.settings, compiled, &self.netlink, plan, &reach).await
    }
}

/// Makes a policy the active one; with a trial, until its end.
fn publish(held: &mut Held, mut compiled: Compiled, trial: Option<Duration>) -> Result<()> {
    compiled.info.confirm_by = trial.map_or(0, confirm_by);
    if let Some((until, wall)) = held.maps.warm_up()? {
        compiled.warm_up(until, wall);
    }
    if let Some(until) = held.maps.probes()? {
        compiled.probe(until);
    }
    block_in_place(|| held.maps.publish(&compiled))?;
    Ok(())
}

/// Why there is no trial. Whoever asked for one must not believe that this policy goes by itself.
fn not_on_trial(active: &PolicyInfo) -> String {
    format!(
        "nothing is on trial: this policy is the active one already, generation {}, and stays; it \
         may have been published a moment ago: `sccm-agent rollback` returns to the previous one",
        active.generation
    )
}

/// Has the decisions written down. [`kept`] waits for it.
fn save(held: &mut Held) {
    held.saving = Some(held.decisions.save());
}

/// Ends the turn, then waits for the disk: a decision that was told stays.
async fn kept(mut held: MutexGuard<'_, Held>) {
    let saving = held.saving.take();
    drop(held);
    if let Some(saving) = saving {
        saving.wait().await;
    }
}

fn outcome(held: &Held, what: What) -> Result<Outcome> {
    let active = held.maps.info()?;
    Ok(Outcome {
        what,
        generation: active.generation,
        hash: hash_text(&active.hash),
        confirm_within: None,
        file_differs: held.decisions.file_differs(&active.hash),
        shadow: held.maps.shadow()?.map(|shadow| hash_text(&shadow.hash)),
    })
}
