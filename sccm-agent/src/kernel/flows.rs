//! The table of flows, as the agent reads and fills it.

use super::batch::Table;
use super::{Clock, Mapped, PinDir, maps};
use crate::policy::{address_of, ip_of};
use anyhow::{Context as _, Result};
use sccm_common::Policy;
use sccm_common::abi::map;
use sccm_common::flow::table::{self, Added, Found, Hash, Lost, Seat, Set, WAYS, Words as _};
use sccm_common::flow::{FlowKey, FlowState, Phase};
use sccm_common::packet::Protocol;
use sccm_common::policy::{SHADOWED, Timeouts};
use serde::Serialize;
use std::net::SocketAddr;
use std::sync::atomic::AtomicU64;

/// Sets that are looked at for a count. Of more, one in so many: a keyed hash chooses the set of a
/// flow, so none is fuller than others.
const SAMPLE: usize = 1 << 15;

/// How many flows the table has, and has lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct FlowCount {
    /// Flows that have not expired by the timeouts of the active policy.
    pub alive: u64,
    /// Flows that had not, and made way for new ones, since the maps were made.
    pub evicted: u64,
    /// Flows that found no place, because other processors were writing there.
    pub missed: u64,
}

/// A flow of which somebody else knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KnownFlow {
    /// The IP protocol.
    pub protocol: u8,
    /// The end that opened it.
    pub local: SocketAddr,
    /// The other end; of the same family.
    pub peer: SocketAddr,
    /// How far it has come.
    pub phase: Phase,
}

impl KnownFlow {
    fn new(key: &FlowKey, phase: Phase) -> Self {
        let (family, (local, peer)) = (key.family(), key.ports());
        Self {
            protocol: key.protocol().0,
            local: SocketAddr::new(ip_of(family, key.local), local),
            peer: SocketAddr::new(ip_of(family, key.peer), peer),
            phase,
        }
    }

    fn key(&self) -> Option<FlowKey> {
        let (family, local) = address_of(self.local.ip());
        let (peers, peer) = address_of(self.peer.ip());
        let ports = (self.local.port(), self.peer.port());
        let protocol = Protocol(self.protocol);
        (family == peers).then(|| FlowKey::new(family, local, peer, ports, protocol))
    }
}

/// A flow of a table of flows, by ages and not by times: the clocks of two machines differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TableFlow {
    /// What it is.
    pub flow: KnownFlow,
    /// Seconds since one of its ends spoke.
    pub idle: u32,
    /// What the protected side acknowledged last (TCP); 0: not known.
    pub acknowledged: u32,
}

/// What became of what another gateway's table has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Merged {
    /// What was not here.
    pub added: u64,
    /// What was here, and was heard of later there.
    pub updated: u64,
    /// What was here, and was heard of here as late or later.
    pub known: u64,
    /// What has expired by the timeouts of the active policy.
    pub expired: u64,
    /// What found its set full: nothing that is alive makes way.
    pub no_room: u64,
}

/// The active policy, of which little is wanted: aya would copy the whole of it on the stack.
pub(super) struct ActivePolicy {
    active: Table<u32, u32>,
    policies: Table<u32, Policy>,
}

impl ActivePolicy {
    /// Opens the pins.
    pub(super) fn open(pins: &PinDir) -> Result<Self> {
        Ok(Self {
            active: Table::open(pins, map::ACTIVE)?,
            policies: Table::open(pins, map::POLICIES)?,
        })
    }

    /// Its timeouts.
    ///
    /// # Errors
    /// The kernel refuses a read, or the active policy is missing.
    pub(super) fn timeouts(&self) -> Result<Timeouts> {
        let mut active = None;
        self.active.each(|_, word| active = word.first().copied())?;
        let bank = active.map(|word| word & !SHADOWED);
        let mut timeouts = None;
        self.policies.each(|number, policy| {
            if Some(*number) == bank {
                timeouts = policy.first().map(|policy| policy.timeouts);
            }
        })?;
        timeouts.context("there is no active policy")
    }
}

/// The flows, and what is needed to find and to count them.
pub struct FlowTable {
    sets: Mapped<Set>,
    hash: Hash,
    lost: Table<u32, u64>,
    active: ActivePolicy,
}

impl FlowTable {
    /// Opens the pins.
    ///
    /// # Errors
    /// A pin is missing or has another shape.
    pub fn open(pins: &PinDir) -> Result<Self> {
        Ok(Self {
            sets: Mapped::open(pins, map::FLOWS)?,
            hash: maps::open(pins, map::FLOW_HASH)?.get(&0, 0)?,
            lost: Table::open(pins, map::FLOWS_LOST)?,
            active: ActivePolicy::open(pins)?,
        })
    }

