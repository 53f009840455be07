//! What the agent has attached, and how: shared by those who attach, one at a time.

use super::{How, attach_one};
use crate::heap;
use crate::kernel::{Held, PinDir, Programs};
use crate::plan::Card;
use anyhow::Result;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The hooks of a running agent.
pub struct SharedAttachments(Mutex<Attachments>);

/// What its holder alone changes.
pub struct Attachments {
    pub(super) pins: PinDir,
    pub(super) how: How,
    /// By the slots of their cards.
    pub(super) programs: BTreeMap<u32, Held>,
    /// The slots of cards whose hook is not yet the one that is asked.
    pub(super) late: BTreeSet<u32>,
    pub(super) changes: u64,
}

impl SharedAttachments {
    /// Those that have just been made, at these slots.
    ///
    /// # Errors
    /// What the programs say cannot be read.
    pub fn new(pins: PinDir, how: How, slots: &[u32], programs: Vec<Programs>) -> Result<Self> {
        let held = slots
            .iter()
            .zip(programs)
            .map(|(slot, programs)| Ok((*slot, programs.hold()?)));
        Ok(Self(Mutex::new(Attachments {
            pins,
            how,
            programs: held.collect::<Result<_>>()?,
            late: BTreeSet::new(),
            changes: 0,
        })))
    }

    /// Waits for whoever attaches something, for as long as the verifier takes. What a thread left
    /// that panicked is compared with the kernel by the next one.
    pub fn lock(&self) -> MutexGuard<'_, Attachments> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Attachments {
    /// How cards are attached that come now.
    #[must_use]
    pub const fn how(&self) -> &How {
        &self.how
    }

    /// How often hooks have been exchanged: whoever read the machine's interfaces before knows of
    /// programs that are gone.
    #[must_use]
    pub const fn changes(&self) -> u64 {
        self.changes
    }

    /// Whether the card at this slot shall have another hook.
    #[must_use]
    pub fn is_late(&self, slot: u32) -> bool {
        self.late.contains(&slot)
    }

    /// Attaches to one card while others are enforced.
    ///
    /// # Errors
    /// The kernel or the driver refuses.
    pub fn attach(&mut self, slot: u32, card: &Card) -> Result<()> {
        let programs = attach_one(&self.pins, &self.how, slot, card)?;
        self.programs.insert(slot, programs.hold()?);
        self.late.remove(&slot);
        // The kernel's types take more than the agent itself.
        heap::give_back();
        Ok(())
    }

    /// The card at this slot is not enforced any more.
    pub fn forget(&mut self, slot: u32) {
        self.programs.remove(&slot);
        self.late.remove(&slot);
    }
}
