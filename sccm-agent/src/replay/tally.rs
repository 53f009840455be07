//! How many packets ended how.

use super::conversations::Spotted;
use crate::capture::read::Frame;
use sccm_common::counter::Direction;
use sccm_common::{Peer, Reason, ServiceClass, Verdict};
use std::collections::HashMap;

/// Examples that are kept of each way to end.
const EXAMPLES: usize = 3;

/// How packets ended, as counters tell it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Row {
    pub reason: Reason,
    pub outbound: bool,
    pub service: ServiceClass,
    pub peer: Peer,
}

/// How many did.
#[derive(Debug, Clone, Default)]
pub(super) struct Count {
    pub packets: u64,
    pub bytes: u64,
    pub examples: Vec<Spotted>,
}

/// All of them.
#[derive(Debug, Default)]
pub(super) struct Tally {
    pub packets: u64,
    pub bytes: u64,
    /// Too little of them was captured.
    pub cut_off: u64,
    /// Nobody judges them at this place.
    pub elsewhere: u64,
    pub opens: u64,
    pub closes: u64,
    pub first: Option<Spotted>,
    pub last: Option<Spotted>,
    pub rows: HashMap<Row, Count>,
}

impl Tally {
    pub(super) fn seen(&mut self, frame: &Frame<'_>, spotted: Spotted) {
        self.packets += 1;
        self.bytes += u64::from(frame.length);
        self.first.get_or_insert(spotted);
        self.last = Some(spotted);
    }

    pub(super) fn judged(
        &mut self,
        direction: Direction,
        verdict: Verdict,
        frame: &Frame<'_>,
        spotted: Spotted,
    ) {
        let row = Row {
            reason: verdict.reason,
            outbound: direction == Direction::Outbound,
            service: match verdict.reason.service_row() {
                Some(_) => verdict.service,
                None => ServiceClass::NONE,
            },
            peer: verdict.peer,
        };
        let count = self.rows.entry(row).or_default();
        count.packets += 1;
        count.bytes += u64::from(frame.length);
        if count.examples.len() < EXAMPLES {
            count.examples.push(spotted);
        }
    }
}
