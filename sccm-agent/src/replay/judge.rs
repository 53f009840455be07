//! One policy over captured frames: the verdict of the kernel's programs, over tables in memory, with
//! the capture's clock.

use super::Spot;
use super::look::Look;
use crate::policy::{Compiled, ip_of};
use sccm_common::counter::Direction;
use sccm_common::memory::MemoryTables;
use sccm_common::{Hook, Place, Verdict};
use std::net::IpAddr;
use std::time::Duration;

/// Seconds since boot at the first packet: more than any flow lives.
const START: u32 = 10_000_000;

/// What is remembered is looked through when it has grown by so much.
const GROWN: usize = 65_536;

/// A policy's tables, and what was remembered so far.
pub(super) struct Judge<'a> {
    tables: MemoryTables<'a>,
    spot: Spot,
    own: &'a [IpAddr],
    began: Option<Duration>,
    /// Size of the state at which the dead are forgotten.
    enough: usize,
}

impl<'a> Judge<'a> {
    pub(super) fn new(compiled: &'a Compiled, spot: Spot, own: &'a [IpAddr]) -> Self {
        let tables = compiled.in_memory();
        tables.state.now.set(START);
        Self {
            tables,
            spot,
            own,
            began: None,
            enough: GROWN,
        }
    }

    /// The verdict on a frame that was seen at this time; `None` if nobody judges it: it leaves a
    /// gateway in somebody else's name.
    pub(super) fn judge(&mut self, look: &Look<'_>, at: Duration) -> Option<(Direction, Verdict)> {
        self.pass_time(at);
        let arrives = |place: Place| {
            let direction = Hook::Ingress.direction(place);
            Some((direction, self.tables.ingress(look.bytes, place)))
        };
        match (self.spot, look.outward) {
            (Spot::Host, true) => self.tables.egress(look.bytes, Place::Host, false),
            (Spot::Host, false) => arrives(Place::Host),
            (_, _) if self.is_own(look) => {
                let place = match look.outward || self.spot == Spot::Uplink {
                    true => Place::Uplink,
                    false => Place::Segment,
                };
                self.tables.egress(look.bytes, place, false)
            }
            // What is no packet ends at the card: the other side has frames of its own.
            (Spot::Uplink, true) if look.end.is_some() => None,
            (Spot::Segment, false) if look.end.is_some() => None,
            (_, true) => arrives(Place::Segment),
            (_, false) => arrives(Place::Uplink),
        }
    }

    fn is_own(&self, look: &Look<'_>) -> bool {
        let source = ip_of(look.packet.family, look.packet.source);
        look.end.is_none() && self.own.contains(&source)
    }

    /// Moves the clock on. Files in the wrong order, and clocks that were set, do not turn it back.
    fn pass_time(&mut self, at: Duration) {
        let began = *self.began.get_or_insert(at);
        let passed = u32::try_from(at.saturating_sub(began).as_secs()).unwrap_or(u32::MAX / 2);
        let state = &self.tables.state;
        let now = START.saturating_add(passed).max(state.now.get());
        state.now.set(now);
        if state.size() > self.enough {
            state.forget_dead(&self.tables.policy.timeouts);
            self.enough = 2 * state.size() + GROWN;
        }
    }
}
