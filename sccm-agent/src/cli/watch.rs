//! `sccm-agent watch`: a live view of what is passed and blocked. Reads the pins, needs no
//! agent, and changes nothing.

use super::PinArgs;
use crate::blocked::Explainer;
use crate::config;
use crate::state;
use crate::units;
use crate::watch;
use anyhow::{Context as _, Result, ensure};
use clap::Args;
use std::io::{self, IsTerminal as _};
use std::path::PathBuf;
use std::time::Duration;

/// Show live what passes and what is blocked, where, and why
///
/// Keys: q quits, s changes the sort order, / filters by words, p pauses.
#[derive(Debug, Clone, Args)]
pub struct WatchArgs {
    /// Time between two updates
    #[arg(long, value_name = "TIME", default_value = "1s", value_parser = units::interval)]
    interval: Duration,

    /// The policy file that is enforced: name addresses as it does, and say what to write into it
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,

    #[command(flatten)]
    pins: PinArgs,
}

/// Shows the view until somebody ends it.
///
/// # Errors
/// No terminal, nothing is enforced, or pins that cannot be read.
pub fn run(args: &WatchArgs) -> Result<()> {
    ensure!(
        io::stdin().is_terminal() && io::stdout().is_terminal(),
        "`watch` needs a terminal for its keys and its screen: for files and pipes there are \
         `sccm-agent status -o json` and `sccm-agent blocked -o json`"
    );
    let policy = args.config.as_deref().map(config::load).transpose()?;
    let pins = args.pins.pins();
    let maps = state::open(&pins)?;
    let explainer = Explainer::of_file(&maps, &maps.info()?, policy)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("starting the runtime")?;
    runtime.block_on(watch::run(&pins, explainer, args.interval))
}
