//! Files that the web configuration names: small, plain, and secret where they
//! hold a secret.

use crate::units::MIB;
use anyhow::{Context as _, Result, ensure};
use std::fs::File;
use std::io::Read as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

/// More than any chain of certificates; keeps a wrong path from filling memory.
const MAX_BYTES: u64 = MIB;

/// What everybody but the owner may do.
const OTHERS: u32 = 0o077;

/// Reads a file that anybody may see.
///
/// # Errors
/// It cannot be read, is no plain file, or is larger than 1 MiB.
pub(super) fn read(path: &Path) -> Result<Vec<u8>> {
    content(path, open(path)?)
}

/// Reads a file that only its owner may see.
///
/// # Errors
/// As [`read`], and that others than its owner have any right to it.
pub(super) fn read_secret(path: &Path) -> Result<Vec<u8>> {
    let file = open(path)?;
    let mode = file.metadata()?.permissions().mode() & 0o7777;
    ensure!(
        mode & OTHERS == 0,
        "{} holds a secret, but not only its owner may use it (mode {mode:04o}): chmod 600 {}",
        path.display(),
        path.display()
    );
    content(path, file)
}

fn open(path: &Path) -> Result<File> {
    // Asked before it is opened: opening a FIFO would wait for its writer.
    let found = std::fs::metadata(path).with_context(|| cannot_read(path))?;
    ensure!(found.is_file(), "{} is not a plain file", path.display());
    File::open(path).with_context(|| cannot_read(path))
}

fn content(path: &Path, file: File) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    file.take(MAX_BYTES + 1)
        .read_to_end(&mut bytes)
        .with_context(|| cannot_read(path))?;
    ensure!(
        bytes.len() as u64 <= MAX_BYTES,
        "{} is larger than 1 MiB: is it the right file?",
        path.display()
    );
    Ok(bytes)
}

fn cannot_read(path: &Path) -> String {
    format!("cannot read {}", path.display())
}
