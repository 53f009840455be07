//! The part of a start that changes the kernel.

use super::Settings;
use super::older::Older;
use super::takeover::{self, Chosen, Start, Taken};
use crate::changed::Changed;
use crate::decisions::Decisions;
use crate::hooks::{self, SharedAttachments, fit, memory};
use crate::interface::{Interface, Netlink};
use crate::kernel::{Clock, Found, Loader, Maps};
use crate::plan::Plan;
use crate::policies::prepare::{check_sessions, compile, surroundings};
use crate::policies::{self, Applied};
use crate::policy::{
    ServiceNames, SitePolicy, Surroundings, Tables, edition_text, hash_of, hash_text, roles_text,
};
use crate::units;
use anyhow::{Context as _, Result, bail, ensure};
use sccm_common::flow::table::sets;
use std::sync::Arc;
use tokio::task::JoinHandle;

/// What a start has put into the kernel.
pub(crate) struct Begun {
    pub attachments: Arc<SharedAttachments>,
    /// The slots of the cards, in the order of the plan.
    pub slots: Vec<u32>,
    /// What the owner of the policy takes charge of.
    pub policy: policies::Started,
    /// The policy that the operator gave is the active one.
    pub obeyed: bool,
}

/// Puts the policy and the programs into the kernel.
pub(crate) async fn begin(
    settings: &Settings,
    loader: JoinHandle<Loader>,
    taken: &Taken,
    given: SitePolicy,
    netlink: &Netlink,
    (plan, present): (&Plan, &[Interface]),
) -> Result<Begun> {
    let found = taken.found;
    let names = service_names(settings, found)?;
    let machine = surroundings(&settings.policies, netlink, plan).await?;
    let mut decisions = match settings.policies.observe {
        true => Decisions::unkept(),
        false => takeover::decisions(settings).await,
    };
    decisions.follow(taken.running.as_ref());
    let given_hash = hash_of(&given);
    let Chosen {
        start,
        mut compiled,
        policy,
        obeyed,
    } = taken.choose(settings, &decisions, given, |policy| {
        compile(&settings.policies, policy, &machine, names.clone())
    })?;
    let how = match &policy {
        Some(policy) => settings.how.with(&policy.hooks),
        // Another agent's: what it asked is not known.
        None => settings.how.clone(),
    };
    fit::check(&settings.pins, &how, &plan.cards, present)?;
    hooks::tell_unmatched(&how.by_card, plan);
    if start != Start::Keep && !settings.accept_lockout {
        check_sessions(&settings.policies, &compiled, netlink, plan, &plan.reach).await?;
    }
    let publishes = start == Start::Publish;
    // What was confirmed once need not be again.
    let is_new = publishes && obeyed && !decisions.is_confirmed(&given_hash);
    let new_trial = settings.confirm_within.filter(|_| is_new);
    compiled.info.confirm_by = new_trial.map_or(0, policies::confirm_by);
    if found == Found::Nothing {
        memory::check(settings.flow_capacity)?;
    }
    if let Some((until, wall)) = warm_up(settings, found, policy.as_ref())? {
        compiled.warm_up(until, wall);
    } else if found == Found::Nothing {
        policies::probe(&mut compiled)?;
    }
    let published = publishes.then_some(&compiled);
    if found == Found::Nothing {
        hooks::create_maps(&settings.pins, settings.flow_capacity)?;
    }
    let loader = loader.await?;
    let older = (found == Found::Nothing).then(|| Older {
        pins: &settings.pins,
        is_gateway: settings.policies.is_gateway(),
        most: settings.flow_capacity as usize / 2,
        tables: Tables::from(&compiled),
    });
    let ready = || {
        if let Some(older) = &older {
            older.remember();
        }
    };
    if new_trial.is_some() {
        decisions.try_out(given_hash);
        decisions.save().wait().await;
    }
    let hooked = hooks::attach_all(&settings.pins, &how, loader, plan, published, ready);
    if hooked.is_err() && new_trial.is_some() {
        decisions.end_trial();
        decisions.save().wait().await;
    }
    let mut hooked = hooked?;
    if start == Start::Unchanged {
        hooked.maps.rename(&compiled.info).context(Changed)?;
    }
    let trial = taken.trial.or(new_trial);
    let mut before = None;
    if trial.is_some() {
        let standby = hooked.maps.standby().context(Changed)?;
        before = decisions.confirmed(&standby.hash);
    } else if let Some(policy) = &policy {
        decisions.confirm(policy);
    }
    if !taken.unread {
        decisions.was_given(given_hash, settings.policies.written.path());
    }
    decisions.save().wait().await;
    if let Some(older) = older {
        older.catch_up();
    }
    if hooked.maps.shadow().context(Changed)?.is_some() {
        hooked.maps.end_shadow().context(Changed)?;
        tracing::warn!("the candidate of the previous agent is no longer tried");
    }

    let active = hooked.maps.info().context(Changed)?;
    let hash = hash_text(&active.hash);
    tracing::info!(
        generation = active.generation,
        hash = &hash[..12],
        roles = %roles_text(&active),
        edition = edition_text(&active),
        metrics = %settings.http.metrics_listen,
        control = %settings.control_socket.display(),
        "{}",
        match settings.policies.observe {
            true => "observing",
            false if active.warm_up_left(Clock::read().context(Changed)?.wall()) > 0 => "warming up",
            false => "enforcing",
        }
    );
    if !obeyed {
        takeover::tell_disobedience(&active, decisions.was_withdrawn(&given_hash));
    }
    if let Some(trial) = trial {
        tracing::warn!(
            "run `sccm-agent confirm` within {} to keep this policy",
            units::describe(trial.as_secs())
        );
    }
    let attachments =
        SharedAttachments::new(settings.pins.clone(), how, &hooked.slots, hooked.programs);
    Ok(Begun {
        attachments: Arc::new(attachments.context(Changed)?),
        slots: hooked.slots,
        policy: policies::Started {
            maps: hooked.maps,
            plan: plan.clone(),
            before,
            running: Applied {
                policy,
                // For which machine the tables of a trial that goes on were compiled, nobody knows,
                // where they are not those of now.
                machine: match taken.trial {
                    Some(_) if compiled.info.tables != active.tables => Surroundings::default(),
                    _ => machine,
                },
            },
            trial,
            decisions,
        },
        obeyed: obeyed && !taken.unread,
    })
}

