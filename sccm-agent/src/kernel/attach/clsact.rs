//! TC hooks on kernels without TCX: a filter of the clsact queueing discipline.
//!
//! Such a filter is no BPF link. It belongs to its interface, outlives every process, and cannot
//! be pinned. So its program is pinned instead, before the filter is attached: a filter of ours
//! always has a pin. Nothing stores which interface has the filter; the kernel is asked which
//! interface runs the pinned program.
//!
//! The queueing discipline stays when our filter goes. An empty one passes everything, and
//! somebody else may be about to use it.

use super::super::filter::{self, EVERY_PROTOCOL, Filter as Listed, HANDLE};
use super::super::pinned::Pinned;
use super::super::root_cause;
use super::super::unhook::unhook;
use super::TcOrder;
use anyhow::{Context as _, Result, anyhow, bail};
use aya::programs::SchedClassifier;
use aya::programs::tc::{NlOptions, SchedClassifierLinkId, TcAttachOptions, TcHandle};
use nix::net::if_::if_nametoindex;
use sccm_common::Hook;
use std::path::{Path, PathBuf};
use std::{fs, mem};

/// A filter and its pin. Dropping it removes both.
#[derive(Debug)]
pub(crate) struct Filter {
    path: PathBuf,
    kept: bool,
}

impl Filter {
    const fn new(path: PathBuf) -> Self {
        Self { path, kept: false }
    }

    /// Where its program is pinned.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Lets filter and pin stay.
    pub(crate) fn keep(mut self) {
        self.kept = true;
    }
}

impl Drop for Filter {
    fn drop(&mut self) {
        if !self.kept
            && let Err(error) = unhook(&self.path)
        {
            tracing::warn!("cleaning up: {error:#}");
        }
    }
}

/// Pins the program at `path`, and attaches it to a hook of an interface, beside our filter that runs the
/// program `replaces`, if there is one.
///
/// # Errors
/// The kernel refuses, or somebody else's filter has our place.
pub(crate) fn attach(
    program: &mut SchedClassifier,
    (interface, hook): (&str, Hook),
    order: TcOrder,
    path: PathBuf,
    replaces: Option<u32>,
) -> Result<Filter> {
    let index = if_nametoindex(interface).with_context(|| format!("looking for {interface}"))?;
    filter::add_clsact(index).with_context(|| {
        format!(
            "adding the clsact queueing discipline to {interface} (an `ingress` one is in its \
             way, see `tc qdisc show dev {interface}`; a kernel without the module sch_ingress \
             has none)"
        )
    })?;
    let there = filter::list(index, hook).context("listing the filters of clsact")?;
    let priority = match order {
        TcOrder::First => first(&there, (interface, hook))?,
        TcOrder::Last => there
            .last()
            .map_or(1, |last| last.priority.saturating_add(1)),
    };
    let replaced = there
        .iter()
        .find(|filter| replaces.is_some() && filter.program == replaces);
    let handle = match replaced {
        Some(filter) if filter.handle == u32::from(HANDLE) => HANDLE + 1,
        _ => HANDLE,
    };
    let pinned = pin(program, path)?;
    let options = TcAttachOptions::Netlink(NlOptions {
        priority,
        handle: TcHandle::new(0, handle),
        classid: None,
    });
    let label = hook.label();
    let id = program
        .attach_with_options(interface, filter::attach_type(hook), options)
        .map_err(|error| {
            anyhow!(
                "attaching an {label} filter to {interface}: {}: if `tc filter show dev \
                 {interface} {label}` lists another one of priority {priority} and handle \
                 {handle:#x}, stop its owner, or remove it with `tc filter del dev {interface} \
                 {label} pref {priority} handle {handle:#x} bpf`; a kernel without the module \
                 cls_bpf has no such filters",
                root_cause(&error)
            )
        })?;
    leave_attached(program, id)?;
    Ok(pinned)
}

/// Gives the filter of the program that is pinned at `path` the new program, and pins that one
/// there. If the filter is gone, removes the pin, and returns false.
pub(crate) fn take_over(
    program: &mut SchedClassifier,
    (interface, hook): (&str, Hook),
    path: &Path,
) -> Result<bool> {
    let index = if_nametoindex(interface).with_context(|| format!("looking for {interface}"))?;
    let successor = successor(path);
    // The pin of an agent that died between two programs.
    unhook(&successor)?;
    let running = match Pinned::program_at(path)? {
        Some(program) => filter::of_program(index, hook, program)?,
        None => None,
    };
    let Some(running) = running else {
        unhook(path)?;
        return Ok(false);
    };
    let pinned = pin(program, successor.clone())?;
    let link = filter::at(interface, hook, running.priority, running.handle.into())?;
    let id = program.attach_to_link(link).map_err(|error| {
        anyhow!(
            "replacing the {} filter of {interface}: {}",
            hook.label(),
            root_cause(&error)
        )
    })?;
    leave_attached(program, id)?;
    rename(&successor, path)?;
    pinned.keep();
    Ok(true)
}

/// Where the next program is pinned until it has replaced the one at `path`. If an agent dies in
/// between, both pins are there, and one of them is that of the program that runs.
pub(crate) fn successor(path: &Path) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_os_string();
    name.push("-next");
    path.with_file_name(name)
}

/// The first priority. Among filters of the same one, the kernel asks the newest first. A filter
/// that decides ends the round, and ours decides only to drop.
///
/// # Errors
/// Only filters of another kind can have it.
fn first(there: &[Listed], (interface, hook): (&str, Hook)) -> Result<u16> {
    const FIRST: u16 = 1;
    let refuses = |filter: &&Listed| {
        filter.priority == FIRST
            && (filter.kind != filter::BPF || filter.protocol != EVERY_PROTOCOL)
    };
    if let Some(filter) = there.iter().find(refuses) {
        bail!(
            "a clsact filter of {interface} ({}) has the first priority, so that it sees packets \
             before the agent's {label} program, and may hide them: remove it with `tc filter del \
             dev {interface} {label} pref {FIRST}`, or stand behind it with --behind-tc-programs",
            filter.kind,
            label = hook.label()
        );
    }
    Ok(FIRST)
}

fn pin(program: &mut SchedClassifier, path: PathBuf) -> Result<Filter> {
    program
        .pin(&path)
        .with_context(|| format!("pinning {}", path.display()))?;
    Ok(Filter::new(path))
}

/// aya removes a filter when its link is dropped. Ours is removed by [`unhook`] alone.
fn leave_attached(program: &mut SchedClassifier, id: SchedClassifierLinkId) -> Result<()> {
    mem::forget(program.take_link(id)?);
    Ok(())
}

fn rename(from: &Path, to: &Path) -> Result<()> {
    fs::rename(from, to).with_context(|| format!("renaming {}", from.display()))
}
