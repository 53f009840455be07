//! `sccm-agent export`: a policy for others.

use crate::diff::{Side, openings};
use crate::export::{self, Place};
use crate::output;
use crate::policy::Surroundings;
use anyhow::{Result, bail};
use clap::{Args, ValueEnum};
use std::net::IpAddr;
use std::path::PathBuf;
use std::process::ExitCode;

/// Print a policy for others: an nftables ruleset with the same verdict, a table for a change board,
/// or YAML for aerleon
#[derive(Debug, Clone, Args)]
#[command(after_help = EXAMPLES)]
pub struct ExportArgs {
    /// Policy file; the files of policy.d beside it are read, too
    #[arg(value_name = "FILE")]
    file: PathBuf,

    /// What to print
    #[arg(long, value_enum)]
    format: Format,

    /// With nftables, on a gateway: interface towards the peers
    #[arg(long, value_name = "INTERFACE", requires = "segment", value_parser = interface)]
    uplink: Option<String>,

    /// With nftables, on a gateway: interface towards the protected systems
    #[arg(long, value_name = "INTERFACE", requires = "uplink", value_parser = interface)]
    segment: Option<String>,

    /// On a gateway: address of the gateway itself; repeatable
    #[arg(long, value_name = "ADDRESS")]
    own: Vec<IpAddr>,

    /// With aerleon: the line of the header that names the target; {} stands for the direction
    #[arg(long, value_name = "LINE", default_value = "nftables: inet input")]
    target: String,
}

/// What to print.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// A ruleset for `nft -f`
    Nftables,
    /// A row for each opening, with the links and rules behind it
    Csv,
    /// A policy for aerleon
    Aerleon,
    /// The networks and services that this policy names
    AerleonDefinitions,
}

const EXAMPLES: &str = "\
Examples:
  sccm-agent export policy.toml --format nftables --uplink eth0 --segment eth1 | nft -f -
      the same verdicts on another gateway, without this program
  sccm-agent export policy.toml --format csv > openings.csv
      what a change board decides about";

fn interface(text: &str) -> Result<String, String> {
    let is_name = |letter: char| letter.is_ascii_alphanumeric() || "._-".contains(letter);
    match !text.is_empty() && text.len() < 16 && text.chars().all(is_name) {
        true => Ok(text.to_owned()),
        false => Err("this is no name of an interface".to_owned()),
    }
}

/// Prints it.
///
/// # Errors
/// A file that is no policy, flags that belong to another format, or standard output that cannot be
/// written.
pub fn run(args: &ExportArgs) -> Result<ExitCode> {
    let machine = match args.own.as_slice() {
        [] => Surroundings::default(),
        own => Surroundings::gateway(own),
    };
    let side = Side::file(&args.file, &machine)?;
    let openings = openings(&side)?;
    let place = match (&args.uplink, &args.segment) {
        (Some(uplink), Some(segment)) => Place::Gateway {
            uplink: uplink.clone(),
            segment: segment.clone(),
        },
        _ => Place::Host,
    };
    if place != Place::Host && args.format != Format::Nftables {
        bail!("--uplink and --segment are for --format nftables: the others name no interfaces");
    }
    if args.format == Format::Csv {
        output::print(export::csv(&openings))?;
        return Ok(ExitCode::SUCCESS);
    }
    let (openings, handed_out) = export::split(openings);
    let left_out = export::left_out(&handed_out);
    let text = match args.format {
        Format::Nftables => export::nftables(&openings, &side.tables().nobody(), &place),
        Format::Aerleon => export::policy(&openings, &args.target),
        Format::AerleonDefinitions | Format::Csv => export::definitions(&openings),
    };
    for line in &left_out {
        eprintln!("{line}");
    }
    let comments = left_out.iter().map(|line| format!("# {line}\n"));
    output::print(comments.collect::<String>() + text.as_str())?;
    Ok(ExitCode::SUCCESS)
}
