//! `sccm-agent support-bundle`: all that somebody needs who is to help, in one archive.

use super::PinArgs;
use crate::bundle::{self, Wish};
use crate::capture::Target;
use crate::decisions::DEFAULT_STATE_DIR;
use anyhow::{Context as _, Result};
use clap::Args;
use std::path::PathBuf;
use std::process::ExitCode;

/// Collect status, check-up, policy, counters and log in one archive, for somebody who is to help
///
/// It holds no tokens and no keys, but addresses and the policy's comments: look at it before you send it.
/// docs/operation.md says what is in it. What cannot be read is named in errors.txt in the archive.
#[derive(Debug, Clone, Args)]
pub struct SupportBundleArgs {
    /// Output file (tar.gz), for its owner alone; `-` is standard output
    #[arg(short, long, value_name = "FILE")]
    write: PathBuf,

    /// Overwrite the file if it exists
    #[arg(long)]
    force: bool,

    /// Policy file [default: the one that the agent read]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,

    /// Replace IP addresses, hardware addresses and the policy's names of addresses; equal ones stay equal
    #[arg(long)]
    hide_addresses: bool,

    #[command(flatten)]
    pins: PinArgs,

    /// Directory where the agent saves its decisions, and which policy file it reads
    #[arg(long, value_name = "DIR", default_value = DEFAULT_STATE_DIR)]
    state_dir: PathBuf,
}

/// Writes the archive.
///
/// # Errors
/// The file cannot be made, or not be written whole.
pub fn run(args: &SupportBundleArgs) -> Result<ExitCode> {
    let wish = Wish {
        pins: args.pins.pins(),
        state_dir: args.state_dir.clone(),
        config: args.config.clone(),
        hide_addresses: args.hide_addresses,
    };
    let target = Target::new(&args.write, args.force);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("starting the runtime")?;
    let summary = runtime.block_on(bundle::write(&wish, &target))?;
    // Standard output may be the file.
    eprintln!(
        "wrote {} files; errors.txt names {} that could not be read",
        summary.parts, summary.errors
    );
    Ok(ExitCode::SUCCESS)
}
