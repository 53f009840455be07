//! What leaves, on kernels without TCX: a filter of the clsact queueing discipline.
//!
//! Such a filter is no BPF link. It belongs to its interface, outlives every
//! process, and cannot be pinned, so its program is pinned in the link's stead,
//! before it is attached: no filter of ours is ever without its pin. Which
//! interface has it is not stored but asked of the kernel: the one whose filter,
//! at our fixed place, runs the pinned program.
//!
//! The queueing discipline stays when our filter goes. Empty, it passes
//! everything, and whether somebody else is about to use it nobody can tell.

use super::super::filter::{self, HANDLE, PRIORITY};
use super::super::pinned::Pinned;
use super::super::root_cause;
use super::super::unhook::unhook;
use anyhow::{Context as _, Result, anyhow};
use aya::programs::tc::{NlOptions, SchedClassifierLinkId, TcAttachOptions};
use aya::programs::{SchedClassifier, TcAttachType};
use nix::net::if_::if_nametoindex;
use std::path::{Path, PathBuf};
use std::{fs, mem};

/// A filter and its pin, which both go when it is dropped.
#[derive(Debug)]
pub struct Filter {
    path: PathBuf,
    kept: bool,
}

impl Filter {
    const fn new(path: PathBuf) -> Self {
        Self { path, kept: false }
    }

    /// Leaves filter and pin where they are.
    pub fn keep(mut self) {
        self.kept = true;
    }
}

impl Drop for Filter {
    fn drop(&mut self) {
        if !self.kept
            && let Err(error) = unhook(&self.path)
        {
            tracing::warn!("clearing up: {error:#}");
        }
    }
}

/// Pins the program at `path`, and attaches it to an interface.
///
/// # Errors
/// The kernel refuses, or has somebody else's filter in our place.
pub fn attach(program: &mut SchedClassifier, interface: &str, path: &Path) -> Result<Filter> {
    let index = if_nametoindex(interface).with_context(|| format!("looking for {interface}"))?;
    filter::add_clsact(index).with_context(|| {
        format!(
            "adding the clsact queueing discipline to {interface} (an `ingress` one is in its \
             way, see `tc qdisc show dev {interface}`; a kernel without the module sch_ingress \
             has none)"
        )
    })?;
    let pinned = pin(program, path.to_path_buf())?;
    let options = TcAttachOptions::Netlink(NlOptions {
        priority: PRIORITY,
        handle: filter::handle(),
        classid: None,
    });
    let id = program
        .attach_with_options(interface, TcAttachType::Egress, options)
        .map_err(|error| {
            anyhow!(
                "attaching a filter to what leaves {interface}: {}: if `tc filter show dev \
                 {interface} egress` lists another one of priority {PRIORITY} and handle \
                 {HANDLE:#x}, stop its owner, or remove it with `tc filter del dev {interface} \
                 egress pref {PRIORITY} handle {HANDLE:#x} bpf`; a kernel without the module \
                 cls_bpf has no such filters",
                root_cause(&error)
            )
        })?;
    leave_attached(program, id)?;
    Ok(pinned)
}

/// Whether the filter of the program that is pinned at `path` took the new one,
/// which is then pinned there. A filter whose card is gone cannot, and its pin is
/// removed.
///
/// # Errors
/// The kernel refuses.
pub fn take_over(program: &mut SchedClassifier, interface: &str, path: &Path) -> Result<bool> {
    let index = if_nametoindex(interface).with_context(|| format!("looking for {interface}"))?;
    let successor = successor(path);
    // What an agent left that died between two programs.
    unhook(&successor)?;
    let running = filter::program_at(index)?;
    if running.is_none() || running != Pinned::program_at(path)? {
        unhook(path)?;
        return Ok(false);
    }
    let pinned = pin(program, successor.clone())?;
    let id = program
        .attach_to_link(filter::at(interface)?)
        .map_err(|error| {
            anyhow!(
                "replacing the filter of what leaves {interface}: {}",
                root_cause(&error)
            )
        })?;
    leave_attached(program, id)?;
    rename(&successor, path)?;
    pinned.keep();
    Ok(true)
}

/// Where the next program is pinned until it has replaced the one at `path`. If
/// an agent dies in between, both names are there, and one of them is that of
/// the program that runs.
pub fn successor(path: &Path) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_os_string();
    name.push("-next");
    path.with_file_name(name)
}

fn pin(program: &mut SchedClassifier, path: PathBuf) -> Result<Filter> {
    program
        .pin(&path)
        .with_context(|| format!("pinning {}", path.display()))?;
    Ok(Filter::new(path))
}

/// aya removes a filter with what stands for it; ours ends by [`unhook`] alone.
fn leave_attached(program: &mut SchedClassifier, id: SchedClassifierLinkId) -> Result<()> {
    mem::forget(program.take_link(id)?);
    Ok(())
}

fn rename(from: &Path, to: &Path) -> Result<()> {
    fs::rename(from, to).with_context(|| format!("renaming {}", from.display()))
}
