//! Opens pinned BPF links, and gives them another program.

use super::super::root_cause;
use super::super::unhook::unhook;
use anyhow::{Context as _, Result, bail};
use aya::programs::ProgramError;
use aya::programs::links::{FdLink, PinnedLink};
use std::path::Path;

/// The link that is pinned at `path`.
pub(crate) fn open(path: &Path) -> Result<FdLink> {
    let link = PinnedLink::from_pin(path).with_context(|| format!("opening {}", path.display()))?;
    Ok(FdLink::from(link))
}

/// Whether the link at `path` has the new program. If its card is gone, removes the pin, and
/// returns false.
///
/// # Errors
/// The kernel refuses for another reason.
pub(crate) fn was_updated(result: Result<(), ProgramError>, path: &Path) -> Result<bool> {
    let Err(error) = result else {
        return Ok(true);
    };
    let number = match &error {
        ProgramError::SyscallError(syscall) => syscall.io_error.raw_os_error(),
        _ => None,
    };
    if number == Some(libc::ENOLINK) {
        unhook(path)?;
        return Ok(false);
    }
    bail!("updating {}: {}", path.display(), root_cause(&error))
}
