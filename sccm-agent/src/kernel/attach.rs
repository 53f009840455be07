//! Attaches programs to hooks, takes hooks over, and detaches them.
//!
//! A program is attached by a BPF link, or, at TC on kernels without TCX, by a filter (see
//! `clsact`). Dropping an [`Attached`] detaches what it attached, so that a failure at the
//! second interface undoes the first; pinning makes it stay. What an earlier agent pinned is
//! updated in place, or, if it is another hook than is wanted now, removed behind the new one:
//! without an unfiltered packet in between, once nothing else can fail.

mod clsact;
mod link;
mod refusal;
mod tcx;
mod xdp;

use super::pinned::Pinned;
use super::unhook::{give_way, unhook};
use super::{PinDir, Programs, bpf, filter, order};
use anyhow::{Context as _, Result, ensure};
use aya::programs::links::FdLink;
use aya::programs::{SchedClassifier, XdpMode};
use aya::util::KernelVersion;
use nix::net::if_::if_nametoindex;
use sccm_common::Hook;
use sccm_common::counter::Direction;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

/// Where the ingress program of a card runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ingress {
    /// At XDP in the driver, before the kernel allocates anything for a packet.
    Native,
    /// At XDP in the network stack: works with every driver.
    Generic,
    /// At TC: sees the large packets that driver and kernel have put together.
    Tc,
}

impl Ingress {
    /// The name in metrics and messages.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Native => "native",
            Self::Generic => "generic",
            Self::Tc => "tc",
        }
    }

    /// The name of `--hook` for it.
    #[must_use]
    pub const fn flag(self) -> &'static str {
        match self {
            Self::Native => "xdp",
            Self::Generic => "xdp-generic",
            Self::Tc => "tc",
        }
    }
}

/// How a program is attached to a TC hook.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TcHook {
    /// By a TCX link.
    Tcx,
    /// By a filter of the clsact queueing discipline.
    Clsact,
}

impl TcHook {
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

/// Where a new TC hook stands among the TC programs and filters of its card.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum TcOrder {
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
    /// The ingress hook is at XDP.
    at_xdp: bool,
    ingress: Attachment,
    egress: Attachment,
    /// Where hooks are pinned that make way for new ones.
    make_way: Vec<PathBuf>,
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
    /// Attaches the programs to a card. A hook that an earlier agent pinned for its slot makes way
    /// for a new one if it is another than is asked, or if it is to be the first at TC and somebody
    /// stands before it; otherwise it stays.
    ///
    /// # Errors
    /// The driver or the kernel refuses; nothing new stays attached.
    pub fn attach(
        programs: &mut Programs,
        pins: &PinDir,
        slot: u32,
        interface: &str,
        ingress: Ingress,
        order: TcOrder,
    ) -> Result<Self> {
        let tc = (TcHook::of_this_kernel(), order);
        Self::attach_with(programs, pins, slot, interface, ingress, tc)
    }

    /// [`Attached::attach`], with this kind of TC hook where a new one is made. One that stays
    /// keeps its kind.
    pub fn attach_with(
        programs: &mut Programs,
        pins: &PinDir,
        slot: u32,
        interface: &str,
        ingress: Ingress,
        tc: (TcHook, TcOrder),
    ) -> Result<Self> {
        let mut make_way = Vec::new();
        let path = pins.link(slot, Direction::Inbound);
        let at = At {
            interface,
            hook: Hook::Ingress,
        };
        let xdp_mode = match ingress {
            Ingress::Native => Some(XdpMode::Driver),
            Ingress::Generic => Some(XdpMode::Skb),
            Ingress::Tc => None,
        };
        let ingress = match xdp_mode {
            None => at.attach_tc(programs.tc()?, path, tc, &mut make_way)?,
            Some(mode) => match at.pinned(&path)? {
                Some(There::Xdp) => Attachment::There(path),
                there => {
                    let link = xdp::attach(programs.xdp()?, interface, mode)?;
                    Attachment::Link(link, beside(path, there, &mut make_way))
                }
            },
        };
        let path = pins.link(slot, Direction::Outbound);
        let at = At {
            interface,
            hook: Hook::Egress,
        };
        let egress = at.attach_tc(programs.classifier()?, path, tc, &mut make_way)?;
        Ok(Self {
            interface: interface.to_owned(),
            at_xdp: xdp_mode.is_some(),
            ingress,
            egress,
            make_way,
        })
    }

