//! `sccm-agent check`: what a policy file means, before it is enforced.

use super::PinArgs;
use crate::check::{Difference, Live, Report};
use crate::config;
use crate::expect;
use crate::interface::{self, Netlink};
use crate::kernel::{Found, Maps, PinDir};
use crate::output::{self, OutputArgs, OutputFormat};
use anyhow::{Context as _, Result, bail};
use clap::Args;
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::process::ExitCode;
use tokio::runtime::Builder;

/// Check a policy file: print who may open what, and warn of likely mistakes
#[derive(Debug, Clone, Args)]
pub struct CheckArgs {
    /// Policy file; the files of policy.d beside it are read, too
    #[arg(value_name = "FILE")]
    file: PathBuf,

    /// Exit with 1 if there are warnings
    #[arg(long)]
    strict: bool,

    /// Print also what would change for the running policy
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
        let live = live(&args.pins.pins())?;
        report.difference = Some(Difference::new(&policy, &live)?);
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

/// What is enforced now.
fn live(pins: &PinDir) -> Result<Live> {
    match pins.look()? {
        Found::Maps => {}
        Found::Nothing => bail!(
            "nothing is enforced ({} is empty), so there is nothing to compare with",
            pins.path().display()
        ),
        Found::OtherAbi(version) => bail!(
            "what is enforced belongs to another sccm-agent (layout {version}, this one has {}): \
             compare with that one",
            sccm_common::abi::VERSION
        ),
    }
    let maps = Maps::open(pins)?;
    Ok(Live {
        info: maps.info()?,
        tables: maps.tables()?,
        names: maps.service_names()?,
        broadcasts: broadcasts()?,
    })
}

/// What stands for all systems of a network of this machine.
fn broadcasts() -> Result<Vec<Ipv4Addr>> {
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let addresses = runtime.block_on(async { Netlink::connect()?.own_addresses().await })?;
    Ok(addresses.broadcasts.into_iter().collect())
}
