//! `sccm-agent detach`: leave every interface as it was.

use super::PinArgs;
use crate::changed::Changed;
use crate::output;
use anyhow::{Context as _, Result};
use clap::Args;

/// Remove the programs, counters and flows that an agent left behind
#[derive(Debug, Clone, Args)]
pub struct DetachArgs {
    #[command(flatten)]
    pins: PinArgs,
}

/// Removes every pin.
///
/// # Errors
/// An agent is running; nothing has changed then. [`Changed`] if a pin cannot be removed, or
/// standard output cannot be written to.
pub fn run(args: &DetachArgs) -> Result<()> {
    let pins = args.pins.pins();
    if !pins.path().exists() {
        return output::print("nothing is attached");
    }
    let _lock = pins.lock()?;
    let slots = pins.slots();
    pins.remove().context(Changed)?;
    output::print(format!("detached from {} interfaces", slots.len())).context(Changed)
}
