//! A network of a thread's own, for emulated machines. With the process, all of it is gone.

use anyhow::{Context as _, Result};
use nix::sched::{CloneFlags, unshare};
use nix::unistd::gettid;

use crate::process::{command, run};

/// Takes this thread, and all that it starts from now on, into a network of its own. Returns what
/// `ip` knows the network by.
///
/// # Errors
/// Without root.
pub fn leave() -> Result<String> {
    unshare(CloneFlags::CLONE_NEWNET).context("making a network namespace (needs root)")?;
    ip("link set lo up")?;
    Ok(gettid().to_string())
}

/// Runs `ip` in this thread's network; the arguments are separated by spaces.
///
/// # Errors
/// It fails.
pub fn ip(arguments: &str) -> Result<()> {
    run(command("ip").args(arguments.split_whitespace()))
}
