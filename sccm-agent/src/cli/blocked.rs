//! `sccm-agent blocked`: who tried what, how often, why it was refused, and what would
//! let it pass. Reads the pins, and needs no agent.

mod suggest;

use super::PinArgs;
use crate::blocked::{Change, Explainer, Flow, Names, Party};
use crate::config;
use crate::kernel::Clock;
use crate::output::{self, OutputArgs, OutputFormat};
use crate::policies::NO_SHADOW;
use crate::policy;
use crate::state;
use crate::units;
use anyhow::{Context as _, Result};
use clap::{Args, ValueEnum};
use comfy_table::{ColumnConstraint, Width};
use ipnet::IpNet;
use sccm_common::Reason;
use sccm_common::blocked::BlockedFlow;
use serde::Serialize;
use std::cmp::Reverse;
use std::path::PathBuf;
use std::time::Duration;

/// Flows that are listed, unless told otherwise.
const LISTED: usize = 50;

/// The columns From, To and What: hardware addresses and SNAP ids are not broken in two.
const UNBROKEN: [usize; 3] = [2, 3, 4];

/// How long a hardware address is.
const LENGTH: u16 = 17;

/// List blocked flows, why they were blocked, and what would let them pass
#[derive(Debug, Clone, Args)]
pub struct BlockedArgs {
    /// List the flows that the candidate would pass or drop differently, and how
    #[arg(long)]
    shadow: bool,

    /// Sort order
    #[arg(long, value_enum, default_value_t)]
    sort: Sort,

    /// List only flows with a packet within this time, such as 30s, 10m, 2h or 1d
    #[arg(long, value_name = "TIME", value_parser = units::time)]
    since: Option<Duration>,

    /// List only flows from this address or prefix
    #[arg(long, value_name = "PREFIX", value_parser = policy::prefix)]
    source: Option<IpNet>,

    /// List only flows to this address or prefix
    #[arg(long, value_name = "PREFIX", value_parser = policy::prefix)]
    destination: Option<IpNet>,

    /// List only flows with this reason, such as not-allowed
    #[arg(long, value_name = "REASON", value_parser = reason)]
    reason: Option<Reason>,

    /// Policy file that is enforced, or with --shadow the candidate file: print its names of addresses,
    /// and what to write into it to let each flow pass
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,

    /// Print what would let the flows pass, as lines for the policy file, with the flows in comments
    #[arg(long, conflicts_with = "output")]
    suggest: bool,

    /// Maximum number of flows to list [default: 50; with --suggest, all]
    #[arg(long, value_name = "FLOWS")]
    limit: Option<usize>,

    #[command(flatten)]
    pins: PinArgs,

    #[command(flatten)]
    output: OutputArgs,
}

/// Sort order.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
enum Sort {
    /// Most packets first
    #[default]
    Packets,
    /// Most bytes first
    Bytes,
    /// Latest packet first
    Last,
    /// Newest flow first
    First,
}

/// What `blocked -o json` prints.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(super) struct Listing {
    /// Flows that match, also beyond the limit.
    matching: usize,
    /// Packets of flows that were not noted, since the maps were made, or since the shadow began.
    suppressed_packets: u64,
    /// Those that match, up to the limit.
    flows: Vec<Flow>,
}

/// Prints the flows.
///
/// # Errors
/// Nothing is enforced, there is no shadow to tell of, or pins that cannot be read.
pub fn run(args: &BlockedArgs) -> Result<()> {
    let maps = state::open(&args.pins.pins())?;
    let clock = Clock::read()?;
    let (info, mut found, unnoted) = match args.shadow {
        true => {
            let candidate = maps.shadow()?.context(NO_SHADOW)?;
            (candidate, maps.shadow_flows()?, maps.shadow_unnoted()?)
        }
        false => (maps.info()?, maps.blocked()?, maps.unnoted()?),
    };
    let policy = args.config.as_deref().map(config::load).transpose()?;
    let mut explainer = Explainer::of_file(&maps, &info, policy.clone())?;
    let names = Names::read(&maps, explainer.labels())?;
    found.retain(|flow| args.wants(flow, &names, clock));
    sort(&mut found, args.sort);
    let matching = found.len();
    let most = if args.suggest { usize::MAX } else { LISTED };
    found.truncate(args.limit.unwrap_or(most));
    let listing = Listing {
        matching,
        suppressed_packets: unnoted.iter().map(|unnoted| unnoted.suppressed).sum(),
        flows: found
            .iter()
            .map(|flow| match args.shadow {
                true => explainer.explain_change(flow, &names, clock),
                false => explainer.explain(flow, &names, clock),
            })
            .collect(),
    };
    if args.suggest {
        let policy = policy.unwrap_or_default();
        return output::print(suggest::text(&listing.flows, &policy, clock));
    }
    match args.output.output {
        OutputFormat::Json => output::print_json(&listing),
        OutputFormat::Table => output::print(text(&listing, clock, args.shadow)),
    }
}

