//! The tables of interfaces and of rates.

use super::numbers::{bits, pace};
use super::{Palette, Scene};
use crate::state::State;
use crate::watch::view::{direction, service};
use crate::watch::{Flowing, Outcome};
use ratatui::Frame;
use ratatui::layout::{Alignment, Constraint, Rect};
use ratatui::style::Style;
use ratatui::text::{Line, Text};
use ratatui::widgets::{Cell, Row, Table};

/// Interfaces that every terminal has lines for.
const FEW: u16 = 4;

/// Lines that the interfaces take, with their title, on a terminal of `height` lines.
pub(crate) fn interface_lines(scene: &Scene<'_>, height: u16) -> u16 {
    let wanted = scene.now.interfaces.len() as u16;
    1 + wanted.min(FEW + height.saturating_sub(super::SMALLEST.1) / 4)
}

/// What is true of each interface.
pub(crate) fn interfaces(frame: &mut Frame<'_>, area: Rect, scene: &Scene<'_>) {
    let rows = scene.now.interfaces.iter().map(|interface| {
        let of = |outcome| {
            let key = (interface.interface.clone(), outcome);
            let flowing = scene.rates.interfaces.get(&key).copied();
            flowing.unwrap_or_default()
        };
        let mut refused = of(Outcome::Dropped);
        refused += of(Outcome::WouldDrop);
        let passed = of(Outcome::Passed);
        let mode = interface.mode.unwrap_or("-");
        Row::new([
            Cell::new(interface.interface.clone()),
            Cell::new(interface.state.label()).style(style(interface.state, scene.palette)),
            Cell::new(mode),
            rate(scene, refused),
            right(refused.total.packets.to_string()),
            rate(scene, passed),
            right(passed.total.packets.to_string()),
        ])
    });
    let titles = [
        left("Interface"),
        left("State"),
        left("Mode"),
        right("Refused/s"),
        right("Refused"),
        right("Passed/s"),
        right("Passed"),
    ];
    let widths = [
        Constraint::Length(16),
        Constraint::Length(15),
        Constraint::Length(7),
        Constraint::Length(9),
        Constraint::Fill(1),
        Constraint::Length(8),
        Constraint::Fill(1),
    ];
    list(frame, area, titles, rows, widths);
}

/// What happens, by reason and service.
pub(crate) fn series(frame: &mut Frame<'_>, area: Rect, scene: &Scene<'_>) {
    let series = scene.view.series(scene.rates);
    let rows = series.iter().map(|one| {
        let outcome = match one.outcome {
            Outcome::Dropped => scene.palette.bad(),
            Outcome::WouldDrop => scene.palette.unusual(),
            Outcome::Passed => scene.palette.good(),
        };
        Row::new([
            rate(scene, one.flowing),
            right(bits(scene.rates, one.flowing.pace)),
            right(one.flowing.total.packets.to_string()),
            Cell::new(one.outcome.label()).style(outcome),
            Cell::new(direction(one.direction)),
            Cell::new(format!("{} {}", one.reason.label(), service(one))),
        ])
    });
    let titles = [
        right("Per s"),
        right("bit/s"),
        right("Packets"),
        left("Outcome"),
        left("Way"),
        left("Reason and service"),
    ];
    let widths = [
        Constraint::Length(6),
        Constraint::Length(6),
        Constraint::Length(10),
        Constraint::Length(10),
        Constraint::Length(8),
        Constraint::Fill(1),
    ];
    list(frame, area, titles, rows, widths);
}

fn list<'r, const N: usize>(
    frame: &mut Frame<'_>,
    area: Rect,
    titles: [Cell<'r>; N],
    rows: impl ExactSizeIterator<Item = Row<'r>>,
    widths: [Constraint; N],
) {
    let space = usize::from(area.height.saturating_sub(1));
    let count = rows.len();
    // The last line says what has no place.
    let shown = if count > space {
        space.saturating_sub(1)
    } else {
        count
    };
    let title = Row::new(titles).style(Palette::title());
    frame.render_widget(Table::new(rows.take(shown), widths).header(title), area);
    if count > space && space > 0 {
        let last = Rect {
            y: area.bottom() - 1,
            height: 1,
            ..area
        };
        let text = format!("and {} more", count - shown);
        frame.render_widget(Line::from(text), last);
    }
}

fn style(state: State, palette: Palette) -> Style {
    match state {
        State::Enforcing => palette.good(),
        State::Observing | State::WarmingUp | State::Generic => palette.unusual(),
        State::Detached
        | State::ForeignProgram
        | State::EgressLost
        | State::EgressBehind
        | State::Missing
        | State::StalePin => palette.bad(),
    }
}

fn rate(scene: &Scene<'_>, flowing: Flowing) -> Cell<'static> {
    right(pace(scene.rates, flowing.pace.packets))
}

fn left(text: &'static str) -> Cell<'static> {
    Cell::new(text)
}

fn right(text: impl Into<Text<'static>>) -> Cell<'static> {
    Cell::new(text.into().alignment(Alignment::Right))
}
