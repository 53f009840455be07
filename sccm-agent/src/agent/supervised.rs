//! What the supervisor is told: only what has just been read from the kernel.

use crate::hooks;
use crate::interface::Interface;
use crate::kernel::{Attached, PinDir};
use crate::plan::Plan;
use crate::policies::Policies;
use crate::policy::hash_text;
use crate::state::Machine;
use crate::supervisor::Supervisor;
use anyhow::{Result, ensure};
use sccm_common::counter::Direction;
use std::convert::Infallible;
use std::future::pending;
use std::time::Duration;
use tokio::time::sleep;

/// From one look to the next, where the supervisor has no watchdog.
const LOOK: Duration = Duration::from_secs(15);

/// Before the first look that finds everything in place.
const SOON: Duration = Duration::from_millis(250);

/// Says that the agent is ready once every card has its programs, and that it is alive for as long as
/// this stays so.
pub(super) async fn report(
    supervisor: &Supervisor,
    machine: &Machine,
    policies: &Policies,
) -> Infallible {
    if !supervisor.is_there() {
        return pending().await;
    }
    let every = supervisor.watchdog().map_or(LOOK, |time| time / 3);
    let (mut is_ready, mut said) = (false, String::new());
    loop {
        let (is_whole, status) = match look(machine, policies).await {
            Ok(status) => (true, status),
            Err(error) => (false, format!("{error:#}")),
        };
        if status != said {
            supervisor.status(&status);
            if !is_whole {
                tracing::error!("the supervisor is not told that all is well: {status}");
            }
            said = status;
        }
        if is_whole {
            if !is_ready {
                supervisor.ready();
                is_ready = true;
            }
            supervisor.alive();
        }
        sleep(if is_ready { every } else { every.min(SOON) }).await;
    }
}

/// What is enforced where.
///
/// # Errors
/// What is not as this agent left it.
async fn look(machine: &Machine, policies: &Policies) -> Result<String> {
    let (active, plan) = policies.in_force().await?;
    let present = machine.netlink.interfaces().await?;
    let cards = Cards::of(&plan, machine, &present)?;
    ensure!(
        cards.open.is_empty(),
        "without the agent's programs: {}",
        cards.open.join(", ")
    );
    let listed = |what: &str, names: &[String]| match names.is_empty() {
        true => String::new(),
        false => format!("{what}{}", names.join(", ")),
    };
    Ok(format!(
        "Policy generation {}, {}{}{}",
        active.generation,
        &hash_text(&active.hash)[..12],
        listed(", on ", &cards.held),
        listed(", waiting for ", &cards.awaited),
    ))
}

/// The cards of a plan, by what is on them.
#[derive(Debug, Default)]
struct Cards {
    /// Both programs of this agent.
    held: Vec<String>,
    /// Something is missing there.
    open: Vec<String>,
    /// The machine does not have them, or they could not be attached to since they came.
    awaited: Vec<String>,
}

impl Cards {
    fn of(plan: &Plan, machine: &Machine, present: &[Interface]) -> Result<Self> {
        let known = machine.maps.lock().interfaces()?;
        let mut cards = Self {
            awaited: plan.awaited.clone(),
            ..Self::default()
        };
        for card in &plan.cards {
            let seat = known.iter().find(|seat| seat.name == card.name);
            let there = present.iter().find(|there| there.name == card.name);
            let list = match (seat, there) {
                (Some(seat), Some(there)) if is_held(&machine.pins, seat.slot, there)? => {
                    &mut cards.held
                }
                (Some(seat), Some(_)) if seat.awaited => &mut cards.awaited,
                (_, Some(_)) => &mut cards.open,
                (_, None) => &mut cards.awaited,
            };
            list.push(card.name.clone());
        }
        Ok(cards)
    }
}

/// Whether both programs that are pinned for a slot are on this card.
fn is_held(pins: &PinDir, slot: u32, card: &Interface) -> Result<bool> {
    let arrives = hooks::ingress_of(pins, slot, card)?.is_some();
    Ok(arrives && Attached::hangs_on(pins, slot, Direction::Outbound, card.index)?)
}
