//! A private BPF file system, so that a test needs no mount at `/sys/fs/bpf` and meets nobody.
//!
//! Dropping the mount removes the directory and with it everything that was pinned there; what is
//! not held otherwise, the kernel then unloads.

use std::path::{Path, PathBuf};
use std::sync::Once;

use anyhow::{Context, Result};
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use sccm_agent::control::default_socket;

use crate::unique;

/// A BPF file system mounted on a directory of its own.
#[derive(Debug)]
pub struct BpfMount {
    path: PathBuf,
}

impl BpfMount {
    /// Mounts a new, empty one below the directory for temporary files.
    pub fn new() -> Result<Self> {
        unique::require_root("mounting a BPF file system")?;
        static LEFT_OVERS: Once = Once::new();
        LEFT_OVERS.call_once(remove_abandoned);

        let path = std::env::temp_dir().join(unique::name("bpffs"));
        std::fs::create_dir(&path).with_context(|| format!("cannot create {}", path.display()))?;
        // From here on the directory has an owner, also when mounting fails.
        let this = Self { path };
        let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC;
        mount(
            Some("bpf"),
            &this.path,
            Some("bpf"),
            flags,
            Some("mode=0700"),
        )
        .with_context(|| format!("cannot mount a bpf file system on {}", this.path.display()))?;
        Ok(this)
    }

    /// The directory to pin in.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

/// The state directory of an agent that pins in a directory of a [`BpfMount`], beside the mount.
#[must_use]
pub fn state_dir(pins: &Path) -> PathBuf {
    let mut beside = pins.parent().unwrap_or(pins).as_os_str().to_owned();
    beside.push(".state");
    beside.into()
}

impl Drop for BpfMount {
    fn drop(&mut self) {
        if let Err(error) = remove(&self.path) {
            eprintln!("cleaning up: {error:#}");
        }
    }
}

/// Removes the control sockets that killed agents left, which are named after where they pinned.
fn remove_sockets(path: &Path) {
    let socket = default_socket(path);
    let name = socket.file_stem().unwrap_or_default().as_encoded_bytes();
    let directory = socket.parent().map(Path::read_dir);
    for entry in directory.into_iter().flatten().flatten().flatten() {
        if entry.file_name().as_encoded_bytes().starts_with(name) {
            // Another program may be doing the same.
            let _ = std::fs::remove_file(entry.path());
        }
    }
}

/// Unmounts also while a process still has a file open there, and removes the directory.
fn remove(path: &Path) -> Result<()> {
    remove_sockets(path);
    // Not every agent has decided something.
    let _ = std::fs::remove_dir_all(state_dir(&path.join("agent")));
    let unmounted = umount2(path, MntFlags::MNT_DETACH);
    // Only an empty directory goes: if the unmounting failed, this fails too and harms nothing.
    std::fs::remove_dir(path).with_context(|| {
        format!(
            "cannot remove {} (unmounting: {unmounted:?})",
            path.display()
        )
    })
}

/// Removes the mounts of programs that were killed. Failures do not matter: another program may
/// be doing the same.
fn remove_abandoned() {
    let directory = std::env::temp_dir();
    for name in unique::abandoned(&directory).unwrap_or_default() {
        let _ = remove(&directory.join(name));
    }
}
