//! Whether an agent works with a pin directory, without getting in its way.
//!
//! To try the lock would be to hold it for a moment, in which an agent that starts would be
//! refused. The kernel's list of locks tells as well.

use super::PinDir;
use anyhow::{Context as _, Result};
use nix::sys::stat::{major, minor};
use procfs::LockType;
use std::fs;
use std::os::unix::fs::MetadataExt as _;

impl PinDir {
    /// Whether a process holds the lock, as far as `/proc/locks` shows: not one outside of
    /// the PID namespace that it is read in.
    ///
    /// # Errors
    /// The directory or `/proc/locks` cannot be read.
    pub fn is_held(&self) -> Result<bool> {
        let directory =
            fs::metadata(&self.0).with_context(|| format!("reading {}", self.0.display()))?;
        let (device, inode) = (directory.dev(), directory.ino());
        let locks = procfs::locks().context("reading /proc/locks")?;
        Ok(locks.iter().any(|lock| {
            lock.lock_type == LockType::FLock
                && lock.inode == inode
                && (u64::from(lock.devmaj), u64::from(lock.devmin))
                    == (major(device), minor(device))
        }))
    }
}
