//! What is true, read back from the kernel.

mod counts;
mod machine;
mod overall;
mod policy;
#[cfg(test)]
mod reference;
mod snapshot;

pub use counts::{Count, counts};
pub use machine::Machine;
pub use overall::Overall;
pub use policy::{PolicyStatus, ShadowStatus};
pub use snapshot::{Blocked, BlockedRow, Shadow, Snapshot, now};

use crate::hooks;
use crate::interface::{self, Interface};
use crate::kernel::{Attached, Clock, Found, Ingress, Maps, PinDir};
use crate::plan;
use anyhow::{Result, bail};
use sccm_common::counter::Direction;
use sccm_common::policy::flag;
use serde::Serialize;

/// The state of one interface.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// Our program judges every packet in the driver, and drops.
    Enforcing,
    /// The same in the kernel's stack: about four times slower.
    Generic,
    /// Our program judges and counts, and drops nothing.
    Observing,
    /// The same, for a while after a first start; then it drops.
    WarmingUp,
    /// No program of the agent is attached.
    Detached,
    /// Somebody else's XDP program is attached.
    ForeignProgram,
    /// The ingress program drops packets, but the egress program is gone, so that answers to what
    /// the protected systems open are dropped.
    EgressLost,
    /// Somebody else's TC program runs before the egress program: packets that it lets out are not
    /// judged, and get no answers.
    EgressBehind,
    /// The agent is to enforce it, but it does not exist, or the agent cannot attach to it.
    Missing,
    /// The link is pinned, but the card that it was made for is gone.
    StalePin,
}

impl State {
    /// Its name in tables, as in JSON.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Enforcing => "enforcing",
            Self::Generic => "generic",
            Self::Observing => "observing",
            Self::WarmingUp => "warming-up",
            Self::Detached => "detached",
            Self::ForeignProgram => "foreign-program",
            Self::EgressLost => "egress-lost",
            Self::EgressBehind => "egress-behind",
            Self::Missing => "missing",
            Self::StalePin => "stale-pin",
        }
    }

    /// Whether packets are dropped.
    #[must_use]
    pub const fn drops(self) -> bool {
        matches!(
            self,
            Self::Enforcing | Self::Generic | Self::EgressLost | Self::EgressBehind
        )
    }

    /// Whether both our programs are there.
    #[must_use]
    pub const fn is_attached(self) -> bool {
        matches!(
            self,
            Self::Enforcing
                | Self::Generic
                | Self::Observing
                | Self::WarmingUp
                | Self::EgressBehind
        )
    }
}

/// An interface that has a slot, and its state.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct InterfaceState {
    /// Its name.
    pub interface: String,
    /// What is true of it.
    pub state: State,
    /// `native` or `generic` (XDP), or `tc`; null where our program is not attached.
    pub mode: Option<&'static str>,
    /// The programs that run before the agent's at TC.
    pub before: Vec<String>,
}

/// The maps of what is enforced.
///
/// # Errors
/// Nothing is enforced, or by another version; pins that cannot be read.
pub fn open(pins: &PinDir) -> Result<Maps> {
    match pins.look()? {
        Found::Maps => Maps::open(pins),
        Found::Nothing => bail!("nothing is enforced ({} is empty)", pins.path().display()),
        Found::OtherAbi(version) => bail!(
            "another version of sccm-agent made these maps (layout {version}, this one has {}): \
             use that version",
            sccm_common::abi::VERSION
        ),
    }
}

/// The state of every interface that has a slot.
///
/// # Errors
/// Pins or maps that cannot be read.
pub fn interfaces(
    pins: &PinDir,
    maps: &Maps,
    present: &[Interface],
) -> Result<Vec<InterfaceState>> {
    let policy = maps.info()?;
    let observing = policy.flags & flag::OBSERVE != 0;
    let warming_up = policy.warm_up_left(Clock::read()?.wall()) > 0;
    let mut states = Vec::new();
    let known = maps.interfaces()?;
    for one in &known {
        // A VLAN's frames are judged at its card.
        let card = known.iter().find(|card| card.slot == one.hook);
        let card = card.and_then(|card| present.iter().find(|real| real.name == card.name));
        let ingress = match card {
            Some(card) => hooks::ingress_of(pins, one.hook, card)?,
            None => None,
        };
        let before = match card.filter(|_| ingress.is_some()) {
            Some(card) => who_sees_first(pins, one.hook, card)?,
            None => Some(Vec::new()),
        };
        let state = match ingress {
            Some(_) if observing => State::Observing,
            Some(_) if warming_up => State::WarmingUp,
            Some(_) if before.is_none() => State::EgressLost,
            Some(_) if before.as_ref().is_some_and(|before| !before.is_empty()) => {
                State::EgressBehind
            }
            Some(Ingress::Generic) => State::Generic,
            Some(_) => State::Enforcing,
            None if card.is_some_and(|card| card.xdp.is_some()) => State::ForeignProgram,
            None if Attached::program_id(pins, one.hook, Direction::Inbound)?.is_some() => {
                State::StalePin
            }
            None if one.awaited => State::Missing,
            None => State::Detached,
        };
        states.push(InterfaceState {
            interface: one.name.clone(),
            state,
            mode: ingress.map(Ingress::label),
            before: before.unwrap_or_default(),
        });
    }
    Ok(states)
}

/// The interfaces by which a gateway forwards, and that nobody enforces.
///
/// # Errors
/// Maps that cannot be read.
pub fn not_enforced(maps: &Maps, present: &[Interface]) -> Result<Vec<String>> {
    if maps.info()?.flags & flag::GATEWAY == 0 {
        return Ok(Vec::new());
    }
    let entrances = maps.entrances()?.into_keys().collect();
    Ok(plan::not_enforced(&entrances, present, interface::routes))
}

/// The programs that run before the agent's at TC; `None` if the egress program is not attached.
fn who_sees_first(pins: &PinDir, hook: u32, card: &Interface) -> Result<Option<Vec<String>>> {
    match Attached::hangs_on(pins, hook, Direction::Outbound, card.index)? {
        true => Attached::before_pinned(pins, hook, card.index).map(Some),
        false => Ok(None),
    }
}
