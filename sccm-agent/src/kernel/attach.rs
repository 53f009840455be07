//! Hooks: attaching, taking over, and letting go.
//!
//! A hook is a BPF link, or where the kernel has none for what leaves, a filter
//! (see `clsact`). One that is only held by an [`Attached`] goes away with it,
//! which is how a failure at the second interface undoes the first; pinning
//! makes it stay. What an earlier agent pinned is updated in place, with no
//! unfiltered packet in between.

mod clsact;
mod link;
mod tcx;
mod xdp;

use super::pinned::Pinned;
use super::unhook::unhook;
use super::{PinDir, Programs, bpf, filter};
use anyhow::{Context as _, Result};
use aya::programs::links::FdLink;
use aya::programs::{SchedClassifier, XdpMode};
use aya::util::KernelVersion;
use sccm_common::counter::Direction;
use std::path::{Path, PathBuf};

/// How a program hangs on the card.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// In the driver, before the kernel allocates anything.
    Native,
    /// In the kernel's stack: works with every driver, about four times slower.
    Generic,
}

impl Mode {
    /// Its name in metrics and messages.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Native => "native",
            Self::Generic => "generic",
        }
    }

    const fn flags(self) -> XdpMode {
        match self {
            Self::Native => XdpMode::Driver,
            Self::Generic => XdpMode::Skb,
        }
    }
}

/// How a program sees what leaves the card.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EgressHook {
    /// By a TCX link.
    Tcx,
    /// By a filter of the clsact queueing discipline.
    Clsact,
}

impl EgressHook {
    /// What the running kernel has.
    #[must_use]
    pub fn of_this_kernel() -> Self {
        // A kernel that does not tell its version is taken for an old one: clsact works on all.
        KernelVersion::current().map_or(Self::Clsact, Self::of_kernel)
    }

    fn of_kernel(version: KernelVersion) -> Self {
        if version >= KernelVersion::new(6, 6, 0) {
            Self::Tcx
        } else {
            Self::Clsact
        }
    }
}

/// Both hooks of one interface.
#[derive(Debug)]
pub struct Attached {
    inbound: Hook,
    outbound: Hook,
}

#[derive(Debug)]
enum Hook {
    /// New: goes away unless it is pinned here.
    Link(FdLink, PathBuf),
    /// New: goes away unless it is kept.
    Filter(clsact::Filter),
    /// An earlier agent's, updated.
    TakenOver,
}

impl Attached {
    /// Attaches the programs to an interface, or updates the hooks that an
    /// earlier agent pinned for its slot.
    ///
    /// # Errors
    /// The driver or the kernel refuses; nothing new stays attached.
    pub fn attach(
        programs: &mut Programs,
        pins: &PinDir,
        slot: u32,
        interface: &str,
        mode: Mode,
    ) -> Result<Self> {
        let egress = EgressHook::of_this_kernel();
        Self::attach_with(programs, pins, slot, interface, mode, egress)
    }

    /// [`Attached::attach`], by this hook where a new one is made for what
    /// leaves. One that is there keeps its kind.
    ///
    /// # Errors
    /// As there.
    pub fn attach_with(
        programs: &mut Programs,
        pins: &PinDir,
        slot: u32,
        interface: &str,
        mode: Mode,
        egress: EgressHook,
    ) -> Result<Self> {
        let path = pins.link(slot, Direction::Inbound);
        let inbound = match xdp::take_over(programs.xdp()?, &path)? {
            true => Hook::TakenOver,
            false => Hook::Link(xdp::attach(programs.xdp()?, interface, mode)?, path),
        };
        let path = pins.link(slot, Direction::Outbound);
        let program = programs.classifier()?;
        let outbound = match (take_over_egress(program, interface, &path)?, egress) {
            (true, _) => Hook::TakenOver,
            (false, EgressHook::Tcx) => Hook::Link(tcx::attach(program, interface)?, path),
            (false, EgressHook::Clsact) => Hook::Filter(clsact::attach(program, interface, &path)?),
        };
        Ok(Self { inbound, outbound })
    }

    /// Makes the hooks outlive this process.
    ///
    /// # Errors
    /// The kernel refuses a pin.
    pub fn pin(self) -> Result<()> {
        for hook in [self.inbound, self.outbound] {
            match hook {
                Hook::Link(link, path) => {
                    link.pin(&path)
                        .with_context(|| format!("pinning {}", path.display()))?;
                }
                Hook::Filter(filter) => filter.keep(),
                Hook::TakenOver => {}
            }
        }
        Ok(())
    }

    /// Removes the pinned hooks of a slot; the interface passes everything again.
    ///
    /// # Errors
    /// A hook or a pin that cannot be removed.
    pub fn detach(pins: &PinDir, slot: u32) -> Result<()> {
        // Inbound first: without what notes flows, it would drop their answers.
        Self::detach_one(pins, slot, Direction::Inbound)?;
        Self::detach_one(pins, slot, Direction::Outbound)
    }

    /// Removes the pinned hook of a slot in one direction.
    ///
    /// # Errors
    /// As [`Attached::detach`].
    pub fn detach_one(pins: &PinDir, slot: u32, direction: Direction) -> Result<()> {
        let path = pins.link(slot, direction);
        unhook(&clsact::successor(&path))?;
        unhook(&path)
    }

    /// Whether the pinned hook of a slot hangs on the interface of this number: others
    /// may have taken it off.
    ///
    /// # Errors
    /// The kernel does not tell.
    pub fn hangs_on(
        pins: &PinDir,
        slot: u32,
        direction: Direction,
        interface: u32,
    ) -> Result<bool> {
        Ok(match Pinned::at(&pins.link(slot, direction))? {
            None => false,
            Some(Pinned::Link(link)) => {
                bpf::interface_of(&link).context("asking about a link")? == interface
            }
            Some(Pinned::Program(id)) => filter::program_at(interface)? == Some(id),
        })
    }

    /// The id of the program behind the pinned hook of a slot, if there is one.
    ///
    /// # Errors
    /// A pin that is no hook.
    pub fn program_id(pins: &PinDir, slot: u32, direction: Direction) -> Result<Option<u32>> {
        let path = pins.link(slot, direction);
        match Pinned::at(&path)? {
            None => Ok(None),
            Some(Pinned::Program(id)) => Ok(Some(id)),
            Some(Pinned::Link(_)) => Ok(Some(link::open(&path)?.info()?.program_id())),
        }
    }
}

/// Whether there was a hook that took the new program.
fn take_over_egress(program: &mut SchedClassifier, interface: &str, path: &Path) -> Result<bool> {
    match Pinned::at(path)? {
        None => Ok(false),
        Some(Pinned::Link(_)) => tcx::take_over(program, path),
        Some(Pinned::Program(_)) => clsact::take_over(program, interface, path),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tcx_came_with_6_6() {
        for (minor, hook) in [
            (1, EgressHook::Clsact),
            (5, EgressHook::Clsact),
            (6, EgressHook::Tcx),
            (18, EgressHook::Tcx),
        ] {
            assert_eq!(EgressHook::of_kernel(KernelVersion::new(6, minor, 0)), hook);
        }
    }
}
