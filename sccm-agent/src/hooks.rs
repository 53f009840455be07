//! Puts a compiled policy and the programs where they belong, all or nothing.

mod attachments;
mod change;
mod choice;
pub mod fit;
pub mod memory;
mod mode;
pub mod offload;
mod reach;
pub mod slots;

pub use attachments::{Attachments, SharedAttachments};
pub use change::{tell_unmatched, unmatched};
pub use choice::{Chosen, ONE_BUFFER, Why, choose, suits};
pub use mode::How;
pub use reach::{ingress_of, reach};

use crate::changed::Changed;
use crate::heap;
use crate::kernel::{self, Attached, Ingress, IngressAt, Loader, Maps, PinDir, Programs, TcOrder};
use crate::plan::{Card, Plan};
use crate::policy::Compiled;
use anyhow::{Context as _, Result, ensure};
use sccm_common::Place;
use sccm_common::counter::Direction;

/// What is attached, each card with its slot.
pub struct Hooked {
    pub maps: Maps,
    /// The programs of each card.
    pub programs: Vec<Programs>,
    /// The slots of the cards, in the order of the plan.
    pub slots: Vec<u32>,
}

/// Makes the maps, with room for so many flows, in place of what an agent left that died before
/// it finished.
///
/// # Errors
/// The kernel refuses.
pub fn create_maps(pins: &PinDir, flow_capacity: u32) -> Result<()> {
    pins.clear()?;
    kernel::create_maps(pins, flow_capacity)
}

/// Publishes the policy and attaches to every card. Without a policy, the one that
/// is in the maps stays. `ready` is called when all is loaded, before the first program is attached.
///
/// # Errors
/// The kernel or a driver refuses, or another TC program runs before one that is to
/// be the first; hooks and policy are then as before. [`Changed`] if they are not.
pub fn attach_all(
    pins: &PinDir,
    how: &How,
    mut loader: Loader,
    plan: &Plan,
    compiled: Option<&Compiled>,
    ready: impl FnOnce(),
) -> Result<Hooked> {
    let before = pins.slots();
    let mut maps = Maps::open(pins)?;
    let topology = maps.topology()?;
    let (slots, programs) =
        match hook_all((pins, how), &mut loader, &mut maps, (plan, compiled), ready) {
            Ok(hooked) => hooked,
            Err(error) => {
                for slot in pins.slots().iter().filter(|slot| !before.contains(slot)) {
                    Attached::detach(pins, *slot).context(Changed)?;
                }
                let restored = maps.restore(&topology).context("taking the slots back");
                restored.context(Changed)?;
                return Err(error);
            }
        };
    for (slot, card) in slots.iter().zip(&plan.cards) {
        slots::attached(&mut maps, card, *slot).context(Changed)?;
    }
    let all = plan.cards.iter().map(|card| card.index).collect();
    slots::list_entrances(&mut maps, plan, &all).context(Changed)?;
    maps.finish().context(Changed)?;
    // Cards that an earlier agent enforced and this one was not asked to.
    for slot in before.iter().filter(|slot| !slots.contains(slot)) {
        Attached::detach(pins, *slot).context(Changed)?;
    }
    // The kernel's types, which it has read, are some 30 MiB.
    drop(loader);
    heap::give_back();
    Ok(Hooked {
        maps,
        programs,
        slots,
    })
}

/// Attaches to one card while others are enforced. What of its hooks still hangs on it
/// takes the new program in place; what does not is made anew.
///
/// # Errors
/// The kernel or the driver refuses.
fn attach_one(pins: &PinDir, how: &How, slot: u32, card: &Card) -> Result<Programs> {
    for direction in [Direction::Inbound, Direction::Outbound] {
        if !Attached::hangs_on(pins, slot, direction, card.index)? {
            Attached::detach_one(pins, slot, direction)?;
        }
    }
    let chosen = choose(how, card);
    let mut programs = load(&mut Loader::new(pins), slot, card, &chosen)?;
    hook(how, pins, slot, (&card.name, &chosen), &mut programs)?.pin(&mut programs)?;
    Ok(programs)
}

