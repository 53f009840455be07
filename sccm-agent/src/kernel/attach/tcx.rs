//! Egress by TCX, with a BPF link.

use super::super::root_cause;
use super::EgressOrder;
use super::link::{open, was_updated};
use anyhow::{Result, anyhow};
use aya::programs::links::FdLink;
use aya::programs::tc::TcAttachOptions;
use aya::programs::{LinkOrder, SchedClassifier, TcAttachType};
use std::path::Path;

/// Attaches the program; dropping the link detaches it.
pub(crate) fn attach(
    program: &mut SchedClassifier,
    interface: &str,
    order: EgressOrder,
) -> Result<FdLink> {
    let order = match order {
        EgressOrder::First => LinkOrder::first(),
        EgressOrder::Last => LinkOrder::last(),
    };
    let order = TcAttachOptions::TcxOrder(order);
    let id = program
        .attach_with_options(interface, TcAttachType::Egress, order)
        .map_err(|error| {
            anyhow!(
                "attaching the egress program to {interface}: {}",
                root_cause(&error)
            )
        })?;
    let link = program.take_link(id)?;
    FdLink::try_from(link).map_err(|_| anyhow!("{interface} gave no BPF link for its egress"))
}

/// Gives the link that is pinned at `path` the new program; false if its card is gone.
pub(crate) fn take_over(program: &mut SchedClassifier, path: &Path) -> Result<bool> {
    let result = program.attach_to_link(open(path)?.try_into()?);
    was_updated(result.map(drop), path)
}
