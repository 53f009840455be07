//! What is true of each interface, read back from the kernel.

use crate::interface::Interface;
use crate::kernel::{Attached, Maps, PinDir};
use anyhow::Result;
use sccm_common::counter::Direction;
use sccm_common::policy::flag;
use serde::Serialize;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The state of one interface.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// Our program judges every packet in the driver, and drops.
    Enforcing,
    /// The same in the kernel's stack: about four times slower.
    Generic,
    /// Our program judges and counts, and drops nothing.
    Observing,
    /// Nothing of ours is there.
    Detached,
    /// Somebody else's program is there.
    ForeignProgram,
    /// Our pin is there, but the card that it was made for is gone.
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
            Self::Detached => "detached",
            Self::ForeignProgram => "foreign-program",
            Self::StalePin => "stale-pin",
        }
    }

    /// Whether packets are dropped.
    #[must_use]
    pub const fn drops(self) -> bool {
        matches!(self, Self::Enforcing | Self::Generic)
    }

    /// Whether our program sees the packets at all.
    #[must_use]
    pub const fn is_attached(self) -> bool {
        matches!(self, Self::Enforcing | Self::Generic | Self::Observing)
    }
}

/// An interface that has a slot, and its state.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct InterfaceState {
    /// Its name.
    pub interface: String,
    /// What is true of it.
    pub state: State,
    /// `native` or `generic`; absent where our program is not attached.
    pub mode: Option<&'static str>,
}

/// The maps, also after another thread has panicked over them: the kernel's
/// are never half written.
pub fn lock(maps: &Mutex<Maps>) -> MutexGuard<'_, Maps> {
    maps.lock().unwrap_or_else(PoisonError::into_inner)
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
    let observing = maps.info()?.flags & flag::OBSERVE != 0;
    let mut states = Vec::new();
    for (slot, name) in maps.interfaces()? {
        let ours = Attached::program_id(pins, slot, Direction::Inbound)?;
        let card = present.iter().find(|interface| interface.name == name);
        let there = card.and_then(|card| card.xdp);
        let state = match (ours, there) {
            (Some(ours), Some(there)) if ours == there.id => match (observing, there.generic) {
                (true, _) => State::Observing,
                (false, true) => State::Generic,
                (false, false) => State::Enforcing,
            },
            (_, Some(_)) => State::ForeignProgram,
            (Some(_), None) => State::StalePin,
            (None, None) => State::Detached,
        };
        let mode = there
            .filter(|_| state.is_attached())
            .map(|program| match program.generic {
                true => "generic",
                false => "native",
            });
        states.push(InterfaceState {
            interface: name,
            state,
            mode,
        });
    }
    Ok(states)
}
