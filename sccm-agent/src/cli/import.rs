//! `sccm-agent import`: a policy from what a site has already.

use crate::config;
use crate::import::{Drift, Imported, Inventory, Mistakes, MoreAddresses, Wish, look_up};
use crate::output::{self, OutputArgs, OutputFormat};
use crate::policy::Outbound;
use anyhow::{Context as _, Result, bail};
use clap::Args;
use ipnet::IpNet;
use std::fs::OpenOptions;
use std::io::{ErrorKind, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Make a policy from a list of the site's systems and its boundaries
///
/// docs/import.md says how to export them. The policy is for Configuration Manager current branch, and
/// says of each line where it comes from. Nothing is written if the inventory has a mistake.
#[derive(Debug, Clone, Args)]
#[command(after_help = "Examples:
  sccm-agent import --systems systems.json --boundaries boundaries.csv --protect 10.2.0.0/24 \\
      --outbound enforce --set domain-member --set windows-update \\
      --peer domain-controller=10.1.0.10 --write /etc/sccm-agent/policy.toml
  sccm-agent import --systems systems.json --boundaries boundaries.csv --protect 10.2.0.0/24 \\
      --diff /etc/sccm-agent/policy.toml")]
pub struct ImportArgs {
    /// List of systems, JSON or CSV; repeatable
    #[arg(long, value_name = "FILE", required = true)]
    systems: Vec<PathBuf>,

    /// List of boundaries, CSV; repeatable
    #[arg(long, value_name = "FILE")]
    boundaries: Vec<PathBuf>,

    /// Prefix length of boundaries of the type IP subnet that have no mask
    #[arg(long, value_name = "BITS", value_parser = clap::value_parser!(u8).range(8..=32))]
    subnet_length: Option<u8>,

    /// Addresses behind this gateway; repeatable
    #[arg(long, value_name = "PREFIX", required = true)]
    protect: Vec<IpNet>,

    /// Make the systems of this site peers, too; repeatable
    #[arg(long = "site", value_name = "CODE")]
    sites: Vec<String>,

    /// Who holds a role that the inventory lacks, such as domain-controller=10.1.0.10,10.1.0.11;
    /// repeatable
    #[arg(long = "peer", value_name = "ROLE=ADDRESS")]
    more: Vec<MoreAddresses>,

    /// How to treat connections that protected systems open
    #[arg(long, value_enum, default_value_t)]
    outbound: Outbound,

    /// Set that all protected systems need besides their roles, such as domain-member; repeatable
    #[arg(long = "set", value_name = "SET")]
    sets: Vec<String>,

    /// Write the policy to this file, which must not exist
    #[arg(long, value_name = "FILE", conflicts_with = "diff")]
    write: Option<PathBuf>,

    /// Print what this policy file lacks, and what it has beyond the inventory, instead of a policy;
    /// exit with 1 if there is anything
    #[arg(long, value_name = "FILE")]
    diff: Option<PathBuf>,

    #[command(flatten)]
    output: OutputArgs,
}

/// What `-o json` prints.
#[derive(serde::Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(super) struct Text {
    /// The policy, as TOML.
    policy: String,
}

/// Prints or writes the policy, or the difference.
///
/// # Errors
/// Mistakes in the inventory, a policy that cannot be read or written.
pub fn run(args: &ImportArgs) -> Result<ExitCode> {
    let mut mistakes = Mistakes::default();
    let mut inventory = Inventory::default();
    for file in &args.systems {
        inventory.add_systems(file, &mut mistakes);
    }
    for file in &args.boundaries {
        inventory.add_boundaries(file, args.subnet_length, &mut mistakes);
    }
    inventory.resolve(look_up, &mut mistakes);
    let wish = Wish {
        protect: args.protect.iter().map(IpNet::trunc).collect(),
        sites: args
            .sites
            .iter()
            .map(|site| site.to_ascii_uppercase())
            .collect(),
        more: args.more.clone(),
        outbound: args.outbound,
        sets: args.sets.clone(),
    };
    let Some(imported) = Imported::new(&inventory, &wish, &mut mistakes)? else {
        bail!(mistakes);
    };
    let policy = imported.text();
    // What is wrong with the flags may only be seen when the policy is read.
    let read = config::parse(&policy).context("the inventory makes no policy")?;
    if let Some(file) = &args.diff {
        let drift = Drift::new(&read, &config::load(file)?);
        match args.output.output {
            OutputFormat::Json => output::print_json(&drift)?,
            OutputFormat::Table => output::print(&drift)?,
        }
        return Ok(match drift.is_none() {
            true => ExitCode::SUCCESS,
            false => ExitCode::FAILURE,
        });
    }
    match (&args.write, args.output.output) {
        (Some(file), _) => {
            write(file, &policy)?;
            let file = file.display();
            output::print(format!(
                "wrote {file}; `sccm-agent check {file}` says what it means"
            ))?;
        }
        (None, OutputFormat::Json) => output::print_json(&Text { policy })?,
        (None, OutputFormat::Table) => output::print(policy.trim_end())?,
    }
    Ok(ExitCode::SUCCESS)
}

fn write(file: &Path, policy: &str) -> Result<()> {
    let mut options = OpenOptions::new();
    let created = options.write(true).create_new(true).mode(0o644).open(file);
    let mut created = match created {
        Err(error) if error.kind() == ErrorKind::AlreadyExists => bail!(
            "{} is there already: --diff says what would change, or choose another name",
            file.display()
        ),
        created => created.with_context(|| format!("creating {}", file.display()))?,
    };
    created
        .write_all(policy.as_bytes())
        .and_then(|()| created.sync_all())
        .with_context(|| format!("writing {}", file.display()))
}
