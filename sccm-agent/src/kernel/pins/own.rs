//! Whose the directory is. Whoever may write to it takes programs off the cards; whoever may open it
//! can hold its lock, so that no agent starts and `detach` fails.

use super::not_bpf_fs;
use anyhow::{Context as _, Result, bail, ensure};
use nix::fcntl::OFlag;
use nix::sys::statfs::{BPF_FS_MAGIC, fstatfs};
use nix::unistd::geteuid;
use std::fs::{self, File, Metadata, OpenOptions, Permissions};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;

/// Bits of a mode by which others than the owner may write.
const OTHERS_WRITE: u32 = 0o022;

/// By which only owners remove what is in a directory.
const STICKY: u32 = 0o1000;

/// Opens a directory that only this user can write to, and takes all rights of others.
///
/// # Errors
/// It is none, others own it, or could write to it: then nobody knows what is in it.
pub(super) fn make_private(path: &Path) -> Result<File> {
    let mut options = OpenOptions::new();
    let flags = OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW;
    options.read(true).custom_flags(flags.bits());
    let directory = options.open(path);
    let directory =
        directory.with_context(|| format!("opening the directory {}", path.display()))?;
    let found = directory.metadata()?;
    // Nobody's rights are taken anywhere else, whatever was named by mistake.
    let on = fstatfs(&directory)?.filesystem_type();
    ensure!(on == BPF_FS_MAGIC, "{}", not_bpf_fs(path));
    ensure_own(path, &found)?;
    if found.mode() & OTHERS_WRITE != 0 {
        let (path, mode) = (path.display(), found.mode() & 0o7777);
        bail!(
            "others than its owner may write to {path} (mode {mode:04o}), and could take programs off \
             the cards: look at what is in it, then chmod 700 {path}"
        );
    }
    if found.mode() & 0o077 != 0 {
        let private = directory.set_permissions(Permissions::from_mode(0o700));
        private.with_context(|| format!("chmod 700 {}", path.display()))?;
    }
    Ok(directory)
}

/// Checks that nobody else can put something into the place of a directory: in all above it, on the
/// same file system, only their owners may remove what is theirs.
///
/// # Errors
/// What to mend.
pub(super) fn ensure_way(path: &Path) -> Result<()> {
    let directory =
        fs::canonicalize(path).with_context(|| format!("reading {}", path.display()))?;
    let device = fs::metadata(&directory)?.dev();
    for above in directory.ancestors().skip(1) {
        let found = fs::metadata(above).with_context(|| format!("reading {}", above.display()))?;
        if found.dev() != device {
            break;
        }
        ensure_own(above, &found)?;
        let mode = found.mode() & 0o7777;
        let path = above.display();
        ensure!(
            mode & OTHERS_WRITE == 0 || mode & STICKY != 0,
            "others may remove directories from {path} (mode {mode:04o}): chmod go-w {path}"
        );
    }
    Ok(())
}

fn ensure_own(path: &Path, found: &Metadata) -> Result<()> {
    let (owner, path) = (found.uid(), path.display());
    ensure!(
        [0, geteuid().as_raw()].contains(&owner),
        "{path} belongs to user {owner}, who can take programs off the cards: look at what is in it, \
         then chown root {path}"
    );
    Ok(())
}
