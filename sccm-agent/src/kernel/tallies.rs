//! The counters without names, page by page, for metrics: they name tens of thousands at once.

use super::Maps;
use super::counters::sum;
use anyhow::Result;
use sccm_common::counter::{Counter, Direction, page, shadow_page};

/// The counters of an interface and direction, summed over the CPUs, each page in the order of
/// [`index`](sccm_common::counter::index). Behind a page of the active policy are the counters by
/// peer, in the order of [`peer_index`](sccm_common::counter::peer_index).
#[derive(Debug)]
pub struct Tally {
    /// Name of the interface.
    pub interface: String,
    /// Inbound or outbound.
    pub direction: Direction,
    /// Verdicts that were carried out.
    pub obeyed: Vec<Counter>,
    /// Verdicts in observe mode: packets with a reason to drop them passed.
    pub observed: Vec<Counter>,
    /// Frames that the shadow judges otherwise, by the shadow's reasons.
    pub shadow: Vec<Counter>,
}

impl Tally {
    fn pages(&mut self) -> [&mut Vec<Counter>; 3] {
        [&mut self.obeyed, &mut self.observed, &mut self.shadow]
    }
}

impl Maps {
    /// The counters of every interface, one tally for each of its directions. Slots of one name
    /// add up.
    pub fn tallies(&self) -> Result<Vec<Tally>> {
        let mut tallies = Vec::<Tally>::new();
        for one in self.interfaces()? {
            for direction in [Direction::Inbound, Direction::Outbound] {
                let read = |observing| -> Result<Vec<Counter>> {
                    let page = page(one.slot, direction, observing);
                    let by_peer = sum(&self.peer_counters.get(&page, 0)?);
                    Ok([sum(&self.counters.get(&page, 0)?), by_peer].concat())
                };
                let shadow = self
                    .shadow_counters
                    .get(&shadow_page(one.slot, direction), 0)?;
                let mut new = Tally {
                    interface: one.name.clone(),
                    direction,
                    obeyed: read(false)?,
                    observed: read(true)?,
                    shadow: sum(&shadow),
                };
                let is_same = |known: &&mut Tally| {
                    known.interface == new.interface && known.direction == direction
                };
                let Some(known) = tallies.iter_mut().find(is_same) else {
                    tallies.push(new);
                    continue;
                };
                for (known, new) in known.pages().into_iter().zip(new.pages()) {
                    for (known, new) in known.iter_mut().zip(new) {
                        known.packets += new.packets;
                        known.bytes += new.bytes;
                    }
                }
            }
        }
        Ok(tallies)
    }
}
