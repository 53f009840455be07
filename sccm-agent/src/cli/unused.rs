//! `sccm-agent unused`: which rights, rules and prefixes of the active policy nothing uses. Reads the
//! pins, and needs no agent.

use super::PinArgs;
use super::diff::machine_of;
use crate::config;
use crate::decisions::{DEFAULT_STATE_DIR, StateFile};
use crate::kernel::Clock;
use crate::output::{self, OutputArgs, OutputFormat};
use crate::policy::{Kinds, Request, Running, SitePolicy, hash_of, hash_text};
use crate::state;
use crate::units;
use crate::unused::{Unused, Words};
use anyhow::{Result, ensure};
use clap::Args;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

/// List the rights, rules and prefixes of the enforced policy that nothing has used
///
/// Exits with 0 if there are none, or the counters are younger than the time asked for; 1 if some were
/// not used for all of that time; 2 on errors.
#[derive(Debug, Clone, Args)]
#[command(after_help = EXAMPLES)]
pub struct UnusedArgs {
    /// Time in which they were not used, such as 12h or 90d
    #[arg(long, value_name = "TIME", value_parser = units::time, default_value = "90d")]
    since: Duration,

    /// Policy file that is enforced; needed for rules and prefixes if the agent has not kept the policy
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,

    /// Directory where the agent saves its decisions, and the policy that was confirmed
    #[arg(long, value_name = "DIR", default_value = DEFAULT_STATE_DIR)]
    state_dir: PathBuf,

    #[command(flatten)]
    pins: PinArgs,

    #[command(flatten)]
    output: OutputArgs,
}

const EXAMPLES: &str = "\
Examples:
  sccm-agent unused --since 90d
      what could be taken out of the policy, and for how long its use is counted
  sccm-agent unused --since 30d -o json | jq -r '.rules[] | select(.counted_throughout).name'
      the names of rules that nothing has used in 30 days";

/// Prints what is not used.
///
/// # Errors
/// Nothing is enforced; a file that is not what is enforced; standard output that cannot be written.
pub fn run(args: &UnusedArgs) -> Result<ExitCode> {
    let pins = args.pins.pins();
    let maps = state::open(&pins)?;
    let info = maps.info()?;
    let policy = match &args.config {
        Some(path) => {
            let policy = config::load(path)?;
            ensure!(
                hash_of(&policy) == info.hash,
                "{} is not what is enforced (policy {}): reload it, or name the file that is",
                path.display(),
                &hash_text(&info.hash)[..12]
            );
            Some(policy)
        }
        None => StateFile::new(&args.state_dir, &pins).confirmed(&info.hash),
    };
    let running = Running {
        info,
        tables: maps.tables()?,
        names: maps.known_names()?,
    };
    let machine = machine_of(&running, &[])?;
    let words = policy.as_ref().map(|policy: &SitePolicy| {
        let request = Request {
            policy,
            machine: &machine,
            observe: false,
        };
        let kinds = Kinds::numbered(&request, running.names.clone())?;
        anyhow::Ok(Words { policy, kinds })
    });
    let words = words.transpose()?;
    let now = Clock::read()?.wall();
    let times = (now, args.since.as_secs());
    let unused = Unused::new(&info, &maps.rights()?, words.as_ref(), times);
    match args.output.output {
        OutputFormat::Json => output::print_json(&unused)?,
        OutputFormat::Table => output::print(unused.text(now))?,
    }
    Ok(match unused.is_certain() {
        true => ExitCode::FAILURE,
        false => ExitCode::SUCCESS,
    })
}
