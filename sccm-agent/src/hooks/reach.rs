//! Over which interfaces a packet may be judged.

use super::our_programs;
use crate::interface::Interface;
use crate::kernel::PinDir;
use crate::plan::{self, NamedInterface};
use anyhow::Result;
use std::collections::BTreeSet;

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
    let ours = our_programs(pins)?;
    let is_ours = |card: &&Interface| card.xdp.is_some_and(|xdp| ours.contains(&xdp.id));
    reach.extend(present.iter().filter(is_ours).map(|card| card.index));
    Ok(reach)
}
