//! XDP, with a BPF link.

use super::super::root_cause;
use super::link::{open, was_updated};
use super::refusal;
use anyhow::{Result, anyhow};
use aya::programs::links::FdLink;
use aya::programs::{ProgramError, Xdp, XdpMode};
use nix::net::if_::if_nametoindex;
use std::os::fd::AsFd as _;
use std::path::Path;

/// Attaches the program; dropping the link detaches it.
///
/// # Errors
/// The driver or the kernel refuses.
pub(crate) fn attach(program: &mut Xdp, interface: &str, mode: XdpMode) -> Result<FdLink> {
    let id = program
        .attach(interface, mode)
        .map_err(|error| refused(&error, program, interface, mode))?;
    let link = program.take_link(id)?;
    // On old kernels, aya attaches in a way that ends with the process.
    FdLink::try_from(link).map_err(|_| {
        anyhow!(
            "the driver of {interface} is too old for BPF links, so the program would go when this \
             process ends: try `--hook tc`"
        )
    })
}

/// Gives the link that is pinned at `path` the new program; false if there is none any more.
pub(crate) fn take_over(program: &mut Xdp, path: &Path) -> Result<bool> {
    if !path.exists() {
        return Ok(false);
    }
    let result = program.attach_to_link(open(path)?.try_into()?);
    was_updated(result.map(drop), path)
}

/// An error with the kernel's refusal and what to do about it.
fn refused(error: &ProgramError, program: &Xdp, interface: &str, mode: XdpMode) -> anyhow::Error {
    let cause = root_cause(error);
    let (label, remedy) = match mode {
        XdpMode::Skb => (
            "generic",
            "another program may sit on the interface: see `ip link show`".to_owned(),
        ),
        _ => ("native", natively(program, interface)),
    };
    anyhow!("attaching to {interface} in {label} mode: {cause}: {remedy}")
}

/// What the driver says, and what mends that.
fn natively(program: &Xdp, interface: &str) -> String {
    const TC: &str = "run the program at TC with `--hook tc`";
    let index = if_nametoindex(interface).ok();
    let number = program.fd().ok();
    let words = index
        .zip(number)
        .and_then(|(index, number)| refusal::words(number.as_fd(), index));
    let Some(words) = words else {
        return format!(
            "the driver cannot run the program natively as it is set up; its reason may be in \
             `dmesg` (MTU above what it takes, LRO on, too few queues). Mend that, or {TC}"
        );
    };
    match refusal::remedy(&words, interface) {
        Some(remedy) => format!("the driver says \"{words}\": {remedy}, or {TC}"),
        None => format!("the driver says \"{words}\": {TC}"),
    }
}
