//! What can speak against the cards, before anything is attached to them.

use crate::hooks::{self, HookChoice, choose, offload};
use crate::interface::Interface;
use crate::kernel::{Ingress, PinDir, describe_program};
use crate::plan::{self, NamedInterface, Plan};
use anyhow::{Result, bail, ensure};

/// The plan for these interfaces, on this machine as it is now.
///
/// # Errors
/// An interface that does not exist, is down, has no members or hides VLAN tags; two
/// that mean the same frames. Those that are missing or down are only told if the agent `waits` for
/// them.
pub(crate) fn plan(
    named: &[NamedInterface],
    present: &[Interface],
    waits: bool,
    hook: HookChoice,
) -> Result<Plan> {
    let plan = match waits {
        true => plan_without_missing(named, present)?,
        false => plan_of_all(named, present)?,
    };
    for card in &plan.cards {
        if choose(hook, card).ingress == Ingress::Tc {
            continue;
        }
        ensure!(
            card.ethernet,
            "frames of {} have no Ethernet header, which XDP programs need: give --hook tc, or auto",
            card.name
        );
        if card.is_trunk()
            && let Some(doubt) = offload::check(card, present)?
        {
            tracing::warn!("{doubt}");
        }
    }
    Ok(plan)
}

fn plan_without_missing(named: &[NamedInterface], present: &[Interface]) -> Result<Plan> {
    let awaited = plan::missing(named, present);
    if !awaited.is_empty() {
        tracing::warn!(
            "waiting for {}: the machine has no such interface yet",
            awaited.join(", ")
        );
    }
    let there = plan::those_that_exist(named, present);
    Ok(Plan {
        awaited,
        ..plan::of(&there, present)?
    })
}

fn plan_of_all(named: &[NamedInterface], present: &[Interface]) -> Result<Plan> {
    for one in named {
        let name = &one.name;
        let (device, _) = plan::device(name, present)?;
        let device_name = &device.name;
        ensure!(
            device.up,
            "interface {device_name} is down: bring it up with `ip link set {device_name} up`"
        );
        ensure!(
            !plan::resolve(name, present)?.is_empty(),
            "{name} has no members: give it one with `ip link set dev CARD master {device_name}`"
        );
    }
    plan::of(named, present)
}

/// Refuses cards on which the programs cannot be, or not so.
///
/// # Errors
/// A foreign program on one, or ours in another XDP mode.
pub(crate) fn check(
    pins: &PinDir,
    hook: HookChoice,
    plan: &Plan,
    present: &[Interface],
) -> Result<()> {
    let is_hooked = |one: &&Interface| plan.cards.iter().any(|card| card.index == one.index);
    let cards: Vec<&Interface> = present.iter().filter(is_hooked).collect();
    let ours = hooks::our_programs(pins)?;
    refuse_foreign_programs(&ours, &cards)?;
    refuse_another_mode(hook, &ours, &cards)
}

/// The kernel has no two XDP modes on one card at a time, so one cannot follow the other without a
/// moment without any.
fn refuse_another_mode(asked: HookChoice, ours: &[u32], interfaces: &[&Interface]) -> Result<()> {
    for interface in interfaces {
        let Some(program) = interface.xdp.filter(|program| ours.contains(&program.id)) else {
            continue;
        };
        let (is, wanted) = match (asked, program.generic) {
            (HookChoice::Xdp, true) => (Ingress::Generic, Ingress::Native),
            (HookChoice::XdpGeneric, false) => (Ingress::Native, Ingress::Generic),
            _ => continue,
        };
        bail!(
            "{} is enforced at {}, which cannot become {} without a moment with neither: give \
             --hook tc once, and then --hook {}",
            interface.name,
            is.flag(),
            wanted.flag(),
            wanted.flag()
        );
    }
    Ok(())
}

fn refuse_foreign_programs(ours: &[u32], interfaces: &[&Interface]) -> Result<()> {
    for interface in interfaces {
        if let Some(program) = interface.xdp.filter(|program| !ours.contains(&program.id)) {
            bail!(
                "{} already has an XDP {}: sccm-agent replaces nothing that is not its own; \
                 stop its owner, or remove it with `ip link set {} xdp off`",
                interface.name,
                describe_program(program.id),
                interface.name
            );
        }
    }
    Ok(())
}
