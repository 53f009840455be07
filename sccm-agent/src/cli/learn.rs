//! `sccm-agent learn`: the smallest addition to a policy that lets pass what was seen.

use super::PinArgs;
use super::replay::Bar;
use crate::config;
use crate::files;
use crate::kernel::Clock;
use crate::learn::{Lesson, Seen, of_blocked, of_capture, of_flows};
use crate::output::{self, OutputArgs, OutputFormat};
use crate::policies::NO_SHADOW;
use crate::policy::{self, SitePolicy, Surroundings};
use crate::replay::{Spot, Stage, Wish};
use crate::state;
use anyhow::{Context as _, Result, ensure};
use clap::Args;
use ipnet::IpNet;
use std::io::Read as _;
use std::net::IpAddr;
use std::path::PathBuf;
use std::process::ExitCode;

/// More than any listing of blocked flows has.
const MOST_BYTES: u64 = 256 * crate::units::MIB;

/// Propose rules that let the conversations pass that were seen and refused, with the evidence
///
/// Prints lines for the policy file; changes nothing. Each rule is for the ends and ports that were seen,
/// and no others. Nothing is proposed for scans, nor for what looks like coercion. docs/replay.md says
/// more.
#[derive(Debug, Clone, Args)]
#[command(after_help = "Examples:
  sccm-agent learn --config policy.toml --protected 10.2.0.10 week.pcapng.gz
  sccm-agent blocked --limit 100000 -o json > blocked.json
  sccm-agent learn --config policy.toml --blocked blocked.json")]
pub struct LearnArgs {
    /// Capture files, in the order of their times
    #[arg(value_name = "CAPTURE", required_unless_present_any = ["blocked", "live"])]
    files: Vec<PathBuf>,

    /// Policy file
    #[arg(long, value_name = "FILE")]
    config: PathBuf,

    /// Learn from what `sccm-agent blocked -o json` printed; repeatable
    #[arg(long, value_name = "FILE")]
    blocked: Vec<PathBuf>,

    /// Learn from the flows that the kernel has noted as blocked, also in observe mode
    #[arg(long)]
    live: bool,

    /// With --live: learn from the flows that the candidate would drop
    #[arg(long, requires = "live")]
    shadow: bool,

    /// Where the packets were captured
    #[arg(long = "as", value_name = "PLACE", value_enum, default_value_t)]
    spot: Spot,

    /// Address or prefix of the protected systems; repeatable [default: those that the policy lists]
    #[arg(long, value_name = "PREFIX", value_parser = policy::prefix)]
    protected: Vec<IpNet>,

    /// On a gateway: address of the gateway itself; repeatable
    #[arg(long, value_name = "ADDRESS")]
    own: Vec<IpAddr>,

    #[command(flatten)]
    pins: PinArgs,

    #[command(flatten)]
    output: OutputArgs,
}

/// Prints the fragment. The code is 1 if a file could not be read to its end.
///
/// # Errors
/// A policy or a file that cannot be read, or nothing that is enforced.
pub fn run(args: &LearnArgs) -> Result<ExitCode> {
    let policy = config::load(&args.config)?;
    let mut seen = Vec::new();
    for path in &args.blocked {
        let named = || path.display().to_string();
        let mut text = String::new();
        let listing = files::open_any(path).with_context(named)?;
        let mut listing = listing.take(MOST_BYTES);
        listing.read_to_string(&mut text).with_context(named)?;
        seen.extend(of_blocked(&text).with_context(named)?);
    }
    if args.live {
        seen.extend(live(args)?);
    }
    let mut is_whole = true;
    if !args.files.is_empty() {
        let (captured, whole) = captured(args, policy.clone())?;
        seen.extend(captured);
        is_whole = whole;
    }
    let machine = match (args.spot, args.own.as_slice()) {
        (Spot::Host, []) => Surroundings::default(),
        (_, own) => Surroundings::gateway(own),
    };
    let lesson = Lesson::new(&policy, &machine, seen)?;
    match args.output.output {
        OutputFormat::Json => output::print_json(&lesson)?,
        OutputFormat::Table => output::print(lesson.toml())?,
    }
    Ok(match is_whole {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    })
}

/// What captures have, and whether all files were read to their ends.
fn captured(args: &LearnArgs, policy: SitePolicy) -> Result<(Vec<Seen>, bool)> {
    let stage = Stage::new(Wish {
        policy,
        against: None,
        spot: args.spot,
        protected: args.protected.clone(),
        own: args.own.clone(),
        interfaces: Vec::new(),
        count: u64::MAX,
    })?;
    let mut bar = Bar::new(args.files.len());
    let replayed = stage.run(&args.files, None, &mut |progress| bar.show(progress));
    bar.end();
    let replayed = replayed?;
    let mut is_whole = true;
    for file in replayed.files() {
        if let Some(error) = &file.error {
            is_whole = false;
            let name = &file.name;
            let error = format!("{name} could not be read to its end: {error}");
            eprintln!("error: {}", crate::visible::visible(&error));
        }
    }
    let others = replayed.conversations().others();
    ensure!(
        others == 0,
        "there are too many conversations to tell them apart ({others} packets of further ones): this is a \
         flood, or learn from shorter captures"
    );
    Ok((of_capture(replayed.conversations()), is_whole))
}

/// What the kernel has noted.
fn live(args: &LearnArgs) -> Result<Vec<Seen>> {
    let maps = state::open(&args.pins.pins())?;
    let clock = Clock::read()?;
    let flows = match args.shadow {
        true => {
            maps.shadow()?.context(NO_SHADOW)?;
            maps.shadow_flows()?
        }
        false => maps.blocked()?,
    };
    Ok(of_flows(&flows, clock))
}