/// When the warm-up ends, by the program's clock and in seconds since 1970. None begins over what
/// was enforced before; one that goes on then goes on.
fn warm_up(
    settings: &Settings,
    found: Found,
    policy: Option<&SitePolicy>,
) -> Result<Option<(u32, u64)>> {
    if found == Found::Maps {
        return Maps::open(&settings.pins)?.warm_up();
    }
    let warm_up = policy.map_or(0, |policy| policy.warm_up);
    if warm_up == 0 {
        return Ok(None);
    }
    let clock = Clock::read()?;
    let until = clock.program().saturating_add(warm_up);
    Ok(Some((until, clock.wall() + u64::from(warm_up))))
}

/// The service names that the counters carry already, and the rows of rights.
fn service_names(settings: &Settings, found: Found) -> Result<ServiceNames> {
    let pins = &settings.pins;
    match found {
        Found::Nothing => Ok(ServiceNames::default()),
        Found::Maps => {
            let capacity = pins.flow_capacity()?;
            ensure!(
                sets(capacity) == sets(settings.flow_capacity),
                "the flow table that exists has room for {capacity}: give --flow-capacity \
                 {capacity}, or run `sccm-agent detach` first"
            );
            Maps::open(pins)?.known_names()
        }
        Found::OtherAbi(version) => bail!(
            "{} holds the maps of another sccm-agent (layout {version}, this one has {}): \
             run `sccm-agent detach` first; counters then start at 0",
            pins.path().display(),
            sccm_common::abi::VERSION
        ),
    }
}
