//! Writes openings for the agent, which has read what the kernel program leaves unread: in the same
//! words, by the rules of the policy that is active.

use super::batch::Table;
use super::openings::{MappedOpenings, key};
use super::{Lock, PinDir, maps};
use anyhow::{Context as _, Result};
use aya::maps::{Array, MapData};
use sccm_common::abi::{PolicyInfo, map};
use sccm_common::opening::Told;
use sccm_common::policy::{SHADOWED, Timeouts};
use sccm_common::rpc::{How, Uuid};
use sccm_common::service::ServiceSet;
use sccm_common::verdict::Outcome;
use sccm_common::{Policy, ServiceClass};
use std::net::IpAddr;

/// Ports, both ends included.
type Ranges = Vec<(u16, u16)>;

/// The maps that this needs, and the rules that it goes by.
pub struct Opener {
    active: Array<MapData, u32>,
    infos: Array<MapData, PolicyInfo>,
    policies: Table<u32, Policy>,
    openings: MappedOpenings,
    counts: Array<MapData, u64>,
    rules: Rules,
}

/// What is needed of a policy.
struct Rules {
    /// Its bank and its generation.
    of: Option<(u32, u64)>,
    timeouts: Timeouts,
    /// What may be handed out.
    dynamic: Ranges,
    /// What belongs to other services.
    known: Ranges,
}

impl Opener {
    /// Opens the pins. There is one at a time, as the lock proves: it counts by reading and writing.
    ///
    /// # Errors
    /// A pin is missing or has another shape.
    pub fn open(pins: &PinDir, _lock: &Lock) -> Result<Self> {
        Ok(Self {
            active: maps::open(pins, map::ACTIVE)?,
            infos: maps::open(pins, map::POLICY_INFO)?,
            policies: Table::open(pins, map::POLICIES)?,
            openings: MappedOpenings::open(pins)?,
            counts: maps::open(pins, map::READ_OUTCOMES)?,
            rules: Rules {
                of: None,
                timeouts: Timeouts::DEFAULT,
                dynamic: Ranges::new(),
                known: Ranges::new(),
            },
        })
    }

    /// Reads the rules, if another policy is active than before, and says whether one is.
    ///
    /// # Errors
    /// The kernel refuses a read; the rules stay.
    pub fn renew(&mut self) -> Result<bool> {
        let bank = self.active.get(&0, 0)? & !SHADOWED;
        let generation = self.infos.get(&bank, 0)?.generation;
        let of = Some((bank, generation));
        if self.rules.of == of {
            return Ok(false);
        }
        let rules = &mut self.rules;
        self.policies.each(|number, policy| {
            if let (true, Some(policy)) = (*number == bank, policy.first()) {
                *rules = Rules::of(of, policy);
            }
        })?;
        Ok(true)
    }

    /// Which ports may be handed out, and which belong to other services.
    #[must_use]
    pub fn ports(&self) -> (Ranges, Ranges) {
        (self.rules.dynamic.clone(), self.rules.known.clone())
    }

    /// Opens a port of `server` for `client`, which the agent has judged by [`ports`](Self::ports), and
    /// counts it. `at`: when the answer passed, `now`: which time it is.
    ///
    /// # Errors
    /// The kernel refuses to count.
    pub fn open_port(
        &mut self,
        (client, server): (IpAddr, IpAddr),
        (port, how, interface): (u16, How, Uuid),
        at: u32,
        now: u32,
    ) -> Result<()> {
        let Some(key) = key(client, server, port) else {
            return Ok(());
        };
        // What has ended meanwhile takes nobody's place.
        let timeouts = &self.rules.timeouts;
        if u64::from(at) + u64::from(timeouts.rpc_unused) < now.into() {
            return Ok(());
        }
        let told = Told {
            key,
            interface: interface.to_little_endian(),
            learned: at,
            how: how as u32 | Told::BY_AGENT,
        };
        self.openings.note(&told, false, timeouts)?;
        self.count(Outcome::opened(how))
    }

    /// Counts what became of an answer.
    ///
    /// # Errors
    /// The kernel refuses.
    pub fn count(&mut self, outcome: Outcome) -> Result<()> {
        let Outcome(number) = outcome;
        let before = self.counts.get(&number, 0)?;
        self.counts
            .set(number, before + 1, 0)
            .context("counting a mapper's answer")
    }
}

impl Rules {
    fn of(of: Option<(u32, u64)>, policy: &Policy) -> Self {
        let is_known = |class: ServiceClass| class.0 >= ServiceClass::FIRST_NAMED;
        let dynamic: &ServiceSet = &policy.dynamic;
        Self {
            of,
            timeouts: policy.timeouts,
            dynamic: ranges(policy, |class| dynamic.contains(class)),
            known: ranges(policy, |class| is_known(class) && !dynamic.contains(class)),
        }
    }
}

/// The TCP ports whose class is such a one.
fn ranges(policy: &Policy, is_wanted: impl Fn(ServiceClass) -> bool) -> Ranges {
    let mut all = Ranges::new();
    for (port, class) in (0..=u16::MAX).zip(&policy.tcp) {
        if !is_wanted(*class) {
            continue;
        }
        match all.last_mut() {
            Some((_, last)) if port.checked_sub(1) == Some(*last) => *last = port,
            _ => all.push((port, port)),
        }
    }
    all
}
