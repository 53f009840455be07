//! The directory that keeps hooks and maps when the agent ends.

mod holder;
mod own;

use super::maps;
use super::unhook::unhook;
use anyhow::{Context as _, Result, bail, ensure};
use nix::mount::{MsFlags, mount};
use nix::sys::statfs::{BPF_FS_MAGIC, statfs};
use sccm_common::abi::{self, map};
use sccm_common::counter::{Direction, MAX_INTERFACES};
use std::fs::{self, DirBuilder, File, TryLockError};
use std::io::ErrorKind;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

/// The pin directory without `--pin-dir`.
pub const DEFAULT_PIN_DIR: &str = "/sys/fs/bpf/sccm-agent";

const BPF_FS: &str = "/sys/fs/bpf";

/// A directory on a bpf file system, for one agent at a time.
#[derive(Debug, Clone)]
pub struct PinDir(PathBuf);

/// Held while an agent works with the directory. The kernel releases it when the agent dies.
#[derive(Debug)]
pub struct Lock {
    _directory: File,
}

/// What is in a pin directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Found {
    /// No maps, or those of an agent that died before it had finished them.
    Nothing,
    /// Maps of this program's layout.
    Maps,
    /// Maps of another layout, with its version; ours if only the shapes differ.
    OtherAbi(u32),
}

impl PinDir {
    /// Names a directory; nothing is created or checked yet.
    #[must_use]
    pub fn new(path: PathBuf) -> Self {
        Self(path)
    }

    /// Its path.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// A name for what belongs to this directory elsewhere; `None` for the usual one.
    #[must_use]
    pub fn name(&self) -> Option<String> {
        if self.0 == Path::new(DEFAULT_PIN_DIR) {
            return None;
        }
        let absolute = std::path::absolute(&self.0).unwrap_or_else(|_| self.0.clone());
        let name = absolute.to_string_lossy();
        Some(name.trim_matches('/').replace('/', "-"))
    }

    /// Creates the directory, for this user alone. Mounts the bpf file system at `/sys/fs/bpf` if
    /// nobody has; systemd does so at boot.
    ///
    /// # Errors
    /// The directory is not on a bpf file system, or others can put something into its place.
    pub fn create(&self) -> Result<()> {
        let usual = Path::new(BPF_FS);
        if self.0.starts_with(usual) && !is_bpf_fs(usual) {
            mount(
                Some("bpf"),
                usual,
                Some("bpf"),
                MsFlags::empty(),
                Some("mode=0700"),
            )
            .with_context(|| format!("mounting the bpf file system on {BPF_FS}"))?;
            tracing::info!("mounted the bpf file system on {BPF_FS}");
        }
        let existing = self
            .0
            .ancestors()
            .find(|path| path.exists())
            .unwrap_or(&self.0);
        ensure!(is_bpf_fs(existing), "{}", not_bpf_fs(&self.0));
        let mut private = DirBuilder::new();
        private.recursive(true).mode(0o700);
        for directory in [&self.0, &self.maps(), &self.links()] {
            let created = private.create(directory);
            created.with_context(|| format!("creating {}", directory.display()))?;
            own::make_private(directory)?;
        }
        own::ensure_way(&self.0)
    }

    /// Keeps other agents from this directory as long as the lock lives.
    ///
    /// # Errors
    /// Another agent has the lock, or others can write to the directory.
    pub fn lock(&self) -> Result<Lock> {
        let directory = own::make_private(&self.0)?;
        own::ensure_way(&self.0)?;
        match directory.try_lock() {
            Ok(()) => {
                // A `detach` may have removed the directory before we got the lock.
                ensure!(
                    fs::metadata(&self.0).is_ok_and(|now| {
                        directory
                            .metadata()
                            .is_ok_and(|held| held.ino() == now.ino())
                    }),
                    "{} was removed by another sccm-agent meanwhile: try again",
                    self.0.display()
                );
                Ok(Lock {
                    _directory: directory,
                })
            }
            Err(TryLockError::WouldBlock) => bail!(
                "another sccm-agent works with {}: stop it first, or give this one \
                 a --pin-dir of its own",
                self.0.display()
            ),
            Err(TryLockError::Error(error)) => {
                Err(error).with_context(|| format!("locking {}", self.0.display()))
            }
        }
    }

