//! The difference, for people.

use super::{Change, Difference};
use crate::output;

/// Addresses of a list that are shown.
const SHOWN: usize = 6;

impl Difference {
    /// As a table.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = match (self.opens, self.closes) {
            (false, false) => format!("{} lets pass what {} lets pass", self.to, self.from),
            (opens, closes) => {
                let opens = if opens { "opens" } else { "opens nothing" };
                let closes = if closes { "closes" } else { "closes nothing" };
                format!("From {} to {}: {opens}, {closes}", self.from, self.to)
            }
        };
        for setting in &self.settings {
            text += &format!("\nSetting {setting}");
        }
        if self.changes.is_empty() {
            return text;
        }
        let mut table = output::table(["Change", "Systems", "Peers", "What", "Because"]);
        for change in &self.changes {
            table.add_row([
                change.how(),
                change.systems_text(),
                change.peers_text(),
                format!("{}/{}", change.protocol, few(&change.ports)),
                because(change),
            ]);
        }
        text + &format!("\n\n{}", output::lines(&table))
    }
}

impl Change {
    fn how(&self) -> String {
        let how = format!("{} {}", self.change, self.direction);
        match (self.change, self.if_handed_out) {
            (_, false) => how,
            ("opens", true) => format!("{how} what the mapper hands out"),
            (_, true) => format!("{how} but for what the mapper hands out"),
        }
    }

    fn systems_text(&self) -> String {
        match self.entries.is_empty() {
            true => few(&self.systems),
            false => format!("{} ({})", self.entries.join(", "), few(&self.systems)),
        }
    }

    fn peers_text(&self) -> String {
        match self.roles.is_empty() {
            true => few(&self.peers),
            false => format!("{} ({})", self.roles.join(", "), few(&self.peers)),
        }
    }
}

fn because(change: &Change) -> String {
    let grounds = change.because.iter();
    let mut brief: Vec<String> = grounds
        .map(|ground| match ground.brief() {
            brief if brief.is_empty() => "nothing that goes out is judged".to_owned(),
            brief => brief,
        })
        .collect();
    brief.dedup();
    output::joined(&brief)
}

/// The first of a list, and how many more there are.
fn few(list: &[String]) -> String {
    let shown = list.iter().take(SHOWN).cloned().collect::<Vec<_>>();
    let more = list.len() - shown.len();
    match more {
        0 => shown.join(", "),
        more => format!("{} and {more} more", shown.join(", ")),
    }
}
