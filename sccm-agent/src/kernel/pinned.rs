//! What is pinned for a hook.

use super::bpf;
use anyhow::{Context as _, Result};
use aya::programs::ProgramInfo;
use std::fs;
use std::io::ErrorKind;
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::path::Path;

/// What the kernel calls a descriptor of a program (kernel/bpf/syscall.c).
const PROGRAM: &str = "anon_inode:bpf-prog";

/// A pinned hook. aya would open a program as a link, and a link as a program.
pub(crate) enum Pinned {
    /// A link.
    Link(OwnedFd),
    /// The program of a filter, by its id.
    Program(u32),
}

impl Pinned {
    /// What is pinned at `path`, if anything is.
    pub(crate) fn at(path: &Path) -> Result<Option<Self>> {
        let pin = match bpf::open_pin(path) {
            Ok(pin) => pin,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error).with_context(|| format!("opening {}", path.display())),
        };
        let name = fs::read_link(format!("/proc/self/fd/{}", pin.as_raw_fd()))
            .context("asking /proc what is pinned")?;
        if name != Path::new(PROGRAM) {
            return Ok(Some(Self::Link(pin)));
        }
        let info =
            ProgramInfo::from_pin(path).with_context(|| format!("opening {}", path.display()))?;
        Ok(Some(Self::Program(info.id())))
    }

    /// The id of the program that is pinned at `path`, unless a link or nothing is.
    pub(crate) fn program_at(path: &Path) -> Result<Option<u32>> {
        match Self::at(path)? {
            Some(Self::Program(id)) => Ok(Some(id)),
            Some(Self::Link(_)) | None => Ok(None),
        }
    }
}
