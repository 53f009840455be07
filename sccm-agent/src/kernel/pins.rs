//! Where programs and maps stay when the agent is gone.

mod holder;

use super::maps;
use super::unhook::unhook;
use anyhow::{Context as _, Result, bail, ensure};
use nix::mount::{MsFlags, mount};
use nix::sys::statfs::{BPF_FS_MAGIC, statfs};
use sccm_common::abi::{self, map};
use sccm_common::counter::{Direction, MAX_INTERFACES};
use std::fs::{self, File, TryLockError};
use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

/// The pin directory unless another is given.
pub const DEFAULT_PIN_DIR: &str = "/sys/fs/bpf/sccm-agent";

const BPF_FS: &str = "/sys/fs/bpf";

/// A directory on a bpf file system that belongs to one agent.
#[derive(Debug, Clone)]
pub struct PinDir(PathBuf);

/// Held while an agent changes anything; let go by the kernel when it dies.
#[derive(Debug)]
pub struct Lock {
    _directory: File,
}

/// What lies in a pin directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Found {
    /// No maps, or such as an agent left that died before it finished them.
    Nothing,
    /// Maps of this program's layout.
    Maps,
    /// Maps of another layout, which has this version.
    OtherAbi(u32),
}

impl PinDir {
    /// The directory at `path`; nothing is created or checked yet.
    #[must_use]
    pub fn new(path: PathBuf) -> Self {
        Self(path)
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// Creates the directory. The usual bpf file system is mounted if it is not
    /// yet; systemd does so at boot, other systems leave it to the first user.
    ///
    /// # Errors
    /// A place that is not on a bpf file system.
    pub fn create(&self) -> Result<()> {
        let usual = Path::new(BPF_FS);
        if self.0.starts_with(usual) && !is_bpf_fs(usual) {
            mount(
                Some("bpf"),
                usual,
                Some("bpf"),
                MsFlags::empty(),
                None::<&str>,
            )
            .with_context(|| format!("mounting the bpf file system on {BPF_FS}"))?;
            tracing::info!("mounted the bpf file system on {BPF_FS}");
        }
        let existing = self
            .0
            .ancestors()
            .find(|path| path.exists())
            .unwrap_or(&self.0);
        if !is_bpf_fs(existing) {
            bail!(
                "{} is not on a bpf file system: choose a --pin-dir below {BPF_FS}, \
                 or mount one there with `mount -t bpf bpf DIR`",
                self.0.display()
            );
        }
        for directory in [self.maps(), self.links()] {
            fs::create_dir_all(&directory)
                .with_context(|| format!("creating {}", directory.display()))?;
        }
        Ok(())
    }

    /// Keeps other agents off this directory for as long as the lock lives.
    ///
    /// # Errors
    /// Another agent holds it.
    pub fn lock(&self) -> Result<Lock> {
        let directory =
            File::open(&self.0).with_context(|| format!("opening {}", self.0.display()))?;
        match directory.try_lock() {
            Ok(()) => {
                // A `detach` may have removed the directory before the lock was ours.
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

    /// How many flows the pinned table has room for.
    ///
    /// # Errors
    /// The pin cannot be opened.
    pub fn flow_capacity(&self) -> Result<u32> {
        maps::flow_capacity(self)
    }

    /// Looks at what is pinned, without changing it.
    ///
    /// # Errors
    /// Pins that cannot be opened.
    pub fn look(&self) -> Result<Found> {
        if !self.map(map::ABI.name).exists() {
            return Ok(Found::Nothing);
        }
        match maps::abi_version(self)? {
            0 => Ok(Found::Nothing),
            abi::VERSION if self.maps_have_our_shapes()? => Ok(Found::Maps),
            version => Ok(Found::OtherAbi(version)),
        }
    }

    /// The version is a promise; the shapes are what aya would not check.
    fn maps_have_our_shapes(&self) -> Result<bool> {
        for shape in map::ALL {
            if !maps::has_shape(&maps::info(self, shape.name)?, shape) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Removes every pin; what they held alive ends. The directory stays, because
    /// the lock is on it.
    ///
    /// # Errors
    /// A pin that cannot be removed.
    pub fn clear(&self) -> Result<()> {
        // Links first: no program may run on without its maps' names.
        for path in files(&self.links())? {
            unhook(&path)?;
        }
        for path in files(&self.maps())? {
            fs::remove_file(&path).with_context(|| format!("removing {}", path.display()))?;
        }
        Ok(())
    }

    /// [`PinDir::clear`], and the directory goes too.
    ///
    /// # Errors
    /// As there.
    pub fn remove(&self) -> Result<()> {
        self.clear()?;
        for directory in [self.links(), self.maps(), self.0.clone()] {
            match fs::remove_dir(&directory) {
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

    /// The pin of a hook. Named by slot: a bpf file system refuses the dots that
    /// interface names may have.
    #[must_use]
    pub fn link(&self, slot: u32, direction: Direction) -> PathBuf {
        let direction = match direction {
            Direction::Inbound => "inbound",
            Direction::Outbound => "outbound",
        };
        self.links().join(format!("{slot}-{direction}"))
    }

    /// Slots that have a pinned hook.
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

/// The files of a directory; none of one that is not there.
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

fn is_bpf_fs(path: &Path) -> bool {
    statfs(path).is_ok_and(|fs| fs.filesystem_type() == BPF_FS_MAGIC)
}
