//! `sccm-agent flows`: what protected systems have opened, and copying what is under way to another
//! gateway.

use super::PinArgs;
use crate::files::{self, Readers, Unread};
use crate::flows::{Listing, Loaded, Taken};
use crate::kernel::{FlowTable, OpeningTable};
use crate::output::{self, OutputArgs, OutputFormat};
use crate::{state, units};
use anyhow::{Context as _, Result, anyhow, ensure};
use clap::Args;
use std::io::{self, Read as _};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

/// Bytes of a list that are read; a flow takes some 250.
const MOST: u64 = 256 << 20;

/// List the flows that protected systems have opened, or copy them from another gateway
///
/// Answers come in by these flows. With --load, takes over the list that the other gateway of a pair
/// has printed with `-o json` (docs/pair.md), also the ports that RPC endpoint mappers have handed out
/// (`openings` lists those): as far as the policy that is active here lets them through, and where
/// this gateway has not heard of them later. A list is taken over for a minute.
#[derive(Debug, Clone, Args)]
#[command(after_help = EXAMPLES)]
pub struct FlowsArgs {
    /// List of another gateway that is to be taken over; `-` is standard input
    #[arg(long, value_name = "FILE")]
    load: Option<PathBuf>,

    #[command(flatten)]
    pins: PinArgs,

    #[command(flatten)]
    output: OutputArgs,
}

const EXAMPLES: &str = "\
Examples:
  sccm-agent flows
      who has opened what, and when it was last heard of
  ssh first sccm-agent flows -o json | sccm-agent flows --load -
      take over what is under way through the other gateway";

/// Prints the flows, or takes over those of a list.
///
/// # Errors
/// Nothing is enforced, or pins that cannot be read. A file that cannot be read, is no list, or an old
/// one: then nothing was changed.
pub fn run(args: &FlowsArgs) -> Result<()> {
    let pins = args.pins.pins();
    // Says what to do where nothing is enforced.
    let maps = state::open(&pins)?;
    let table = FlowTable::open(&pins)?;
    let Some(path) = args.load.as_deref() else {
        let listing = Listing::read(&table, &OpeningTable::open(&pins)?)?;
        return match args.output.output {
            OutputFormat::Json => output::print_json(&listing),
            OutputFormat::Table => output::print(text(&listing)),
        };
    };
    let listing = read(path)?;
    let loaded = listing.load(&table, &pins, &maps.tables()?)?;
    match args.output.output {
        OutputFormat::Json => output::print_json(&loaded),
        OutputFormat::Table => output::print(summary(&loaded)),
    }
}

fn read(path: &Path) -> Result<Listing> {
    let bytes = match path.as_os_str() == "-" {
        true => {
            let mut bytes = Vec::new();
            let stdin = io::stdin().lock();
            let read = stdin.take(MOST + 1).read_to_end(&mut bytes);
            read.context("standard input cannot be read")?;
            ensure!(bytes.len() as u64 <= MOST, "the list is too long");
            bytes
        }
        false => files::read(path, MOST, Readers::Anybody).map_err(|unread| match unread {
            Unread::TooLarge => anyhow!("{}: the list is too long", path.display()),
            Unread::Because(why) => anyhow!("{} {why}", path.display()),
        })?,
    };
    serde_json::from_slice(&bytes)
        .with_context(|| format!("{} is no list of flows (`flows -o json`)", name(path)))
}

fn name(path: &Path) -> String {
    match path.as_os_str() == "-" {
        true => "standard input".to_owned(),
        false => path.display().to_string(),
    }
}

fn text(listing: &Listing) -> String {
    if listing.flows.is_empty() {
        return "No protected system has opened anything that is still under way.".to_owned();
    }
    let mut table = output::list(["Protocol", "Protected", "Peer", "Phase", "Last heard of"]);
    for flow in &listing.flows {
        let end = |address, port| match port {
            0 => format!("{address}"),
            port => SocketAddr::new(address, port).to_string(),
        };
        table.add_row([
            flow.protocol.clone(),
            end(flow.local, flow.local_port),
            end(flow.peer, flow.peer_port),
            flow.phase.clone(),
            format!("{} ago", units::describe(flow.idle_seconds.into())),
        ]);
    }
    output::lines(&table)
}

fn summary(loaded: &Loaded) -> String {
    let mut lines = took(
        "Flows",
        &loaded.flows,
        [
            "refused, because the policy here does not let a protected system open them",
            "without room (see --flow-capacity)",
        ],
    );
    if loaded.handed_out != Taken::default() {
        lines.extend(took(
            "Ports that were handed out",
            &loaded.handed_out,
            [
                "refused, because the policy here does not open them by what a mapper says",
                "without room: only so many ports of a server are open to one client (docs/rpc.md)",
            ],
        ));
    }
    lines.join("\n")
}

fn took(what: &str, taken: &Taken, [refused, no_room]: [&str; 2]) -> Vec<String> {
    let merged = &taken.merged;
    let mut lines = vec![format!(
        "{what}: {} added, {} updated, {} known here as well.",
        merged.added, merged.updated, merged.known
    )];
    for (count, became) in [
        (merged.expired, "expired"),
        (taken.refused, refused),
        (merged.no_room, no_room),
    ] {
        if count > 0 {
            lines.push(format!("{count} {became}."));
        }
    }
    lines
}
