//! Who sees packets at a TC hook before our program there.
//!
//! The kernel asks TCX programs in their order, then the filters of clsact in theirs, until one
//! of them decides (`sch_handle_ingress` and `sch_handle_egress`, net/core/dev.c). Our program decides only to drop, so
//! those behind it see what it passes. One before it may hide packets from it.

use super::attach::TcHook;
use super::{bpf, filter, owner};
use anyhow::{Context as _, Result};
use sccm_common::Hook;

/// Describes whoever is asked before our program, which has this id and is attached in this way.
///
/// # Errors
/// The kernel does not say.
pub(super) fn before(
    (interface, hook): (u32, Hook),
    how: TcHook,
    ours: u32,
) -> Result<Vec<String>> {
    let mut before = Vec::new();
    if how == TcHook::Tcx || TcHook::of_this_kernel() == TcHook::Tcx {
        let programs = bpf::tcx(interface, hook).context("listing TCX programs")?;
        let programs = programs.into_iter().take_while(|program| *program != ours);
        before.extend(programs.map(|program| format!("TCX {}", owner::name(program))));
    }
    if how == TcHook::Clsact {
        let filters = filter::list(interface, hook).context("listing the filters of clsact")?;
        let ours = |filter: &filter::Filter| filter.program == Some(ours);
        let filters = filters.into_iter().take_while(|filter| !ours(filter));
        before.extend(filters.map(|filter| {
            let does = match filter.program {
                Some(program) => owner::name(program),
                None => filter.kind,
            };
            format!("clsact filter of priority {}: {does}", filter.priority)
        }));
    }
    Ok(before)
}
/// Describes whoever is asked at a TC hook of an interface, our programs among them.
///
/// # Errors
/// The kernel does not say.
pub fn all(interface: u32, hook: Hook) -> Result<Vec<String>> {
    /// No program has this id.
    const NOBODY: u32 = 0;
    before((interface, hook), TcHook::Clsact, NOBODY)
}
