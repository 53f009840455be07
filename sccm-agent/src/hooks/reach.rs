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
    if !Attached::hangs_on(pins, slot, Direction::Inbound, card.index)? {
        return Ok(None);
    }
    if !Attached::is_at_xdp(pins, slot)? {
        return Ok(Some(Ingress::Tc));
    }
    // The pin says that it is there. `card` may have been read before, when a reload began.
    Ok(Some(match card.xdp.is_some_and(|there| there.generic) {
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