pub(super) fn reason(text: &str) -> Result<Reason, String> {
    let known = Reason::drops().find(|reason| reason.label() == text);
    known.ok_or_else(|| {
        format!(
            "`{text}` is not a reason to block, such as not-allowed or outbound-not-allowed; \
             docs/reasons.md lists them all"
        )
    })
}

impl BlockedArgs {
    fn wants(&self, flow: &BlockedFlow, names: &Names, clock: Clock) -> bool {
        // What the candidate lets pass needs no suggestion.
        if self.shadow && self.suggest && Change::of(&flow.key) == Change::WouldPass {
            return false;
        }
        let refused = names.of(&flow.key);
        let covers = |prefix: &Option<IpNet>, party: Party| {
            prefix.is_none_or(|prefix| party.ip().is_some_and(|ip| prefix.contains(&ip)))
        };
        let in_time = |since: Duration| clock.age(flow.last) <= since.as_secs();
        covers(&self.source, refused.source)
            && covers(&self.destination, refused.destination)
            && self.since.is_none_or(in_time)
            && self
                .reason
                .is_none_or(|reason| reason as u8 == flow.key.reason)
    }
}

fn sort(flows: &mut [BlockedFlow], by: Sort) {
    flows.sort_by_key(|flow| {
        Reverse(match by {
            Sort::Packets => flow.packets,
            Sort::Bytes => flow.bytes,
            Sort::Last => u64::from(flow.last),
            Sort::First => u64::from(flow.first),
        })
    });
}

fn text(listing: &Listing, clock: Clock, shadow: bool) -> String {
    let (none, refused) = match shadow {
        true => (
            "no flows that the candidate judges otherwise",
            "judged otherwise",
        ),
        false => ("no blocked flows", "blocked"),
    };
    let mut text = match listing.flows.as_slice() {
        [] if listing.matching == 0 => none.to_owned(),
        flows => table(flows, clock, shadow),
    };
    let left_out = listing.matching - listing.flows.len();
    if left_out > 0 {
        text += &format!("\n{left_out} more: raise --limit, or filter");
    }
    if listing.suppressed_packets > 0 {
        text += &format!(
            "\n{} packets of further flows were {refused} and not noted: too many were new at once",
            listing.suppressed_packets
        );
    }
    text
}

fn table(flows: &[Flow], clock: Clock, shadow: bool) -> String {
    let mut table = output::table([
        "Packets",
        "Last",
        "From",
        "To",
        "What",
        if shadow { "Change" } else { "Why" },
        "Would allow",
    ]);
    for column in UNBROKEN {
        if let Some(column) = table.column_mut(column) {
            let whole = Width::Fixed(LENGTH + column.padding_width());
            column.set_constraint(ColumnConstraint::LowerBoundary(whole));
        }
    }
    for flow in flows {
        let refused = &flow.refused;
        let [source, destination] = refused.ends("\n");
        table.add_row([
            flow.packets.to_string(),
            format!("{} ago", units::describe(clock.since(flow.last_seen))),
            source,
            destination,
            refused.what(),
            format!(
                "{}{}{}, {} {}{}",
                match flow.change {
                    None => "",
                    Some(Change::WouldDrop) => "would drop: ",
                    Some(Change::WouldPass) => "would pass; now ",
                },
                refused.reason,
                if refused.observed { " (observed)" } else { "" },
                refused.interface,
                refused.direction,
                looks_like(&flow.techniques)
            ),
            would_allow(&flow.advice.lines()),
        ]);
    }
    output::lines(&table)
}

/// The techniques that have such a flow.
fn looks_like(techniques: &[&str]) -> String {
    match techniques {
        [] => String::new(),
        [first, second, third, _, ..] => {
            let more = techniques.len() - 3;
            format!("; as in {first}, {second}, {third} and {more} more")
        }
        few => format!("; as in {}", few.join(", ")),
    }
}

fn would_allow(lines: &[String]) -> String {
    match lines {
        [] => "-".to_owned(),
        lines => output::joined(lines),
    }
}
