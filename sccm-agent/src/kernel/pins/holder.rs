//! Asks whether an agent works with a pin directory.
//!
//! Trying the lock would take it for a moment, and an agent that starts in that moment would be
//! refused. So this reads the kernel's list of locks.

use super::PinDir;
use anyhow::{Context as _, Result};
use nix::sys::stat::{major, minor};
use procfs::LockType;
use std::fs;
use std::os::unix::fs::MetadataExt as _;

impl PinDir {
    /// Whether a process holds the lock. `/proc/locks` does not show processes outside of the
    /// reader's PID namespace.
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