    /// Describes whoever sees packets at TC before our programs there.
    pub fn before(&self) -> Result<Vec<String>> {
        let interface = number(&self.interface)?;
        let mut all = Vec::new();
        for (hook, attachment) in [(Hook::Ingress, &self.ingress), (Hook::Egress, &self.egress)] {
            all.extend(match attachment {
                Attachment::Link(_, _) if hook == Hook::Ingress && self.at_xdp => Vec::new(),
                Attachment::Link(link, _) => {
                    let ours = link.info()?.program_id();
                    order::before((interface, hook), TcHook::Tcx, ours)?
                }
                Attachment::Filter(filter) => before(filter.path(), (interface, hook))?,
                Attachment::There(path) => before(path, (interface, hook))?,
            });
        }
        Ok(all)
    }

    /// Pins the new hooks, so that they outlive this process, and gives those of an earlier agent
    /// the new programs. Then the hooks go that make way: for a moment a frame passes both, and is
    /// counted twice.
    ///
    /// # Errors
    /// The kernel refuses, or the card has gone.
    pub fn pin(self, programs: &mut Programs) -> Result<()> {
        let interface = &self.interface;
        for (hook, attachment) in [(Hook::Ingress, self.ingress), (Hook::Egress, self.egress)] {
            match attachment {
                Attachment::Link(link, path) => {
                    link.pin(&path)
                        .with_context(|| format!("pinning {}", path.display()))?;
                }
                Attachment::Filter(filter) => filter.keep(),
                Attachment::There(path) => {
                    let taken = match (hook, self.at_xdp) {
                        (Hook::Ingress, true) => xdp::take_over(programs.xdp()?, &path)?,
                        (Hook::Ingress, false) => {
                            take_over(programs.tc()?, (interface, hook), &path)?
                        }
                        (Hook::Egress, _) => {
                            take_over(programs.classifier()?, (interface, hook), &path)?
                        }
                    };
                    ensure!(taken, "{interface} has just disappeared");
                }
            }
        }
        for path in self.make_way {
            give_way(&path, &clsact::successor(&path))?;
        }
        Ok(())
    }

