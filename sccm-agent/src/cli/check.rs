//! `sccm-agent check`: what a policy file means, before it is enforced.

use crate::catalog::Catalog;
use crate::check::Report;
use crate::config;
use crate::output::{self, OutputArgs, OutputFormat};
use anyhow::{Context as _, Result};
use clap::Args;
use std::path::PathBuf;
use std::process::ExitCode;

/// Read a policy file, print who may open what by it, and warn of what may be a mistake
#[derive(Debug, Clone, Args)]
pub struct CheckArgs {
    /// The policy file; those of policy.d beside it belong to it
    #[arg(value_name = "FILE")]
    file: PathBuf,

    /// Exit with 1 if there are warnings
    #[arg(long)]
    strict: bool,

    #[command(flatten)]
    output: OutputArgs,
}

/// Prints the report.
///
/// # Errors
/// A file that is no policy, or standard output that cannot be written.
pub fn run(args: &CheckArgs) -> Result<ExitCode> {
    let policy = config::load(&args.file)?;
    let catalog = Catalog::edition_2007()?;
    let report = Report::new(&catalog, &policy)
        .with_context(|| format!("compiling {}", args.file.display()))?;
    match args.output.output {
        OutputFormat::Json => output::print_json(&report)?,
        OutputFormat::Table => output::print(report.text())?,
    }
    Ok(match args.strict && !report.warnings.is_empty() {
        true => ExitCode::FAILURE,
        false => ExitCode::SUCCESS,
    })
}
