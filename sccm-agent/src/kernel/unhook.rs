//! Taking a pinned hook off its interface, at once, also for another one.
//!
//! It is not enough to remove the pin of a link: the kernel frees the link some time later, and
//! the program judges packets until then. So the link is detached first. A pinned program
//! stands for the filter that runs it, which is removed.

use super::pinned::Pinned;
use super::{bpf, filter};
use anyhow::{Context as _, Result};
use std::fs;
use std::io::ErrorKind;
use std::os::fd::OwnedFd;
use std::path::Path;

/// Detaches what is pinned at `path`, and removes the pin. It is no error if there is no pin, or
/// if the interface is gone.
pub(crate) fn unhook(path: &Path) -> Result<()> {
    match Pinned::at(path)? {
        None => return Ok(()),
        Some(Pinned::Program(id)) => filter::remove(id)?,
        Some(Pinned::Link(link)) => detach(link, path),
    }
    match fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            Err(error).with_context(|| format!("removing {}", path.display()))
        }
        _ => Ok(()),
    }
}

/// Takes off what is pinned at `path`, and pins there what is at `successor`. Of links, whoever looks
/// at `path` meanwhile finds one that is attached.
pub(crate) fn give_way(path: &Path, successor: &Path) -> Result<()> {
    let renaming = || format!("renaming {}", successor.display());
    if let Some(Pinned::Link(old)) = Pinned::at(path)? {
        fs::rename(successor, path).with_context(renaming)?;
        detach(old, path);
        return Ok(());
    }
    // Unlike a link, a filter outlives an agent that dies now: while it is there, so is its pin.
    unhook(path)?;
    fs::rename(successor, path).with_context(renaming)
}

fn detach(link: OwnedFd, path: &Path) {
    // The kernel refuses where the interface is gone, and the link with it.
    if let Err(error) = bpf::detach_link(&link) {
        tracing::debug!("detaching {}: {error}", path.display());
    }
}
