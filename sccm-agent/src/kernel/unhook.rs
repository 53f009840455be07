//! Taking a pinned hook off its interface, at once.
//!
//! It is not enough to remove the pin of a link: the kernel frees the link some time later, and
//! the program judges packets until then. So the link is detached first. A pinned program
//! stands for the filter that runs it, which is removed.

use super::pinned::Pinned;
use super::{bpf, filter};
use anyhow::{Context as _, Result};
use std::fs;
use std::io::ErrorKind;
use std::path::Path;

/// Detaches what is pinned at `path`, and removes the pin. It is no error if there is no pin, or
/// if the interface is gone.
pub(crate) fn unhook(path: &Path) -> Result<()> {
    match Pinned::at(path)? {
        None => return Ok(()),
        Some(Pinned::Program(id)) => filter::remove(id)?,
        Some(Pinned::Link(link)) => {
            // The kernel refuses where the interface is gone, and the link with it.
            if let Err(error) = bpf::detach_link(&link) {
                tracing::debug!("detaching {}: {error}", path.display());
            }
        }
    }
    match fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            Err(error).with_context(|| format!("removing {}", path.display()))
        }
        _ => Ok(()),
    }
}
