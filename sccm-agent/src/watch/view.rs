//! What the person at the keys wants to see.

use super::{FlowRate, Flowing, Rates, SeriesRate};
use crate::blocked::Names;
use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use sccm_common::counter::Direction;
use std::cmp::Ordering;

/// The longest filter, so that it stays on its line.
const FILTER_LENGTH: usize = 50;

/// What comes first, in both lists.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Sort {
    /// The most packets in a second.
    #[default]
    Rate,
    /// The most packets so far.
    Packets,
    /// The most bytes so far.
    Bytes,
}

impl Sort {
    /// Its name on the screen.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Rate => "rate",
            Self::Packets => "packets",
            Self::Bytes => "bytes",
        }
    }

    const fn next(self) -> Self {
        match self {
            Self::Rate => Self::Packets,
            Self::Packets => Self::Bytes,
            Self::Bytes => Self::Rate,
        }
    }

    /// The most first. What is equally quick, or stands still, is in the order of its packets.
    fn compare(self, one: &Flowing, other: &Flowing) -> Ordering {
        let by_packets = other.total.packets.cmp(&one.total.packets);
        match self {
            Self::Rate => {
                let by_rate = other.pace.packets.total_cmp(&one.pace.packets);
                by_rate.then(by_packets)
            }
            Self::Packets => by_packets,
            Self::Bytes => other.total.bytes.cmp(&one.total.bytes),
        }
    }
}

/// What a key asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wish {
    /// To go on with the view as it is now.
    GoOn,
    /// To end.
    Quit,
}

/// What is shown, and how.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct View {
    /// What comes first.
    pub sort: Sort,
    /// Show only rows that contain these words; empty: all rows.
    pub filter: String,
    /// Keys go into the filter.
    pub typing: bool,
    /// The screen stands still.
    pub paused: bool,
}

impl View {
    /// Does what a key asks for.
    pub fn press(&mut self, key: KeyEvent) -> Wish {
        if key.modifiers.contains(KeyModifiers::CONTROL) {
            return match key.code {
                KeyCode::Char('c') => Wish::Quit,
                _ => Wish::GoOn,
            };
        }
        if self.typing {
            self.edit(key.code);
            return Wish::GoOn;
        }
        match key.code {
            KeyCode::Char('q') | KeyCode::Esc => return Wish::Quit,
            KeyCode::Char('s') => self.sort = self.sort.next(),
            KeyCode::Char('p' | ' ') => self.paused = !self.paused,
            KeyCode::Char('/' | 'f') => self.typing = true,
            _ => {}
        }
        Wish::GoOn
    }

    fn edit(&mut self, key: KeyCode) {
        match key {
            KeyCode::Enter => self.typing = false,
            KeyCode::Esc => {
                self.filter.clear();
                self.typing = false;
            }
            KeyCode::Backspace => {
                self.filter.pop();
            }
            KeyCode::Char(letter) if self.filter.len() < FILTER_LENGTH => {
                self.filter.push(letter);
            }
            _ => {}
        }
    }

    /// The series to show, in their order: what was not let through first.
    #[must_use]
    pub fn series<'r>(&self, rates: &'r Rates) -> Vec<&'r SeriesRate> {
        let wanted = |one: &&SeriesRate| self.admits(&series_text(one));
        let mut series: Vec<_> = rates.series.iter().filter(wanted).collect();
        series.sort_by(|one, other| {
            let by_outcome = one.outcome.cmp(&other.outcome);
            by_outcome.then_with(|| self.sort.compare(&one.flowing, &other.flowing))
        });
        series
    }

    /// The flows to show, in their order, and at most so many.
    #[must_use]
    pub fn flows<'r>(&self, rates: &'r Rates, names: &Names, most: usize) -> Vec<&'r FlowRate> {
        let mut flows: Vec<_> = rates.flows.iter().collect();
        flows.sort_by(|one, other| self.sort.compare(&one.flowing, &other.flowing));
        let flows = flows.into_iter();
        // Names only for those that may be shown: the table holds thousands.
        let wanted =
            |one: &&FlowRate| self.filter.is_empty() || self.admits(&flow_text(one, names));
        flows.filter(wanted).take(most).collect()
    }

    fn admits(&self, text: &str) -> bool {
        let text = text.to_lowercase();
        let mut words = self.filter.split_whitespace();
        words.all(|word| text.contains(&word.to_lowercase()))
    }
}

/// Which way, for people.
#[must_use]
pub(crate) const fn direction(direction: Direction) -> &'static str {
    match direction {
        Direction::Inbound => "inbound",
        Direction::Outbound => "outbound",
    }
}

/// What packets wanted, for people: nothing where the reason speaks of no service.
#[must_use]
pub(crate) fn service(series: &SeriesRate) -> String {
    series.service.as_ref().map_or_else(String::new, |name| {
        match (name.protocol.as_str(), name.service.as_str()) {
            ("", service) => service.to_owned(),
            (protocol, service) if protocol == service => protocol.to_owned(),
            (protocol, service) => format!("{protocol} {service}"),
        }
    })
}

fn series_text(series: &SeriesRate) -> String {
    format!(
        "{} {} {} {}",
        series.outcome.label(),
        direction(series.direction),
        series.reason.label(),
        service(series)
    )
}

fn flow_text(rate: &FlowRate, names: &Names) -> String {
    let refused = names.of(&rate.flow.key);
    let outcome = if refused.observed {
        "would drop"
    } else {
        "dropped"
    };
    let [source, destination] = refused.ends(" ");
    format!(
        "{outcome} {source} {destination} {} {} {} {}",
        refused.what(),
        refused.reason,
        refused.interface,
        refused.direction
    )
}
