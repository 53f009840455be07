//! What is not used, for people.

use super::{Idle, Unused, UnusedWord};
use crate::output;
use crate::units;

/// Ranges of ports that are shown.
const SHOWN: usize = 4;

impl Unused {
    /// As tables; `now` is in seconds since 1970.
    #[must_use]
    pub fn text(&self, now: u64) -> String {
        let within = units::describe(self.within);
        let mut text = match self.counted_since {
            None => format!("policy {} gives no right that is counted", self.brief()),
            Some(since) => format!(
                "policy {}: {} of {} rights were not used within {within}; the first are counted for {}",
                self.brief(),
                self.unused.len(),
                self.rights,
                units::describe(now.saturating_sub(since))
            ),
        };
        if self.uncounted > 0 {
            text += &format!(
                "\n{} rights are not counted: the policy tells apart more than there is room for",
                self.uncounted
            );
        }
        if !self.unused.is_empty() {
            let titles = [
                "Way",
                "Systems",
                "Peers",
                "What",
                "Last used",
                "Counted for",
            ];
            let mut table = output::table(titles);
            for right in &self.unused {
                let [last, counted] = right.idle.columns(now);
                table.add_row([
                    right.direction.to_owned(),
                    right.systems.clone(),
                    right.peers.clone(),
                    format!(
                        "{} ({} {})",
                        right.service,
                        right.protocol,
                        few(&right.ports)
                    ),
                    last,
                    counted,
                ]);
            }
            text += &format!("\n\n{}", output::lines(&table));
        }
        for (title, words) in [("Rule", &self.rules), ("Prefix", &self.prefixes)] {
            let Some(words) = words.as_ref().filter(|words| !words.is_empty()) else {
                continue;
            };
            text += &format!("\n\n{}", listed(title, words, now));
        }
        if self.rules.is_none() {
            text += "\n\nThe kernel keeps no rules: name the policy file with --config to have them judged";
        }
        let idle = self.unused.iter().map(|right| &right.idle);
        if idle.clone().count() > 0 && !idle.clone().all(|idle| idle.counted_throughout) {
            text += &format!("\n\n* not counted for all of {within}: it may have been used before");
        }
        text
    }

    fn brief(&self) -> &str {
        &self.hash[..12]
    }
}

impl Idle {
    fn columns(&self, now: u64) -> [String; 2] {
        let ago = |at: u64| units::describe(now.saturating_sub(at));
        let last = self.last_used;
        [
            last.map_or_else(|| "never".to_owned(), |last| format!("{} ago", ago(last))),
            format!(
                "{}{}",
                ago(self.counted_since),
                if self.counted_throughout { "" } else { " *" }
            ),
        ]
    }
}

fn listed(title: &str, words: &[UnusedWord], now: u64) -> String {
    let mut table = output::table([title, "In", "Last used", "Counted for"]);
    for word in words {
        let [last, counted] = word.idle.columns(now);
        table.add_row([word.name.clone(), word.stands_in.clone(), last, counted]);
    }
    output::lines(&table)
}

fn few(ports: &[String]) -> String {
    match ports.len() > SHOWN {
        true => format!(
            "{} and {} more",
            ports[..SHOWN].join(", "),
            ports.len() - SHOWN
        ),
        false => ports.join(", "),
    }
}