    /// The capacity of the pinned table of flows.
    pub fn flow_capacity(&self) -> Result<u32> {
        maps::flow_capacity(self)
    }

    /// Says what is pinned.
    pub fn look(&self) -> Result<Found> {
        let pinned = self.map(map::ABI.name).try_exists();
        let pinned = pinned.with_context(|| {
            let path = self.0.display();
            format!("looking into {path}, which root may: run it as root, for example with sudo")
        })?;
        if !pinned {
            return Ok(Found::Nothing);
        }
        match maps::abi_version(self)? {
            0 => Ok(Found::Nothing),
            abi::VERSION if self.maps_have_our_shapes()? => Ok(Found::Maps),
            version => Ok(Found::OtherAbi(version)),
        }
    }

    /// Compares shapes, too: maps of a development build may differ under the same version.
    fn maps_have_our_shapes(&self) -> Result<bool> {
        for shape in map::ALL {
            if !maps::has_shape(&maps::info(self, shape.name)?, shape) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Removes every pin, so that the kernel removes hooks and maps. The directory stays, because
    /// the lock is on it.
    pub fn clear(&self) -> Result<()> {
        // Hooks first: while a program runs, its maps must be found.
        for path in files(&self.links())? {
            unhook(&path)?;
        }
        for path in files(&self.maps())? {
            fs::remove_file(&path).with_context(|| format!("removing {}", path.display()))?;
        }
        Ok(())
    }

    /// [`PinDir::clear`], and removes the directory.
    pub fn remove(&self) -> Result<()> {
        self.clear()?;
        for directory in [self.links(), self.maps(), self.0.clone()] {
            match fs::remove_dir(&directory) {
                // A unit's sandbox mounts it for its agent: empty it stays.
                Err(error) if error.kind() == ErrorKind::ResourceBusy => {}
                Err(error) if error.kind() != ErrorKind::NotFound => {
                    return Err(error).with_context(|| format!("removing {}", directory.display()));
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// The pin of a map.
    #[must_use]
    pub fn map(&self, name: &str) -> PathBuf {
        self.maps().join(name)
    }

    /// The pin of a hook. It is named by the slot, because a bpf file system refuses names with
    /// a dot, which interfaces may have.
    #[must_use]
    pub fn link(&self, slot: u32, direction: Direction) -> PathBuf {
        let direction = match direction {
            Direction::Inbound => "inbound",
            Direction::Outbound => "outbound",
        };
        self.links().join(format!("{slot}-{direction}"))
    }

    /// The slots with a pinned hook.
    #[must_use]
    pub fn slots(&self) -> Vec<u32> {
        (0..MAX_INTERFACES)
            .filter(|slot| {
                [Direction::Inbound, Direction::Outbound]
                    .iter()
                    .any(|direction| self.link(*slot, *direction).exists())
            })
            .collect()
    }

    pub(super) fn maps(&self) -> PathBuf {
        self.0.join("maps")
    }

    fn links(&self) -> PathBuf {
        self.0.join("links")
    }
}

/// The files of a directory; none if there is no directory.
fn files(directory: &Path) -> Result<Vec<PathBuf>> {
    let entries = match fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => {
            return Err(error).with_context(|| format!("reading {}", directory.display()));
        }
    };
    entries.map(|entry| Ok(entry?.path())).collect()
}

fn not_bpf_fs(path: &Path) -> String {
    format!(
        "{} is not on a bpf file system: choose a --pin-dir below {BPF_FS}, \
         or mount one there with `mount -t bpf bpf DIR`",
        path.display()
    )
}

/// Whether a bpf file system is where pins are without `--pin-dir`.
pub(super) fn has_bpf_fs() -> bool {
    is_bpf_fs(Path::new(BPF_FS))
}

fn is_bpf_fs(path: &Path) -> bool {
    statfs(path).is_ok_and(|fs| fs.filesystem_type() == BPF_FS_MAGIC)
}
