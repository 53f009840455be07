//! Writes a plan into the kernel's maps: who counts where, and as whose each VLAN is
//! judged.

use crate::kernel::{Attached, Maps, PinDir};
use crate::plan::{Card, Plan};
use anyhow::Result;
use sccm_common::Place;
use sccm_common::abi::AWAITED;
use sccm_common::counter::{Direction, MAX_INTERFACES};
use sccm_common::trunk::{IDS, Lane};
use std::collections::BTreeSet;

/// Gives every card and every named VLAN its slot, and returns those of the cards.
///
/// # Errors
/// All slots are taken, or the kernel refuses a write.
pub fn assign(maps: &mut Maps, pins: &PinDir, plan: &Plan) -> Result<Vec<u32>> {
    make_room(maps, pins, plan)?;
    let mut hooks = Vec::new();
    let pinned = pins.slots();
    for card in &plan.cards {
        let hook = maps.claim_slot(&card.name, card.index)?;
        hooks.push(hook);
        if !pinned.contains(&hook) {
            note(maps, card, hook, AWAITED)?;
        }
        if !card.is_trunk() {
            continue;
        }
        // What has no tag, and every VLAN that nobody named.
        let own = card.lanes.iter().find(|lane| lane.vlan.is_none());
        let own = own.map_or(Lane::OTHER, |lane| Lane::new(hook, lane.place));
        let mut table = [own; IDS];
        for (lane, id) in card
            .lanes
            .iter()
            .filter_map(|lane| Some((lane, lane.vlan?)))
        {
            let slot = maps.claim_vlan(&lane.name, card.index, hook)?;
            table[usize::from(id)] = Lane::new(slot, lane.place);
        }
        maps.write_vlans(hook, &table)?;
    }
    for name in &plan.awaited {
        maps.claim_slot(name, AWAITED)?;
    }
    for known in maps.interfaces()? {
        // A bridge that was awaited has come by its members.
        if known.awaited && !wants(plan, &known.name) {
            maps.release_slot(known.slot)?;
        } else if known.hook != known.slot && !wants(plan, &known.name) {
            maps.write_interface(known.slot, &known.name, 0, known.slot)?;
        }
    }
    let mut attached = BTreeSet::new();
    for (card, hook) in plan.cards.iter().zip(&hooks) {
        if Attached::hangs_on(pins, *hook, Direction::Inbound, card.index)? {
            attached.insert(card.index);
        }
    }
    list_entrances(maps, plan, &attached)?;
    Ok(hooks)
}

/// Notes that the card at this slot has its programs.
///
/// # Errors
/// The kernel refuses the write.
pub fn attached(maps: &mut Maps, card: &Card, slot: u32) -> Result<()> {
    note(maps, card, slot, card.index)
}

fn note(maps: &mut Maps, card: &Card, slot: u32, index: u32) -> Result<()> {
    maps.write_interface(slot, &card.name, index, slot)
}

/// Lists the interfaces that judge all that comes in, now that these cards have their programs; by the
/// number of its place, those at which the machine may translate what it forwards. What comes in at any
/// other is judged where it leaves into a segment.
///
/// # Errors
/// The kernel refuses the write.
pub fn list_entrances(maps: &mut Maps, plan: &Plan, attached: &BTreeSet<u32>) -> Result<()> {
    let side = |place: Option<Place>| match place {
        Some(place @ (Place::Uplink | Place::Segment)) if plan.translates => place as u32,
        _ => 0,
    };
    let entrances = plan.entrances.iter();
    let judging = entrances.filter(|(_, entrance)| entrance.cards.is_subset(attached));
    let listed = judging.map(|(index, entrance)| (*index, side(entrance.place)));
    maps.write_entrances(&listed.collect())
}

/// Whether the plan counts under this name.
fn wants(plan: &Plan, name: &str) -> bool {
    let has = |card: &Card| card.name == name || card.lanes.iter().any(|lane| lane.name == name);
    plan.cards.iter().any(has) || plan.awaited.iter().any(|awaited| awaited == name)
}

/// Members of bridges come and go, and each keeps its counters: the slots of some that
/// have gone are given to new ones, if there are no others.
fn make_room(maps: &mut Maps, pins: &PinDir, plan: &Plan) -> Result<()> {
    let known = maps.interfaces()?;
    let names = plan.cards.iter().flat_map(|card| {
        let vlans = card.lanes.iter().filter(|lane| lane.vlan.is_some());
        vlans.map(|lane| &lane.name).chain([&card.name])
    });
    let names = names.chain(&plan.awaited);
    let new = names.filter(|name| known.iter().all(|known| known.name != **name));
    let lacking = (known.len() + new.count()).saturating_sub(MAX_INTERFACES as usize);
    let pinned = pins.slots();
    let idle = known
        .iter()
        .filter(|known| !pinned.contains(&known.hook) && !wants(plan, &known.name));
    for idle in idle.take(lacking) {
        tracing::info!(
            "{} is gone: its slot and counters are free for another interface",
            idle.name
        );
        maps.release_slot(idle.slot)?;
    }
    Ok(())
}
