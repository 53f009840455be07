//! What a new agent makes of the policy that it finds in the maps.
//!
//! An agent that dies while a policy is on trial leaves it enforced, and nobody
//! to take it back. So the next one does that first of all, by one word, before
//! it reads or checks anything that could go wrong. What was taken back is noted
//! in the maps, and not published again until somebody asks for it.

use crate::kernel::{Found, Maps, PinDir};
use crate::policy::Compiled;
use anyhow::{Context as _, Result};
use sccm_common::abi::PolicyInfo;
use sccm_common::policy::flag;

/// What a start does with the policy that it was given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Start {
    /// Makes it the active one.
    Publish,
    /// Nothing: it is the active one.
    Unchanged,
    /// Nothing: it has been taken back, and nobody has asked for it again.
    Withdrawn,
}

/// Looks at what is pinned, and takes back a policy that nobody confirmed. Where
/// none was confirmed before it, what there was to go back to is nothing: all
/// hooks and maps go. Sets `changed` if there is such a policy.
///
/// # Errors
/// The pins cannot be read or changed.
pub(crate) fn recover(pins: &PinDir, changed: &mut bool) -> Result<Found> {
    let found = pins.look()?;
    if found != Found::Maps {
        return Ok(found);
    }
    let mut maps = Maps::open(pins)?;
    let active = maps.info()?;
    if active.is_confirmed() {
        return Ok(found);
    }
    let standby = maps.standby()?;
    *changed = true;
    if standby.is_confirmed() {
        maps.take_back()?;
        tracing::warn!(
            generation = maps.info()?.generation,
            "an agent died before policy {} was confirmed: went back to the one before",
            active.generation
        );
        return Ok(found);
    }
    pins.clear().context("taking back what nobody confirmed")?;
    tracing::warn!(
        "an agent died before its first policy was confirmed: detached; this start begins anew"
    );
    Ok(Found::Nothing)
}

impl Start {
    /// What to do with `compiled`, over what was [found](recover).
    ///
    /// # Errors
    /// The maps cannot be read.
    pub(crate) fn with(compiled: &Compiled, pins: &PinDir, found: Found) -> Result<Self> {
        if found != Found::Maps {
            return Ok(Self::Publish);
        }
        let active = Maps::open(pins)?.info()?;
        Ok(if active.tables == compiled.info.tables {
            Self::Unchanged
        } else if active.withdrawn == compiled.info.hash && !observes(&compiled.info) {
            Self::Withdrawn
        } else {
            Self::Publish
        })
    }
}

/// Whether nothing would be dropped: then there is nothing to spare the operator.
const fn observes(info: &PolicyInfo) -> bool {
    info.flags & flag::OBSERVE != 0
}
