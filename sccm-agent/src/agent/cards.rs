//! Which cards there are, and what can speak against the interfaces that were named.

use crate::interface::Interface;
use crate::plan::{self, NamedInterface, Plan};
use anyhow::{Result, ensure};

/// The plan for these interfaces, on this machine as it is now.
///
/// # Errors
/// An interface that does not exist, is down, or has no members; two
/// that mean the same frames. Those that are missing or down are only told if the agent `waits` for
/// them.
pub(crate) fn plan(named: &[NamedInterface], present: &[Interface], waits: bool) -> Result<Plan> {
    match waits {
        true => plan_without_missing(named, present),
        false => plan_of_all(named, present),
    }
}

fn plan_without_missing(named: &[NamedInterface], present: &[Interface]) -> Result<Plan> {
    let awaited = plan::missing(named, present);
    if !awaited.is_empty() {
        tracing::warn!(
            "waiting for {}: the machine has no such interface yet",
            awaited.join(", ")
        );
    }
    let there = plan::those_that_exist(named, present);
    Ok(Plan {
        awaited,
        ..plan::of(&there, present)?
    })
}

fn plan_of_all(named: &[NamedInterface], present: &[Interface]) -> Result<Plan> {
    for one in named {
        let name = &one.name;
        let (device, _) = plan::device(name, present)?;
        let device_name = &device.name;
        ensure!(
            device.up,
            "interface {device_name} is down: bring it up with `ip link set {device_name} up`"
        );
        ensure!(
            !plan::resolve(name, present)?.is_empty(),
            "{name} has no members: give it one with `ip link set dev CARD master {device_name}`"
        );
    }
    plan::of(named, present)
}