fn hook_all(
    (pins, how): (&PinDir, &How),
    loader: &mut Loader,
    maps: &mut Maps,
    (plan, compiled): (&Plan, Option<&Compiled>),
    ready: impl FnOnce(),
) -> Result<(Vec<u32>, Vec<Programs>)> {
    let slots = slots::assign(maps, pins, plan)?;
    let chosen: Vec<Chosen> = plan.cards.iter().map(|card| choose(how, card)).collect();
    let seats = slots.iter().zip(plan.cards.iter().zip(&chosen));
    let mut programs = seats
        .clone()
        .map(|(slot, (card, chosen))| load(loader, *slot, card, chosen))
        .collect::<Result<Vec<_>>>()?;
    if let Some(compiled) = compiled {
        maps.publish(compiled)?;
    }
    ready();
    let hooked = || -> Result<()> {
        let mut attached = Vec::new();
        for ((slot, (card, chosen)), programs) in seats.zip(&mut programs) {
            let one = hook(how, pins, *slot, (&card.name, chosen), programs)?;
            if how.tc_order == TcOrder::First {
                is_first(&one, &card.name)?;
            }
            attached.push(one);
        }
        // Until here, a failure lets go of all of them.
        let mut both = attached.into_iter().zip(&mut programs);
        both.try_for_each(|(one, programs)| one.pin(programs))
    };
    if let Err(error) = hooked() {
        if compiled.is_some() {
            let withdrawn = maps.unpublish().context("withdrawing the policy");
            withdrawn.context(Changed)?;
        }
        return Err(error);
    }
    Ok((slots, programs))
}

fn is_first(attached: &Attached, interface: &str) -> Result<()> {
    let before = attached.before()?;
    ensure!(
        before.is_empty(),
        "{} runs before the agent's TC program on {interface}, and may hide packets from it: \
         stop its owner, or run after it with --behind-tc-programs",
        before.join(", ")
    );
    Ok(())
}

/// The number of the loopback interface in every network namespace (`LOOPBACK_IFINDEX` in
/// include/net/flow.h).
const LOOPBACK_INDEX: u32 = 1;

fn load(loader: &mut Loader, slot: u32, card: &Card, chosen: &Chosen) -> Result<Programs> {
    let at = match chosen.ingress {
        Ingress::Native | Ingress::Generic => IngressAt::Xdp,
        Ingress::Tc => IngressAt::Tc,
    };
    if card.is_trunk() {
        return loader.load_trunk(slot, at);
    }
    let place = match card.lanes.first().map_or(Place::Host, |lane| lane.place) {
        Place::Host if card.index == LOOPBACK_INDEX => Place::Loopback,
        place => place,
    };
    match card.ethernet {
        true => loader.load(slot, place, at),
        false => loader.load_tunnel(slot, place),
    }
}

fn hook(
    how: &How,
    pins: &PinDir,
    slot: u32,
    (interface, chosen): (&str, &Chosen),
    programs: &mut Programs,
) -> Result<Attached> {
    let order = how.tc_order;
    let attach = |programs: &mut Programs, ingress| {
        Attached::attach(programs, pins, slot, interface, ingress, order)
    };
    let ingress = chosen.ingress;
    let why = &chosen.why;
    tracing::info!("{interface}: judging at {} ({why})", ingress.flag());
    attach(programs, ingress).or_else(|error| {
        let may_be_another = matches!(why, Why::Found(_));
        if !may_be_another || ingress == Ingress::Tc {
            return Err(error);
        }
        tracing::warn!("{error:#}");
        tracing::warn!("{interface}: judging at tc instead");
        programs.also_at(IngressAt::Tc)?;
        attach(programs, Ingress::Tc)
    })
}

/// The numbers of the XDP programs that hang in our hooks.
///
/// # Errors
/// A pin cannot be read.
pub fn our_programs(pins: &PinDir) -> Result<Vec<u32>> {
    let mut ours = Vec::new();
    for slot in pins.slots() {
        ours.extend(Attached::program_id(pins, slot, Direction::Inbound)?);
    }
    Ok(ours)
}
