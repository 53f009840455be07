//! Who sees outgoing packets before our egress program.
//!
//! The kernel asks TCX programs in their order, then the filters of clsact in theirs, until one
//! of them decides (`sch_handle_egress`, net/core/dev.c). Our program decides only to drop, so
//! those behind it see what it passes. One before it may hide packets from it.

use super::attach::EgressHook;
use super::{bpf, filter, owner};
use anyhow::{Context as _, Result};

/// Describes whoever is asked before our program, which has this id and is at this hook.
///
/// # Errors
/// The kernel does not say.
pub(super) fn before(interface: u32, hook: EgressHook, ours: u32) -> Result<Vec<String>> {
    let mut before = Vec::new();
    if hook == EgressHook::Tcx || EgressHook::of_this_kernel() == EgressHook::Tcx {
        let programs = bpf::tcx_egress(interface).context("listing TCX programs")?;
        let programs = programs.into_iter().take_while(|program| *program != ours);
        before.extend(programs.map(|program| format!("TCX {}", owner::name(program))));
    }
    if hook == EgressHook::Clsact {
        let filters = filter::list(interface).context("listing the filters of clsact")?;
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
/// Describes whoever is asked about what leaves an interface, our programs among them.
///
/// # Errors
/// The kernel does not say.
pub fn all(interface: u32) -> Result<Vec<String>> {
    /// No program has this id.
    const NOBODY: u32 = 0;
    before(interface, EgressHook::Clsact, NOBODY)
}
