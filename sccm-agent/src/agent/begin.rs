//! The part of a start that changes the kernel.

use super::Settings;
use super::cards;
use super::takeover::Start;
use crate::changed::Changed;
use crate::hooks::{self, memory};
use crate::interface::{Interface, Netlink};
use crate::kernel::{Found, Loader, Maps, Programs};
use crate::plan::Plan;
use crate::policies::prepare::{check_sessions, compile, surroundings};
use crate::policies::{self, Applied};
use crate::policy::{ServiceNames, SitePolicy, hash_text, roles_text};
use crate::units;
use anyhow::{Context as _, Result, bail, ensure};
use tokio::task::JoinHandle;

/// What a start has put into the kernel.
pub(crate) struct Begun {
    pub programs: Vec<Programs>,
    /// The slots of the programs, in the order of the plan.
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
    found: Found,
    policy: SitePolicy,
    netlink: &Netlink,
    (plan, present): (&Plan, &[Interface]),
) -> Result<Begun> {
    let names = service_names(settings, found)?;
    let machine = surroundings(&settings.policies, netlink, plan).await?;
    let mut compiled = compile(&settings.policies, &policy, &machine, names)?;
    cards::check(&settings.pins, settings.how.xdp_mode, plan, present)?;
    let start = Start::with(&compiled, &settings.pins, found)?;
    if start != Start::Withdrawn && !settings.accept_lockout {
        check_sessions(&settings.policies, &compiled, netlink, plan, &plan.reach).await?;
    }
    let publishes = start == Start::Publish;
    let trial = settings.confirm_within.filter(|_| publishes);
    compiled.info.confirm_by = trial.map_or(0, policies::confirm_by);
    let published = publishes.then_some(&compiled);
    if found == Found::Nothing {
        memory::check(settings.flow_capacity)?;
    }
    let mut loader = loader.await?;
    if found == Found::Nothing {
        hooks::create_maps(&settings.pins, &mut loader, settings.flow_capacity)?;
    }
    let mut hooked = hooks::attach_all(&settings.pins, settings.how, loader, plan, published)?;
    if hooked.maps.shadow().context(Changed)?.is_some() {
        hooked.maps.end_shadow().context(Changed)?;
        tracing::warn!("the shadow of the agent before has ended");
    }

    let active = hooked.maps.info().context(Changed)?;
    let hash = hash_text(&active.hash);
    tracing::info!(
        generation = active.generation,
        hash = &hash[..12],
        roles = %roles_text(&active),
        metrics = %settings.http.metrics_listen,
        control = %settings.control_socket.display(),
        "{}",
        if settings.policies.observe { "observing" } else { "enforcing" }
    );
    if start == Start::Withdrawn {
        tracing::warn!(
            "the policy that this agent was given has been taken back before, and stays so: \
             change it, or run `sccm-agent reload`"
        );
    }
    if let Some(trial) = trial {
        tracing::warn!(
            "run `sccm-agent confirm` within {} to keep this policy",
            units::describe(trial.as_secs())
        );
    }
    Ok(Begun {
        programs: hooked.programs,
        slots: hooked.slots,
        policy: policies::Started {
            maps: hooked.maps,
            plan: plan.clone(),
            running: Applied {
                policy: (start != Start::Withdrawn).then_some(policy),
                machine,
            },
            trial,
        },
        obeyed: start != Start::Withdrawn,
    })
}

/// The service names that the counters carry already.
fn service_names(settings: &Settings, found: Found) -> Result<ServiceNames> {
    let pins = &settings.pins;
    match found {
        Found::Nothing => Ok(ServiceNames::default()),
        Found::Maps => {
            let capacity = pins.flow_capacity()?;
            ensure!(
                capacity == settings.flow_capacity,
                "the flows that are there have room for {capacity}: say --flow-capacity \
                 {capacity}, or run `sccm-agent detach` first"
            );
            Maps::open(pins)?.service_names()
        }
        Found::OtherAbi(version) => bail!(
            "{} holds the maps of another sccm-agent (layout {version}, this one has {}): \
             run `sccm-agent detach` first; counters begin anew",
            pins.path().display(),
            sccm_common::abi::VERSION
        ),
    }
}
