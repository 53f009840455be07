//! The flows that are blocked, two lines each: two IPv6 addresses fill one.

use super::numbers::pace;
use super::{Palette, Scene};
use crate::blocked::{Explainer, Flow};
use crate::units;
use crate::watch::FlowRate;
use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::Line;
use ratatui::widgets::Paragraph;

/// Columns before the addresses.
const MARGIN: usize = 27;

/// Columns before the second line: links have long names.
const INDENT: usize = 8;

/// Draws as many as there is room for.
pub(crate) fn draw(
    frame: &mut Frame<'_>,
    area: Rect,
    scene: &Scene<'_>,
    explainer: &mut Explainer,
) {
    let most = usize::from(area.height.saturating_sub(1) / 2);
    let names = &scene.now.names;
    let title = format!(
        "{:>6} {:>10} {:>8}  Blocked flow, why, and what would allow it",
        "Per s", "Packets", "Last"
    );
    let title = format!("{title:<width$}", width = usize::from(area.width));
    let mut lines = vec![Line::styled(title, Palette::title())];
    let rates = scene.view.flows(scene.rates, names, most);
    for rate in &rates {
        let flow = explainer.explain(&rate.flow, names, scene.now.clock);
        lines.extend(two_lines(scene, rate, &flow, usize::from(area.width)));
    }
    if rates.is_empty() {
        let text = match scene.view.filter.as_str() {
            "" => "no blocked flows",
            _ => "no blocked flows like that",
        };
        lines.push(Line::from(text));
    }
    frame.render_widget(Paragraph::new(lines), area);
}

fn two_lines(scene: &Scene<'_>, rate: &FlowRate, flow: &Flow, width: usize) -> [Line<'static>; 2] {
    let refused = &flow.refused;
    let last = units::describe(scene.now.clock.since(flow.last_seen));
    let figures = format!(
        "{:>6} {:>10} {last:>8}  ",
        pace(scene.rates, rate.flowing.pace.packets),
        flow.packets,
    );
    let [source, destination] = refused.ends(" ");
    let named = format!("{source} -> {destination} ");
    let bare = format!("{} -> {} ", refused.source, refused.destination);
    let what = refused.what();
    let observed = if refused.observed { " (observed)" } else { "" };
    let links = flow.advice.lines();
    let links = match links.as_slice() {
        [] => String::new(),
        [one] => format!("; {one}"),
        [one, others @ ..] => format!("; {one} (+{})", others.len()),
    };
    let why = format!("{}{observed} {}{links}", refused.reason, refused.interface);
    // Names where there is room for them.
    let fits = |addresses: &&String| MARGIN + addresses.chars().count() + what.len() <= width;
    match [&named, &bare].into_iter().find(fits) {
        Some(addresses) => [
            Line::from(figures + addresses.as_str() + &what),
            Line::from(format!("{:INDENT$}{why}", "")),
        ],
        // Long addresses take the figures' columns of the second line, too: the longest two
        // and an arrow are 80.
        None => [
            Line::from(format!("{figures}{what}, {why}")),
            Line::from(format!("{}->{}", refused.source, refused.destination)),
        ],
    }
}