    /// Describes whoever sees the packets of the interface of this number at TC before the pinned
    /// programs of a slot.
    pub fn before_pinned(pins: &PinDir, slot: u32, interface: u32) -> Result<Vec<String>> {
        let mut all = Vec::new();
        for (hook, direction) in [
            (Hook::Ingress, Direction::Inbound),
            (Hook::Egress, Direction::Outbound),
        ] {
            all.extend(before(&pins.link(slot, direction), (interface, hook))?);
        }
        Ok(all)
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
            Some(Pinned::Link(link)) => link_info(&link)?.interface == interface,
            Some(Pinned::Program(id)) => {
                filter::of_program(interface, hook_of(direction), id)?.is_some()
            }
        })
    }

    /// Whether the pinned ingress hook of a slot is at XDP, and not at TC; `false` if there is none.
    pub fn is_at_xdp(pins: &PinDir, slot: u32) -> Result<bool> {
        Ok(match Pinned::at(&pins.link(slot, Direction::Inbound))? {
            Some(Pinned::Link(link)) => link_info(&link)?.is_xdp,
            Some(Pinned::Program(_)) | None => false,
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

/// A hook of a card.
#[derive(Clone, Copy)]
struct At<'a> {
    interface: &'a str,
    hook: Hook,
}

/// What is pinned and attached.
#[derive(Clone, Copy, PartialEq, Eq)]
enum There {
    Xdp,
    Tc,
}

impl At<'_> {
    fn attach_tc(
        self,
        program: &mut SchedClassifier,
        path: PathBuf,
        (how, order): (TcHook, TcOrder),
        make_way: &mut Vec<PathBuf>,
    ) -> Result<Attachment> {
        let there = self.pinned(&path)?;
        if there == Some(There::Tc) {
            let here = (number(self.interface)?, self.hook);
            if order == TcOrder::Last || before(&path, here)?.is_empty() {
                return Ok(Attachment::There(path));
            }
        }
        let replaces = Pinned::program_at(&path)?;
        let path = beside(path, there, make_way);
        let here = (self.interface, self.hook);
        Ok(match how {
            TcHook::Tcx => Attachment::Link(tcx::attach(program, here, order)?, path),
            TcHook::Clsact => {
                Attachment::Filter(clsact::attach(program, here, order, path, replaces)?)
            }
        })
    }

    /// What is pinned at `path`, if it is attached. If not, removes the pin.
    fn pinned(self, path: &Path) -> Result<Option<There>> {
        // The pin of an agent that died between two programs.
        unhook(&clsact::successor(path))?;
        let there = match Pinned::at(path)? {
            None => return Ok(None),
            Some(Pinned::Link(link)) => match link_info(&link)? {
                bpf::LinkInfo { interface: 0, .. } => None,
                bpf::LinkInfo { is_xdp: true, .. } => Some(There::Xdp),
                bpf::LinkInfo { .. } => Some(There::Tc),
            },
            Some(Pinned::Program(id)) => {
                let filter = filter::of_program(number(self.interface)?, self.hook, id)?;
                filter.map(|_| There::Tc)
            }
        };
        if there.is_none() {
            unhook(path)?;
        }
        Ok(there)
    }
}

/// Where a new hook is pinned: at `path`, or beside it while what is there makes way.
fn beside(path: PathBuf, there: Option<There>, make_way: &mut Vec<PathBuf>) -> PathBuf {
    if there.is_none() {
        return path;
    }
    let next = clsact::successor(&path);
    make_way.push(path);
    next
}

const fn hook_of(direction: Direction) -> Hook {
    match direction {
        Direction::Inbound => Hook::Ingress,
        Direction::Outbound => Hook::Egress,
    }
}

fn link_info(link: impl AsFd) -> Result<bpf::LinkInfo> {
    bpf::link_info(link).context("asking about a link")
}

/// Gives the new program to the TC hook that is pinned at `path`; false if there is none any more.
fn take_over(program: &mut SchedClassifier, here: (&str, Hook), path: &Path) -> Result<bool> {
    match Pinned::at(path)? {
        None => Ok(false),
        Some(Pinned::Link(_)) => tcx::take_over(program, path),
        Some(Pinned::Program(_)) => clsact::take_over(program, here, path),
    }
}

/// [`Attached::before_pinned`], for what is pinned at `path`; nobody if nothing is, or if it is not
/// at TC.
fn before(path: &Path, here: (u32, Hook)) -> Result<Vec<String>> {
    let (how, program) = match Pinned::at(path)? {
        None => return Ok(Vec::new()),
        Some(Pinned::Link(link)) if link_info(&link)?.is_xdp => return Ok(Vec::new()),
        Some(Pinned::Link(_)) => (TcHook::Tcx, link::open(path)?.info()?.program_id()),
        Some(Pinned::Program(id)) => (TcHook::Clsact, id),
    };
    order::before(here, how, program)
}

fn number(interface: &str) -> Result<u32> {
    if_nametoindex(interface).with_context(|| format!("looking for {interface}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tcx_came_with_6_6() {
        for (minor, hook) in [
            (1, TcHook::Clsact),
            (5, TcHook::Clsact),
            (6, TcHook::Tcx),
            (18, TcHook::Tcx),
        ] {
            assert_eq!(TcHook::of_kernel(KernelVersion::new(6, minor, 0)), hook);
        }
    }
}
