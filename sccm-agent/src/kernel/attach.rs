//! Hooks: attaching, taking over, and letting go.
//!
//! A hook is a BPF link. One that is only held by an [`Attached`] goes away with
//! it, which is how a failure at the second interface undoes the first; pinning
//! makes it stay. A pinned link of an earlier agent is updated in place, with no
//! unfiltered packet in between.

use super::unhook::unhook;
use super::{PinDir, Programs};
use anyhow::{Context as _, Result, anyhow, bail};
use aya::programs::links::{FdLink, PinnedLink};
use aya::programs::tc::TcAttachOptions;
use aya::programs::{LinkOrder, ProgramError, SchedClassifier, TcAttachType, Xdp, XdpMode};
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

/// Both hooks of one interface.
#[derive(Debug)]
pub struct Attached {
    inbound: Hook,
    outbound: Hook,
}

#[derive(Debug)]
enum Hook {
    /// New: goes away unless it is pinned here.
    New(FdLink, PathBuf),
    /// An earlier agent's pinned link, updated.
    TakenOver,
}

impl Attached {
    /// Attaches the programs to an interface, or updates the links that an
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
        let path = pins.link(slot, Direction::Inbound);
        let inbound = match take_over_xdp(programs.xdp()?, &path)? {
            true => Hook::TakenOver,
            false => Hook::New(attach_xdp(programs.xdp()?, interface, mode)?, path),
        };
        let path = pins.link(slot, Direction::Outbound);
        let outbound = match take_over_tc(programs.classifier()?, &path)? {
            true => Hook::TakenOver,
            false => Hook::New(attach_tc(programs.classifier()?, interface)?, path),
        };
        Ok(Self { inbound, outbound })
    }

    /// Makes the hooks outlive this process.
    ///
    /// # Errors
    /// The kernel refuses a pin.
    pub fn pin(self) -> Result<()> {
        for hook in [self.inbound, self.outbound] {
            if let Hook::New(link, path) = hook {
                link.pin(&path)
                    .with_context(|| format!("pinning {}", path.display()))?;
            }
        }
        Ok(())
    }

    /// Removes the pinned hooks of a slot; the interface is as before it was enforced.
    ///
    /// # Errors
    /// A pin that cannot be removed.
    pub fn detach(pins: &PinDir, slot: u32) -> Result<()> {
        for direction in [Direction::Inbound, Direction::Outbound] {
            unhook(&pins.link(slot, direction))?;
        }
        Ok(())
    }

    /// The id of the program behind the pinned hook of a slot, if there is one.
    ///
    /// # Errors
    /// A pin that is not a link.
    pub fn program_id(pins: &PinDir, slot: u32, direction: Direction) -> Result<Option<u32>> {
        let path = pins.link(slot, direction);
        if !path.exists() {
            return Ok(None);
        }
        let link = FdLink::from(open(&path)?);
        Ok(Some(link.info()?.program_id()))
    }
}

fn attach_xdp(program: &mut Xdp, interface: &str, mode: Mode) -> Result<FdLink> {
    let id = program
        .attach(interface, mode.flags())
        .map_err(|error| refused(&error, interface, mode))?;
    let link = program.take_link(id)?;
    // aya falls back to an attachment that ends with its process.
    FdLink::try_from(link).map_err(|_| {
        anyhow!(
            "{interface} took the program only in a way that would end with this process: \
             its driver is too old for BPF links, try `--xdp-mode generic`"
        )
    })
}

/// The kernel's refusal, with what people can do about it.
fn refused(error: &ProgramError, interface: &str, mode: Mode) -> anyhow::Error {
    let cause = root_cause(error);
    let remedy = match mode {
        Mode::Native => {
            "the driver cannot run the program natively as it is set up; its reason may be in \
             `dmesg` (MTU above what it takes, LRO on, too few queues). Mend that, or accept the \
             slower way with `--xdp-mode generic`"
        }
        Mode::Generic => "another program may sit on the interface: see `ip link show`",
    };
    anyhow!(
        "attaching to {interface} in {} mode: {cause}: {remedy}",
        mode.label()
    )
}

fn root_cause(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string()
}

fn attach_tc(program: &mut SchedClassifier, interface: &str) -> Result<FdLink> {
    let order = TcAttachOptions::TcxOrder(LinkOrder::default());
    let id = program
        .attach_with_options(interface, TcAttachType::Egress, order)
        .map_err(|error| {
            anyhow!(
                "attaching to what leaves {interface}: {}",
                root_cause(&error)
            )
        })?;
    let link = program.take_link(id)?;
    FdLink::try_from(link).map_err(|_| anyhow!("{interface} gave no BPF link for its egress"))
}

fn take_over_xdp(program: &mut Xdp, path: &Path) -> Result<bool> {
    let Some(link) = existing(path)? else {
        return Ok(false);
    };
    let result = program.attach_to_link(link.try_into()?);
    let updated = was_updated(result.map(drop), path)?;
    Ok(updated)
}

fn take_over_tc(program: &mut SchedClassifier, path: &Path) -> Result<bool> {
    let Some(link) = existing(path)? else {
        return Ok(false);
    };
    let result = program.attach_to_link(link.try_into()?);
    let updated = was_updated(result.map(drop), path)?;
    Ok(updated)
}

/// Whether the link took the new program. One whose card is gone cannot, and
/// its pin is removed.
fn was_updated(result: Result<(), ProgramError>, path: &Path) -> Result<bool> {
    let Err(error) = result else {
        return Ok(true);
    };
    let number = match &error {
        ProgramError::SyscallError(syscall) => syscall.io_error.raw_os_error(),
        _ => None,
    };
    if number == Some(libc::ENOLINK) {
        unhook(path)?;
        return Ok(false);
    }
    bail!("updating {}: {}", path.display(), root_cause(&error))
}

fn existing(path: &Path) -> Result<Option<FdLink>> {
    if !path.exists() {
        return Ok(None);
    }
    Ok(Some(FdLink::from(open(path)?)))
}

fn open(path: &Path) -> Result<PinnedLink> {
    PinnedLink::from_pin(path).with_context(|| format!("opening {}", path.display()))
}
