//! Puts figures on the terminal.
//!
//! From top to bottom: the policy and who enforces it, the interfaces, the rates, the blocked
//! flows, the keys. Where lines are few, the lists share them and say how much they leave
//! out. Everything is told by words and places; colours only repeat it.

mod flows;
mod head;
mod lists;
mod numbers;

use super::{Rates, Snapshot, View};
use crate::blocked::Explainer;
use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::Line;
use ratatui::widgets::Paragraph;

/// The smallest terminal, in columns and lines.
const SMALLEST: (u16, u16) = (80, 24);

/// Which of the sixteen colours mean what; or none of them.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Palette {
    colours: bool,
}

impl Palette {
    /// Without colours if `NO_COLOR` is set (no-color.org).
    pub(crate) fn of_environment() -> Self {
        let unwanted = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        Self { colours: !unwanted }
    }

    fn colour(self, colour: Color) -> Style {
        match self.colours {
            true => Style::new().fg(colour),
            false => Style::new(),
        }
    }

    fn good(self) -> Style {
        self.colour(Color::Green)
    }

    fn bad(self) -> Style {
        self.colour(Color::Red).add_modifier(Modifier::BOLD)
    }

    fn unusual(self) -> Style {
        self.colour(Color::Yellow)
    }

    fn title() -> Style {
        Style::new().add_modifier(Modifier::REVERSED)
    }
}

/// What there is to draw.
pub(crate) struct Scene<'s> {
    /// The last snapshot that is shown.
    pub now: &'s Snapshot,
    /// What happened until then.
    pub rates: &'s Rates,
    /// What the person wants to see of it.
    pub view: &'s View,
    /// Why there is no newer snapshot.
    pub problem: Option<&'s str>,
    /// The colours.
    pub palette: Palette,
}

/// Draws all of it.
pub(crate) fn draw(frame: &mut Frame<'_>, scene: &Scene<'_>, explainer: &mut Explainer) {
    let area = frame.area();
    if area.width < SMALLEST.0 || area.height < SMALLEST.1 {
        return too_small(frame, area);
    }
    let head = head::lines(scene);
    let cards = lists::interface_lines(scene, area.height);
    let [top, middle, rates, flows, keys] = Layout::vertical([
        Constraint::Length(head.len() as u16),
        Constraint::Length(cards),
        Constraint::Fill(2),
        Constraint::Fill(3),
        Constraint::Length(1),
    ])
    .areas(area);
    frame.render_widget(Paragraph::new(head), top);
    lists::interfaces(frame, middle, scene);
    lists::series(frame, rates, scene);
    flows::draw(frame, flows, scene, explainer);
    frame.render_widget(Paragraph::new(head::keys(scene)), keys);
}

fn too_small(frame: &mut Frame<'_>, area: Rect) {
    let (width, height) = SMALLEST;
    let lines = [
        format!("{width}x{height} needed"),
        format!("this is {}x{}", area.width, area.height),
        "q quits".to_owned(),
    ];
    frame.render_widget(Paragraph::new(lines.map(Line::from).to_vec()), area);
}

#[cfg(test)]
mod tests;
