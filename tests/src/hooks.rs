//! Takes a hook off its card behind an agent's back, and leaves the pin where it is.

use std::path::Path;

use anyhow::{Context as _, Result};
use sccm_agent::kernel::bpf;

/// Detaches the link that is pinned at `pin`.
pub fn detach(pin: &Path) -> Result<()> {
    let link = bpf::open_pin(pin).context("opening a pin")?;
    bpf::detach_link(&link).context("detaching a link")
}
