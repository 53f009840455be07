//! Which interfaces have our ingress program, and over which a packet may be judged.

use crate::interface::Interface;
use crate::kernel::{Attached, Ingress, PinDir};
use crate::plan::{self, NamedInterface};
use anyhow::Result;
use sccm_common::counter::Direction;
use std::collections::BTreeSet;

/// Where the ingress program of a slot runs on a card; `None` if it is not there.
///
/// # Errors
/// A pin cannot be read.
pub fn ingress_of(pins: &PinDir, slot: u32, card: &Interface) -> Result<Option<Ingress>> {
    if !Attached::is_at_xdp(pins, slot)? {
        let hangs = Attached::hangs_on(pins, slot, Direction::Inbound, card.index)?;
        return Ok(hangs.then_some(Ingress::Tc));
    }
    let ours = Attached::program_id(pins, slot, Direction::Inbound)?;
    let there = card.xdp.filter(|there| Some(there.id) == ours);
    Ok(there.map(|there| match there.generic {
        true => Ingress::Generic,
        false => Ingress::Native,
    }))
}

/// The numbers of the interfaces over which a packet may be judged, on the machine as it is now.
///
/// # Errors
/// The interfaces that the operator named contradict each other, or a pin cannot be read.
pub fn reach(
    pins: &PinDir,
    named: &[NamedInterface],
    present: &[Interface],
) -> Result<BTreeSet<u32>> {
    let named = plan::those_that_exist(named, present);
    let mut reach = plan::of(&named, present)?.reach;
    // A card may have got another name since the agent began.
    for slot in pins.slots() {
        for card in present {
            if ingress_of(pins, slot, card)?.is_some() {
                reach.insert(card.index);
                break;
            }
        }
    }
    Ok(reach)
}
