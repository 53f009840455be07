//! `sccm-agent coverage`: which attack techniques a policy stops.

use super::PolicyArgs;
use crate::coverage::Coverage;
use crate::output::{self, OutputArgs, OutputFormat};
use crate::policy::Surroundings;
use anyhow::Result;
use clap::Args;
use std::io::{self, Write as _};
use std::net::IpAddr;
use std::process::ExitCode;

/// Say which attack techniques a policy stops fully, partly or not, what decides, and what would
/// stop more
#[derive(Debug, Clone, Args)]
#[command(after_help = EXAMPLES)]
pub struct CoverageArgs {
    /// Exit with 1 unless these techniques are stopped fully, such as TAKEOVER-1,CRED-5
    #[arg(long, value_name = "TECHNIQUES", value_delimiter = ',')]
    require: Vec<String>,

    /// Judge as for `enforce --observe`, where nothing is dropped
    #[arg(long)]
    observe: bool,

    /// On a gateway: address of the gateway itself; repeatable
    #[arg(long, value_name = "ADDRESS")]
    own: Vec<IpAddr>,

    #[command(flatten)]
    output: OutputArgs,

    #[command(flatten)]
    policy: PolicyArgs,
}

const EXAMPLES: &str = "\
Examples:
  sccm-agent coverage --config /etc/sccm-agent/policy.toml
      the matrix: each technique, the legs that decide, and what would stop more
  sccm-agent coverage --config policy.toml --require TAKEOVER-1,TAKEOVER-2 -o json
      for a repository's CI: exit with 1 unless both are stopped fully";

/// Prints the matrix.
///
/// # Errors
/// A policy that cannot be read, an unknown technique, or standard output that cannot be written.
pub fn run(args: &CoverageArgs) -> Result<ExitCode> {
    let policy = args.policy.written()?.load()?;
    let machine = match args.own.as_slice() {
        [] => Surroundings::default(),
        own => Surroundings::gateway(own),
    };
    let coverage = Coverage::new(&policy, &machine, args.observe)?;
    let lacking = coverage.lacking(&args.require)?;
    match args.output.output {
        OutputFormat::Json => output::print_json(&coverage)?,
        OutputFormat::Table => output::print(coverage.text())?,
    }
    for one in &lacking {
        let stopped = one.verdict.name();
        writeln!(
            io::stderr(),
            "required: {} is not stopped fully ({stopped})",
            one.id
        )?;
    }
    Ok(match lacking.is_empty() {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    })
}
