//! The ports that the endpoint mapper of RPC has handed out, as the kernel has them.

mod mapped;

pub(super) use mapped::{MappedOpenings, key};
pub use mapped::{keep_open, merge_openings};

use super::batch::Table;
use super::flows::ActivePolicy;
use super::{Clock, PinDir};
use crate::policy::ip_of;
use anyhow::Result;
use sccm_common::abi::map;
use sccm_common::opening::{Opening, SLOTS, Set, Told};
use sccm_common::rpc::heard::Desk;
use sccm_common::rpc::{How, Refusal, Uuid};
use sccm_common::verdict::Outcome;
use std::net::IpAddr;

/// A port that is open to one client, by ages and not by times: the clocks of two machines differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KnownOpening {
    /// Whom it was handed to.
    pub client: IpAddr,
    /// Whose it is.
    pub server: IpAddr,
    /// The TCP port.
    pub port: u16,
    /// Who listens there; of the other ways than `ept_map`, the interface that answered.
    pub interface: Uuid,
    /// How it was handed out; `None`: a connection to it is older than the tracking.
    pub how: Option<How>,
    /// The agent has read the answer, not the kernel program.
    pub by_agent: bool,
    /// Seconds since it was handed out last.
    pub age: u64,
    /// Seconds since a connection used it; `None` if none has.
    pub used: Option<u64>,
}

/// A port that is open to one client here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HandedOut {
    /// What is known of it.
    pub opening: KnownOpening,
    /// Seconds until it is closed, if nobody uses it.
    pub left: u64,
    /// Only the candidate's policy, a shadow, has opened it.
    pub of_candidate: bool,
}

/// What became of the mapper's answers, and of the ports in them.
pub type Outcomes = Vec<(Result<How, Refusal>, u64)>;

/// The maps that this needs.
pub struct OpeningTable {
    sets: Table<u32, Set>,
    outcomes: Table<u32, u64>,
    read_outcomes: Table<u32, u64>,
    desks: Table<u32, Desk>,
    secret: Table<u32, u64>,
    active: ActivePolicy,
}

impl OpeningTable {
    /// Opens the pins.
    ///
    /// # Errors
    /// A pin is missing.
    pub fn open(pins: &PinDir) -> Result<Self> {
        Ok(Self {
            sets: Table::open(pins, map::OPENINGS)?,
            outcomes: Table::open(pins, map::RPC_OUTCOMES)?,
            read_outcomes: Table::open(pins, map::READ_OUTCOMES)?,
            desks: Table::open(pins, map::HEARING)?,
            secret: Table::open(pins, map::SECRET)?,
            active: ActivePolicy::open(pins)?,
        })
    }

    /// The ports that are open now, in the order of client, server and port.
    ///
    /// # Errors
    /// The kernel refuses a read.
    pub fn read(&self) -> Result<Vec<HandedOut>> {
        let timeouts = self.active.timeouts()?;
        let clock = Clock::read()?;
        let mut secret = 0;
        self.secret.each(|_, words| {
            secret = words.first().copied().unwrap_or_default();
        })?;
        let mut all = Vec::new();
        self.sets.each(|_, sets| {
            for (opening, told) in sets.iter().flat_map(pairs) {
                // Where the two do not belong together, a CPU is writing them.
                let is_whole = told.key.place(secret).1 == opening.fingerprint();
                if is_whole && opening.is_alive(&timeouts, clock.program()) {
                    let end = opening.end(&timeouts);
                    all.push(HandedOut {
                        opening: known(opening, told, &clock),
                        left: end.saturating_sub(clock.program().into()),
                        of_candidate: told.key.is_candidates(),
                    });
                }
            }
        })?;
        all.sort_by_key(|one: &HandedOut| {
            let KnownOpening {
                client,
                server,
                port,
                ..
            } = one.opening;
            (client, server, port, one.of_candidate)
        });
        Ok(all)
    }

    /// How often each of them happened since the maps were made, also those that never did, in what
    /// the kernel program has read.
    ///
    /// # Errors
    /// The kernel refuses a read.
    pub fn outcomes(&self) -> Result<Outcomes> {
        counts(&self.outcomes)
    }

    /// The same in what agents have read.
    ///
    /// # Errors
    /// The kernel refuses a read.
    pub fn read_outcomes(&self) -> Result<Outcomes> {
        counts(&self.read_outcomes)
    }

    /// How many segments no agent could read, since the maps were made: the ring buffer was full.
    ///
    /// # Errors
    /// The kernel refuses a read.
    pub fn lost(&self) -> Result<u64> {
        let mut lost = 0;
        self.desks.each(|_, cpus| {
            lost += cpus.iter().map(|desk| desk.lost).sum::<u64>();
        })?;
        Ok(lost)
    }
}

fn counts(table: &Table<u32, u64>) -> Result<Outcomes> {
    let mut all = Vec::new();
    table.each(|number, cpus| {
        if let Some(outcome) = Outcome(*number).read() {
            all.push((outcome, cpus.iter().sum()));
        }
    })?;
    Ok(all)
}

fn pairs(set: &Set) -> impl Iterator<Item = (Opening, &Told)> {
    let words: [Opening; SLOTS] = set.words.map(Opening);
    words.into_iter().zip(&set.told)
}

fn known(opening: Opening, told: &Told, clock: &Clock) -> KnownOpening {
    let how = usize::try_from(told.how & !Told::BY_AGENT).ok();
    let how = how.and_then(|how| How::ALL.get(how)).copied();
    let family = told.key.family();
    KnownOpening {
        client: ip_of(family, told.key.client),
        server: ip_of(family, told.key.server),
        port: told.key.port(),
        interface: how
            .and_then(How::answered_by)
            .unwrap_or_else(|| Uuid::little_endian(&told.interface)),
        how,
        by_agent: told.how & Told::BY_AGENT != 0,
        age: clock.age(told.learned),
        used: opening.is_used().then(|| clock.age(opening.seen())),
    }
}
