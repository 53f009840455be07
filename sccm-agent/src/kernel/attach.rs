//! Attaches programs to hooks, takes hooks over, and detaches them.
//!
//! A program is attached by a BPF link, or, for egress on kernels without TCX, by a filter (see
//! `clsact`). Dropping an [`Attached`] detaches what it attached, so that a failure at the
//! second interface undoes the first; pinning makes it stay. What an earlier agent pinned is
//! updated in place, without an unfiltered packet in between, once nothing else can fail.

mod clsact;
mod link;
mod refusal;
mod tcx;
mod xdp;

use super::pinned::Pinned;
use super::unhook::unhook;
use super::{PinDir, Programs, bpf, filter, order};
use anyhow::{Context as _, Result, ensure};
use aya::programs::links::FdLink;
use aya::programs::{SchedClassifier, XdpMode};
use aya::util::KernelVersion;
use nix::net::if_::if_nametoindex;
use sccm_common::Hook;
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

/// Where a new egress hook stands among the TC programs and filters of its card.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum EgressOrder {
    /// Before all of them.
    #[default]
    First,
    /// Behind all of them.
    Last,
}

/// The hooks of one card. The new ones have their programs; those that an earlier agent pinned
/// get theirs with [`Attached::pin`].
#[derive(Debug)]
pub struct Attached {
    interface: String,
    xdp: Attachment,
    egress: Attachment,
    /// Where an egress hook is pinned that makes way for the new one, which stands before it.
    makes_way: Option<PathBuf>,
}

#[derive(Debug)]
enum Attachment {
    /// A new link; it ends unless it is pinned at this path.
    Link(FdLink, PathBuf),
    /// A new filter; it ends unless it is kept.
    Filter(clsact::Filter),
    /// The one that is pinned at this path, with its old program.
    There(PathBuf),
}

impl Attached {
    /// Attaches the programs to a card, where no earlier agent pinned a hook for its slot. If
    /// somebody stands before a pinned egress hook that is to be the first, it makes way for a
    /// new one.
    ///
    /// # Errors
    /// The driver or the kernel refuses; nothing new stays attached.
    pub fn attach(
        programs: &mut Programs,
        pins: &PinDir,
        slot: u32,
        interface: &str,
        mode: Mode,
        order: EgressOrder,
    ) -> Result<Self> {
        let egress = (EgressHook::of_this_kernel(), order);
        Self::attach_with(programs, pins, slot, interface, mode, egress)
    }

    /// [`Attached::attach`], with this kind of egress hook where a new one is made. One that
    /// stays keeps its kind.
    pub fn attach_with(
        programs: &mut Programs,
        pins: &PinDir,
        slot: u32,
        interface: &str,
        mode: Mode,
        (hook, order): (EgressHook, EgressOrder),
    ) -> Result<Self> {
        let path = pins.link(slot, Direction::Inbound);
        let xdp = match is_attached(&path, interface)? {
            true => Attachment::There(path),
            false => Attachment::Link(xdp::attach(programs.xdp()?, interface, mode)?, path),
        };
        let path = pins.link(slot, Direction::Outbound);
        let next = clsact::successor(&path);
        // The pin of an agent that died between two programs.
        unhook(&next)?;
        let program = programs.classifier()?;
        let mut attach = |path, replaces| -> Result<Attachment> {
            Ok(match hook {
                EgressHook::Tcx => Attachment::Link(tcx::attach(program, interface, order)?, path),
                EgressHook::Clsact => {
                    Attachment::Filter(clsact::attach(program, interface, order, path, replaces)?)
                }
            })
        };
        let (egress, makes_way) = if !is_attached(&path, interface)? {
            (attach(path, None)?, None)
        } else if order == EgressOrder::Last || before(&path, number(interface)?)?.is_empty() {
            (Attachment::There(path), None)
        } else {
            (attach(next, Pinned::program_at(&path)?)?, Some(path))
        };
        Ok(Self {
            interface: interface.to_owned(),
            xdp,
            egress,
            makes_way,
        })
    }

    /// Describes whoever sees outgoing packets before the egress program.
    pub fn before(&self) -> Result<Vec<String>> {
        let interface = number(&self.interface)?;
        match &self.egress {
            Attachment::Link(link, _) => {
                order::before(interface, EgressHook::Tcx, link.info()?.program_id())
            }
            Attachment::Filter(filter) => before(filter.path(), interface),
            Attachment::There(path) => before(path, interface),
        }
    }

    /// Pins the new hooks, so that they outlive this process, and gives those of an earlier agent
    /// the new programs.
    ///
    /// # Errors
    /// The kernel refuses, or the card has gone.
    pub fn pin(self, programs: &mut Programs) -> Result<()> {
        let interface = &self.interface;
        for (hook, attachment) in [(Hook::Xdp, self.xdp), (Hook::Egress, self.egress)] {
            match attachment {
                Attachment::Link(link, path) => {
                    link.pin(&path)
                        .with_context(|| format!("pinning {}", path.display()))?;
                }
                Attachment::Filter(filter) => filter.keep(),
                Attachment::There(path) => {
                    let taken = match hook {
                        Hook::Xdp => xdp::take_over(programs.xdp()?, &path)?,
                        Hook::Egress => take_over(programs.classifier()?, interface, &path)?,
                    };
                    ensure!(taken, "{interface} has just disappeared");
                }
            }
        }
        if let Some(path) = self.makes_way {
            unhook(&path)?;
            clsact::rename(&clsact::successor(&path), &path)?;
        }
        Ok(())
    }

    /// Describes whoever sees what leaves the interface of this number before the pinned egress
    /// program of a slot.
    pub fn before_pinned(pins: &PinDir, slot: u32, interface: u32) -> Result<Vec<String>> {
        before(&pins.link(slot, Direction::Outbound), interface)
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
            Some(Pinned::Program(id)) => filter::of_program(interface, id)?.is_some(),
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
fn take_over(program: &mut SchedClassifier, interface: &str, path: &Path) -> Result<bool> {
    match Pinned::at(path)? {
        None => Ok(false),
        Some(Pinned::Link(_)) => tcx::take_over(program, path),
        Some(Pinned::Program(_)) => clsact::take_over(program, interface, path),
    }
}

/// [`Attached::before_pinned`], for what is pinned at `path`; nobody if nothing is.
fn before(path: &Path, interface: u32) -> Result<Vec<String>> {
    let (hook, program) = match Pinned::at(path)? {
        None => return Ok(Vec::new()),
        Some(Pinned::Link(_)) => (EgressHook::Tcx, link::open(path)?.info()?.program_id()),
        Some(Pinned::Program(id)) => (EgressHook::Clsact, id),
    };
    order::before(interface, hook, program)
}

fn number(interface: &str) -> Result<u32> {
    if_nametoindex(interface).with_context(|| format!("looking for {interface}"))
}

/// Whether what is pinned at `path` is attached. If not, removes the pin.
fn is_attached(path: &Path, interface: &str) -> Result<bool> {
    let attached = match Pinned::at(path)? {
        None => return Ok(false),
        Some(Pinned::Link(link)) => bpf::interface_of(&link).context("asking about a link")? != 0,
        Some(Pinned::Program(id)) => filter::of_program(number(interface)?, id)?.is_some(),
    };
    if !attached {
        unhook(path)?;
    }
    Ok(attached)
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
