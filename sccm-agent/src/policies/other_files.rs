//! Files that a reload reads again besides the policy's own. Their owner is above this room.

use anyhow::Result;

/// The owner of such files: the HTTP server, for its web configuration.
pub trait OtherFiles: Send + Sync {
    /// Whether the operator gave any.
    fn exist(&self) -> bool;

    /// Reads them again.
    ///
    /// # Errors
    /// What is wrong with one of them. What was read before stays in force then.
    fn reload(&self) -> Result<()>;
}
