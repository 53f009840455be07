//! `sccm-agent openings`: which dynamic ports the RPC endpoint mapper handed to whom.

pub(super) mod live;

use super::PinArgs;
use crate::capture::read::Reader;
use crate::config;
use crate::openings::{Bounds, Learned, Learner, name_of};
use crate::output::{self, OutputArgs, OutputFormat};
use crate::policy::{SitePolicy, taken};
use crate::site::{PortRange, Site};
use anyhow::Result;
use clap::Args;
use sccm_common::rpc::Uuid;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};

/// The dynamic ranges of Windows: since Vista and Server 2008, and before.
const RANGES: [(u16, u16); 2] = [(49152, 65535), (1025, 5000)];

/// List the dynamic ports that RPC endpoint mappers handed out
///
/// Tells which ports are open now because of a policy with `rpc = "tracked"`, to whom, and what became
/// of the mappers' answers; with --read, what the answers in a capture hand out. Who was handed which
/// port of whom, and what opens nothing, with the reason.
#[derive(Debug, Clone, Args)]
#[command(after_help = EXAMPLES)]
pub struct OpeningsArgs {
    /// Capture file (pcap or pcapng, also packed by gzip or zstd); `-` is standard input
    #[arg(long, value_name = "FILE")]
    read: Option<PathBuf>,

    /// Policy file, for its dynamic range and for the ports that it knows as other services
    #[arg(long, value_name = "FILE", requires = "read")]
    config: Option<PathBuf>,

    /// Range of dynamic ports; repeatable. Without it and --config: 49152-65535 and 1025-5000
    #[arg(long, value_name = "LOW-HIGH", requires = "read")]
    range: Vec<PortRange>,

    #[command(flatten)]
    pins: PinArgs,

    #[command(flatten)]
    output: OutputArgs,
}

const EXAMPLES: &str = "\
Examples:
  sccm-agent openings
      which ports are open now to whom, and why others are not
  sccm-agent openings --read mapper.pcapng --config /etc/sccm-agent/policy.toml
      what the policy would open after the answers in a capture";

/// Prints what was learned.
///
/// # Errors
/// A file that cannot be read, or is no capture or no policy. Without a file: nothing is enforced, or
/// pins that cannot be read.
pub fn run(args: &OpeningsArgs) -> Result<()> {
    let Some(path) = args.read.as_deref() else {
        return live::run(&args.pins.pins(), &args.output);
    };
    let policy = args.config.as_deref().map(config::read).transpose()?;
    let policy = policy.map(|read| read.policy);
    let learned = learn(path, bounds(&args.range, policy.as_ref()))?;
    match args.output.output {
        OutputFormat::Json => output::print_json(&learned),
        OutputFormat::Table => output::print(text(&learned)),
    }
}

fn learn(path: &Path, bounds: Bounds) -> Result<Learned> {
    let mut learner = Learner::new(bounds);
    let mut reader = Reader::open(path)?;
    while let Some(frame) = reader.next_frame()? {
        learner.see(frame.number, frame.bytes);
    }
    if reader.ended_early() {
        eprintln!("the file ends within a packet: all before it was read");
    }
    Ok(learner.finish())
}

fn pair(range: RangeInclusive<u16>) -> (u16, u16) {
    range.into_inner()
}

/// Which ports may be opened: by the flags, by the policy, or by what is usual.
fn bounds(ranges: &[PortRange], policy: Option<&SitePolicy>) -> Bounds {
    let ranges = match (ranges, policy) {
        ([], None) => RANGES.to_vec(),
        ([], Some(policy)) => vec![pair(policy.site.rpc_range.into())],
        (ranges, _) => ranges.iter().map(|range| pair((*range).into())).collect(),
    };
    let known = match policy {
        Some(policy) => taken::of_policy(policy),
        None => taken::of_site(&Site::default()),
    };
    Bounds {
        ranges,
        known: known.into_iter().collect(),
    }
}

/// An interface, with its name if it has one.
fn called(interface: Uuid) -> String {
    match name_of(interface) {
        Some(name) => format!("{name} ({interface})"),
        None => interface.to_string(),
    }
}

fn text(learned: &Learned) -> String {
    let mut opened = output::table(["Frame", "Client", "Server", "Port", "Interface", "How"]);
    for opening in &learned.openings {
        let interface = called(opening.interface);
        opened.add_row([
            opening.frame.to_string(),
            opening.client.to_string(),
            opening.server.to_string(),
            opening.port.to_string(),
            interface,
            opening.how.label().to_owned(),
        ]);
    }
    let mut parts = match learned.openings.is_empty() {
        true => vec!["No mapper handed out a port.".to_owned()],
        false => vec![opened.to_string()],
    };
    if !learned.refused.is_empty() {
        let mut refused = output::table(["Frame", "Client", "Server", "Port", "Opens nothing"]);
        for one in &learned.refused {
            refused.add_row([
                one.frame.to_string(),
                one.client.to_string(),
                one.server.to_string(),
                one.port.map_or_else(String::new, |port| port.to_string()),
                format!("{}: {}", one.reason.label(), one.reason.text()),
            ]);
        }
        parts.push(refused.to_string());
    }
    if learned.left_out > 0 {
        parts.push(format!("{} more are not listed.", learned.left_out));
    }
    parts.join("\n\n")
}

#[cfg(test)]
mod tests;
