//! `sccm-agent check`: what a policy file means, before it is enforced.

use super::{PinArgs, diff};
use crate::check::Report;
use crate::config;
use crate::diff::{Difference, Side};
use crate::expect;
use crate::interface;
use crate::output::{self, OutputArgs, OutputFormat};
use anyhow::{Context as _, Result, bail};
use clap::Args;
use std::path::PathBuf;
use std::process::ExitCode;

/// Check a policy file: print who may open what, and warn of likely mistakes
#[derive(Debug, Clone, Args)]
pub struct CheckArgs {
    /// Policy file; the files of policy.d beside it are read, too
    #[arg(value_name = "FILE")]
    file: PathBuf,

    /// Exit with 1 if there are warnings
    #[arg(long)]
    strict: bool,

    /// Print also what would change for the running policy, as `diff live FILE` does
    #[arg(long)]
    against_live: bool,

    #[command(flatten)]
    pins: PinArgs,

    #[command(flatten)]
    output: OutputArgs,
}

/// Prints the report.
///
/// # Errors
/// A file that is no policy, or standard output that cannot be written.
pub fn run(args: &CheckArgs) -> Result<ExitCode> {
    if args.file.as_os_str() == "-" {
        bail!(
            "standard input is not read, because a policy may name files beside it: give its file"
        );
    }
    let config::Read { policy, notice } = config::read(&args.file)?;
    expect::ensure(&policy)?;
    let mut report =
        Report::new(&policy).with_context(|| format!("compiling {}", args.file.display()))?;
    report.notice(notice.as_ref());
    // Only who may look knows how the machine translates.
    if let Ok(translation) = interface::translation()
        && translation.is_any()
    {
        report.compare_translation(&policy, &translation.destinations);
    }
    if args.against_live {
        let running = diff::running(&args.pins)?;
        let machine = diff::machine_of(&running, &[])?;
        let candidate = Side::written(args.file.display().to_string(), policy, &machine)?;
        report.difference = Some(Difference::new(&Side::live(running), &candidate)?);
    }
    match args.output.output {
        OutputFormat::Json => output::print_json(&report)?,
        OutputFormat::Table => output::print(report.text())?,
    }
    Ok(match args.strict && !report.warnings.is_empty() {
        true => ExitCode::FAILURE,
        false => ExitCode::SUCCESS,
    })
}
