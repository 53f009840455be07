//! Files that the web configuration names: small, and secret where they hold a secret.

use crate::files::{self, Readers, Unread};
use crate::units::MIB;
use anyhow::{Result, anyhow};
use std::fmt::Display;
use std::path::Path;

/// More than any chain of certificates; keeps a wrong path from filling memory.
const MAX_BYTES: u64 = MIB;

/// Reads a file that anybody may see.
///
/// # Errors
/// It is larger than 1 MiB, or nothing that [`files::read`] reads.
pub(super) fn read(path: &Path) -> Result<Vec<u8>> {
    read_for(path, Readers::Anybody, &path.display())
}

/// Reads a file that only its owner may see. Errors call it `name`.
///
/// # Errors
/// As [`read`], and that others than its owner have any right to it.
pub(super) fn read_secret(path: &Path, name: &dyn Display) -> Result<Vec<u8>> {
    read_for(path, Readers::Owner, name)
}

fn read_for(path: &Path, readers: Readers, name: &dyn Display) -> Result<Vec<u8>> {
    files::read(path, MAX_BYTES, readers).map_err(|unread| match unread {
        Unread::Because(why) => anyhow!("{name}: {why}"),
        Unread::TooLarge => anyhow!("{name} is larger than 1 MiB: is it the right file?"),
    })
}