    /// Counts them, some milliseconds long. A table of more than [`DEFAULT_CAPACITY`] flows is
    /// estimated from a part of its sets.
    ///
    /// [`DEFAULT_CAPACITY`]: sccm_common::flow::DEFAULT_CAPACITY
    ///
    /// # Errors
    /// The kernel refuses a read, or the active policy is missing.
    pub fn count(&self) -> Result<FlowCount> {
        let timeouts = self.active.timeouts()?;
        let now = Clock::read()?.program();
        let step = self.sets.len().div_ceil(SAMPLE).max(1);
        let (mut seen, mut alive) = (0_u64, 0_u64);
        for set in (0..self.sets.len()).step_by(step) {
            let Some(set) = self.sets.words(set) else {
                break;
            };
            seen += 1;
            alive += living(set, &timeouts, now).count() as u64;
        }
        let mut count = FlowCount {
            alive: (alive * self.sets.len() as u64)
                .checked_div(seen)
                .unwrap_or(0),
            ..FlowCount::default()
        };
        self.lost.each(|number, cpus| {
            let all = cpus.iter().sum();
            match *number {
                number if number == Lost::Evicted as u32 => count.evicted = all,
                _ => count.missed = all,
            }
        })?;
        Ok(count)
    }

    /// Writes flows that the table does not have, as if they had spoken just now, and returns how many
    /// these are. None makes way for them.
    ///
    /// # Errors
    /// The kernel refuses a read.
    pub fn remember(&self, known: &[KnownFlow]) -> Result<u64> {
        let timeouts = self.active.timeouts()?;
        let now = Clock::read()?.program();
        let mut new = 0;
        for flow in known {
            let Some(key) = flow.key() else {
                continue;
            };
            if let Some(seat) = self.seat(key)
                && seat.found.is_none()
            {
                let state = FlowState::new(flow.phase, now);
                new += u64::from(seat.add(state, &timeouts, now));
            }
        }
        Ok(new)
    }

    /// All flows that have not expired, whoever was heard of last first.
    ///
    /// # Errors
    /// The kernel refuses a read, or the active policy is missing.
    pub fn list(&self) -> Result<Vec<TableFlow>> {
        let timeouts = self.active.timeouts()?;
        let clock = Clock::read()?;
        let sets = (0..self.sets.len()).filter_map(|set| self.sets.words(set));
        let alive = sets.flat_map(|set| living(set, &timeouts, clock.program()));
        let mut flows: Vec<TableFlow> = alive
            .map(|(key, state)| TableFlow {
                flow: KnownFlow::new(&key, state.phase()),
                idle: clock.age(state.seen()) as u32,
                acknowledged: state.acknowledged(),
            })
            .collect();
        flows.sort_by_key(|one| (one.idle, one.flow.local, one.flow.peer));
        Ok(flows)
    }

    /// Writes what another table has, and this one does not have or heard of earlier.
    ///
    /// # Errors
    /// The kernel refuses a read, or the active policy is missing.
    pub fn merge(&self, flows: &[TableFlow]) -> Result<Merged> {
        let timeouts = self.active.timeouts()?;
        let now = Clock::read()?.program();
        let mut merged = Merged::default();
        for one in flows {
            let Some(key) = one.flow.key() else {
                continue;
            };
            let seen = now.saturating_sub(one.idle);
            let state = FlowState::with(one.flow.phase, seen, one.acknowledged);
            let seat = self.seat(key);
            let count = match seat.as_ref().map(|seat| (seat, seat.found)) {
                _ if !state.is_alive(key.protocol(), &timeouts, now) => &mut merged.expired,
                Some((_, Some(found))) if found.state.seen() >= seen => &mut merged.known,
                Some((seat, Some(found))) => {
                    // Whoever has written meanwhile has heard of it later.
                    seat.set
                        .exchange(found.way, found.state.word(), state.word());
                    &mut merged.updated
                }
                Some((seat, None)) if seat.add(state, &timeouts, now) => &mut merged.added,
                _ => &mut merged.no_room,
            };
            *count += 1;
        }
        Ok(merged)
    }

    /// `None`: the table is smaller than its hash says.
    fn seat(&self, key: FlowKey) -> Option<FlowSeat<'_>> {
        let seat = self.hash.seat(&key);
        let set = self.sets.words(seat.set as usize)?;
        Some(FlowSeat {
            set,
            seat,
            key,
            found: table::find(set, seat, || key),
        })
    }
}

/// Where a flow is, or would be.
struct FlowSeat<'a> {
    set: &'a [AtomicU64],
    seat: Seat,
    key: FlowKey,
    found: Option<Found>,
}

impl FlowSeat<'_> {
    /// Adds it, if none that is alive has to make way; says whether it did.
    fn add(&self, state: FlowState, timeouts: &Timeouts, now: u32) -> bool {
        let lives = |state: FlowState, protocol| state.is_alive(Protocol(protocol), timeouts, now);
        living(self.set, timeouts, now).count() < WAYS
            && table::add(self.set, self.seat, || self.key, state, lives) == Added::Fresh
    }
}

/// The flows of a set that still count.
fn living(
    set: &[AtomicU64],
    timeouts: &Timeouts,
    now: u32,
) -> impl Iterator<Item = (FlowKey, FlowState)> {
    let flows = (0..WAYS).filter_map(|way| table::flow_at(set, way));
    flows.filter(move |(key, state)| state.is_alive(key.protocol(), timeouts, now))
}
