//! What is open now, as text or JSON.

use super::called;
use crate::kernel::PinDir;
use crate::openings::{Live, Open, Reader, Way};
use crate::output::{self, OutputArgs, OutputFormat};
use crate::{state, units};
use anyhow::Result;

pub(super) fn run(pins: &PinDir, output: &OutputArgs) -> Result<()> {
    // Says what to do where nothing is enforced.
    state::open(pins)?;
    let live = Live::read(pins)?;
    match output.output {
        OutputFormat::Json => output::print_json(&live),
        OutputFormat::Table => output::print(text(&live)),
    }
}

fn text(live: &Live) -> String {
    let mut parts = vec![match live.openings.as_slice() {
        [] => "No port is open because a mapper handed it out.".to_owned(),
        openings => table(openings),
    }];
    if live.openings.iter().any(|one| one.shadow) {
        parts.push("* only by the policy of the shadow".to_owned());
    }
    let mut refused = output::table(["Times", "Read by", "Opened nothing"]);
    for one in &live.outcomes {
        if let Some(why) = one.why {
            let text = format!("{}: {why}", one.outcome);
            refused.add_row([one.count.to_string(), one.by.label().to_owned(), text]);
        }
    }
    if refused.row_count() > 0 {
        parts.push(refused.to_string());
    }
    parts.join("\n\n")
}

fn table(openings: &[Open]) -> String {
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
    for one in openings {
        let mark = if one.shadow { " *" } else { "" };
        open.add_row([
            one.client.to_string(),
            one.server.to_string(),
            format!("{}{mark}", one.port),
            called(one.interface),
            how(one),
            ago(one.age_seconds),
            one.used_seconds.map_or_else(|| "never".to_owned(), ago),
            units::describe(one.left_seconds),
        ]);
    }
    open.to_string()
}

fn how(one: &Open) -> String {
    match one.by {
        _ if one.how == Way::Connected => "connected before".to_owned(),
        Reader::Kernel => one.how.label().to_owned(),
        Reader::Agent => format!("{}, by the agent", one.how.label()),
    }
}
