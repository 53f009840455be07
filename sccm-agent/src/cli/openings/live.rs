//! What is open now, by the kernel's tables.

use super::called;
use crate::kernel::{HandedOut, OpeningTable, Outcomes, PinDir};
use crate::openings::{Way, as_text, labelled};
use crate::output::{self, OutputArgs, OutputFormat};
use crate::{state, units};
use anyhow::Result;
use sccm_common::rpc::Uuid;
use serde::Serialize;
use std::net::IpAddr;

/// What `openings -o json` prints.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(in crate::cli) struct Live {
    /// The ports that are open, in the order of client, server and port.
    openings: Vec<Open>,
    /// What became of the mappers' answers, and of the ports in them, since the maps were made. What
    /// never happened is left out.
    outcomes: Vec<Counted>,
}

/// A port that is open to one client.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct Open {
    /// The system that the port was handed to. To nobody else it is open.
    client: IpAddr,
    /// The system that handed it out, and that listens there.
    server: IpAddr,
    /// The TCP port.
    port: u16,
    /// UUID of the interface that listens there; of the other ways than `ept_map`, of the interface
    /// that answered.
    #[serde(serialize_with = "as_text")]
    #[cfg_attr(test, schemars(with = "String"))]
    interface: Uuid,
    /// What the client had asked.
    how: Way,
    /// Seconds since the port was handed out last.
    age_seconds: u64,
    /// Seconds since a connection used it; null if none has.
    used_seconds: Option<u64>,
    /// Seconds until it is closed, if nobody uses it.
    left_seconds: u64,
    /// Only the shadow's policy would open it.
    shadow: bool,
}

/// How often an answer, or a port in one, ended so.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct Counted {
    /// `ept_map`, `activation` or `resolve_oxid` for a port that was opened, else the reason why an
    /// answer opened nothing.
    outcome: &'static str,
    /// How often.
    count: u64,
}

impl From<HandedOut> for Open {
    fn from(one: HandedOut) -> Self {
        Self {
            client: one.client,
            server: one.server,
            port: one.port,
            interface: one.interface,
            how: one.how.into(),
            age_seconds: one.age,
            used_seconds: one.used,
            left_seconds: one.left,
            shadow: one.of_candidate,
        }
    }
}

pub(super) fn run(pins: &PinDir, output: &OutputArgs) -> Result<()> {
    // Says what to do where nothing is enforced.
    state::open(pins)?;
    let table = OpeningTable::open(pins)?;
    let (openings, outcomes) = (table.read()?, table.outcomes()?);
    match output.output {
        OutputFormat::Json => output::print_json(&Live {
            openings: openings.into_iter().map(Open::from).collect(),
            outcomes: counted(&outcomes),
        }),
        OutputFormat::Table => output::print(text(openings, &outcomes)),
    }
}

fn counted(outcomes: &Outcomes) -> Vec<Counted> {
    let all = labelled(outcomes)
        .into_iter()
        .filter(|(_, count)| *count > 0);
    all.map(|(outcome, count)| Counted { outcome, count })
        .collect()
}

fn text(openings: Vec<HandedOut>, outcomes: &Outcomes) -> String {
    let mut open = output::table([
        "Client",
        "Server",
        "Port",
        "Interface",
        "How",
        "Handed out",
        "Used",
        "Closes in",
    ]);
    let ago = |seconds| format!("{} ago", units::describe(seconds));
    let mut has_shadow = false;
    let mut parts = Vec::new();
    let none = openings.is_empty();
    for one in openings {
        has_shadow |= one.of_candidate;
        let mark = if one.of_candidate { " *" } else { "" };
        open.add_row([
            one.client.to_string(),
            one.server.to_string(),
            format!("{}{mark}", one.port),
            called(one.interface),
            Way::from(one.how).label().to_owned(),
            ago(one.age),
            one.used.map_or_else(|| "never".to_owned(), ago),
            units::describe(one.left),
        ]);
    }
    parts.push(match none {
        true => "No port is open because a mapper handed it out.".to_owned(),
        false => open.to_string(),
    });
    if has_shadow {
        parts.push("* only by the policy of the shadow".to_owned());
    }
    let mut refused = output::table(["Times", "Opened nothing"]);
    let mut any = false;
    for (outcome, count) in outcomes {
        if let (Err(why), 1..) = (outcome, count) {
            any = true;
            refused.add_row([
                count.to_string(),
                format!("{}: {}", why.label(), why.text()),
            ]);
        }
    }
    if any {
        parts.push(refused.to_string());
    }
    parts.join("\n\n")
}
