//! TC hooks by TCX, with a BPF link.

use super::super::{filter, root_cause};
use super::TcOrder;
use super::link::{open, was_updated};
use anyhow::{Result, anyhow};
use aya::programs::links::FdLink;
use aya::programs::tc::TcAttachOptions;
use aya::programs::{LinkOrder, SchedClassifier};
use sccm_common::Hook;
use std::path::Path;

/// Attaches the program; dropping the link detaches it.
pub(crate) fn attach(
    program: &mut SchedClassifier,
    (interface, hook): (&str, Hook),
    order: TcOrder,
) -> Result<FdLink> {
    let order = match order {
        TcOrder::First => LinkOrder::first(),
        TcOrder::Last => LinkOrder::last(),
    };
    let order = TcAttachOptions::TcxOrder(order);
    let id = program
        .attach_with_options(interface, filter::attach_type(hook), order)
        .map_err(|error| {
            anyhow!(
                "attaching the {} program to {interface}: {}",
                hook.label(),
                root_cause(&error)
            )
        })?;
    let link = program.take_link(id)?;
    FdLink::try_from(link).map_err(|_| anyhow!("{interface} gave no BPF link at TC"))
}

/// Gives the link that is pinned at `path` the new program; false if its card is gone.
pub(crate) fn take_over(program: &mut SchedClassifier, path: &Path) -> Result<bool> {
    let result = program.attach_to_link(open(path)?.try_into()?);
    was_updated(result.map(drop), path)
}
