//! The maps, for several readers in one process.

use super::Maps;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Handles of the maps that one reader uses at a time.
pub struct SharedMaps(Mutex<Maps>);

impl SharedMaps {
    #[must_use]
    pub const fn new(maps: Maps) -> Self {
        Self(Mutex::new(maps))
    }

    /// The maps, also after another thread has panicked over them: the kernel's are never half
    /// written.
    pub fn lock(&self) -> MutexGuard<'_, Maps> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
