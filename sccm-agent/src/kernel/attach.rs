//! Attaches programs to hooks, takes hooks over, and detaches them.
//!
//! A program is attached by a BPF link, or, for egress on kernels without TCX, by a filter (see
//! `clsact`). Dropping an [`Attached`] detaches what it attached, so that a failure at the
//! second interface undoes the first; pinning makes it stay. What an earlier agent pinned is
//! updated in place, without an unfiltered packet in between.

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

/// Where XDP runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// In the driver, before the kernel allocates anything for a packet.
    Native,
    /// In the network stack: works with every driver, and is about four times slower.
    Generic,
}

impl Mode {
    /// The name in metrics and messages.
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

/// How a program is attached to egress.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EgressHook {
    /// By a TCX link.
    Tcx,
    /// By a filter of the clsact queueing discipline.
    Clsact,
}

impl EgressHook {
    /// The better one of those that the running kernel has.
    #[must_use]
    pub fn of_this_kernel() -> Self {
        // clsact works on every kernel, also on one whose version is unknown.
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

/// The programs that are attached to both hooks of one card.
#[derive(Debug)]
pub struct Attached {
    xdp: Attachment,
    egress: Attachment,
}

#[derive(Debug)]
enum Attachment {
    /// A new link; it ends unless it is pinned at this path.
    Link(FdLink, PathBuf),
    /// A new filter; it ends unless it is kept.
    Filter(clsact::Filter),
    /// The pinned one of an earlier agent, with the new program.
    TakenOver,
}

impl Attached {
    /// Attaches the programs to a card, or gives them to the hooks that an earlier agent pinned
    /// for its slot.
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

    /// [`Attached::attach`], with this kind of egress hook where a new one is made. One that is
    /// there keeps its kind.
    pub fn attach_with(
        programs: &mut Programs,
        pins: &PinDir,
        slot: u32,
        interface: &str,
        mode: Mode,
        egress: EgressHook,
    ) -> Result<Self> {
        let path = pins.link(slot, Direction::Inbound);
        let xdp = match xdp::take_over(programs.xdp()?, &path)? {
            true => Attachment::TakenOver,
            false => Attachment::Link(xdp::attach(programs.xdp()?, interface, mode)?, path),
        };
        let path = pins.link(slot, Direction::Outbound);
        let program = programs.classifier()?;
        let egress = match (take_over_egress(program, interface, &path)?, egress) {
            (true, _) => Attachment::TakenOver,
            (false, EgressHook::Tcx) => Attachment::Link(tcx::attach(program, interface)?, path),
            (false, EgressHook::Clsact) => {
                Attachment::Filter(clsact::attach(program, interface, &path)?)
            }
        };
        Ok(Self { xdp, egress })
    }

    /// Pins the hooks, so that they outlive this process.
    pub fn pin(self) -> Result<()> {
        for attachment in [self.xdp, self.egress] {
            match attachment {
                Attachment::Link(link, path) => {
                    link.pin(&path)
                        .with_context(|| format!("pinning {}", path.display()))?;
                }
                Attachment::Filter(filter) => filter.keep(),
                Attachment::TakenOver => {}
            }
        }
        Ok(())
    }

    /// Removes the pinned hooks of a slot: the card passes everything again.
    pub fn detach(pins: &PinDir, slot: u32) -> Result<()> {
        // Inbound first: it drops the answers to flows that the outbound program does not note.
        Self::detach_one(pins, slot, Direction::Inbound)?;
        Self::detach_one(pins, slot, Direction::Outbound)
    }

    /// Removes the pinned hook of a slot in one direction.
    pub fn detach_one(pins: &PinDir, slot: u32, direction: Direction) -> Result<()> {
        let path = pins.link(slot, direction);
        unhook(&clsact::successor(&path))?;
        unhook(&path)
    }

    /// Whether the pinned hook of a slot is attached to the interface of this number: others may
    /// have detached it.
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
    /// What is pinned there is no hook.
    pub fn program_id(pins: &PinDir, slot: u32, direction: Direction) -> Result<Option<u32>> {
        let path = pins.link(slot, direction);
        match Pinned::at(&path)? {
            None => Ok(None),
            Some(Pinned::Program(id)) => Ok(Some(id)),
            Some(Pinned::Link(_)) => Ok(Some(link::open(&path)?.info()?.program_id())),
        }
    }
}

/// Gives the new program to the pinned egress hook; false if there is none any more.
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
