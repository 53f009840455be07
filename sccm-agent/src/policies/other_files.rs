//! Files that a reload reads again besides the policy's own. Their owner is above this room.

use anyhow::Result;
use std::sync::Arc;

/// The owner of such files: the HTTP server, for its web configuration.
pub trait OtherFiles: Send + Sync {
    /// Whether the operator gave any.
    fn exist(&self) -> bool;

    /// Reads them again. What was read before stays in force until the result is called.
    ///
    /// # Errors
    /// What is wrong with one of them.
    fn read(self: Arc<Self>) -> Result<PutInForce>;
}

/// Puts in force what was read.
pub type PutInForce = Box<dyn FnOnce() + Send>;
