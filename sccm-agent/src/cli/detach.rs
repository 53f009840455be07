//! `sccm-agent detach`: leave every interface as it was.

use super::PinArgs;
use anyhow::Result;
use clap::Args;

/// Remove programs, counters and flows that an agent left behind
#[derive(Debug, Clone, Args)]
pub struct DetachArgs {
    #[command(flatten)]
    pins: PinArgs,
}

/// Removes every pin.
///
/// # Errors
/// An agent is running, or a pin cannot be removed.
pub fn run(args: &DetachArgs) -> Result<()> {
    let pins = args.pins.pins();
    if !pins.path().exists() {
        return crate::output::print("nothing is attached");
    }
    let _lock = pins.lock()?;
    let slots = pins.slots();
    pins.remove()?;
    crate::output::print(format!("detached from {} interfaces", slots.len()))
}
