//! The lines above and below the lists.

use super::numbers::{bits, pace};
use super::{Palette, Scene};
use crate::policy::{hash_text, roles_text};
use crate::units;
use crate::watch::Outcome;
use ratatui::text::{Line, Span};
use sccm_common::abi::PolicyInfo;
use sccm_common::policy::flag;

/// What is enforced, by whom, and how much of everything there was.
pub(crate) fn lines(scene: &Scene<'_>) -> Vec<Line<'static>> {
    let (now, palette) = (scene.now, scene.palette);
    let mut lines = vec![
        policy(scene),
        labelled("Roles", roles_text(&now.policy).replace(',', ", ").into()),
        labelled(
            "Agent",
            match now.agent_runs {
                true => "running".into(),
                false => Span::styled(
                    "none is running: the kernel goes on with this policy by itself",
                    palette.unusual(),
                ),
            },
        ),
    ];
    lines.extend(trial(scene));
    lines.extend(now.shadow.as_ref().map(|shadow| {
        let text = format!(
            "{} judges beside it, since {}",
            short_hash(shadow),
            units::describe(now.clock.since(shadow.published))
        );
        labelled("Shadow", text.into())
    }));
    lines.extend(handed_out(scene));
    lines.extend(
        scene
            .problem
            .map(|problem| labelled("Stale", Span::styled(problem.to_owned(), palette.bad()))),
    );
    lines.push(totals(scene));
    lines
}

/// The keys, or the filter while it is typed.
pub(crate) fn keys(scene: &Scene<'_>) -> Line<'static> {
    let view = scene.view;
    if view.typing {
        return Line::from(format!(
            "Filter: {}_  Enter keeps it, Esc clears it",
            view.filter
        ));
    }
    let mut text = format!(
        "q quit  s sort: {}  / filter{}  p {}",
        view.sort.label(),
        match view.filter.as_str() {
            "" => String::new(),
            filter => format!(": {filter}"),
        },
        if view.paused { "go on" } else { "pause" },
    );
    if scene.now.suppressed > 0 {
        text += &format!("  ({} packets of unlisted flows)", scene.now.suppressed);
    }
    Line::from(text)
}

fn labelled(label: &'static str, text: Span<'static>) -> Line<'static> {
    Line::from(vec![Span::raw(format!("{label:<8}")), text])
}

fn short_hash(policy: &PolicyInfo) -> String {
    hash_text(&policy.hash)[..12].to_owned()
}

fn policy(scene: &Scene<'_>) -> Line<'static> {
    let (now, palette) = (scene.now, scene.palette);
    let policy = &now.policy;
    let mut line = labelled(
        "Policy",
        match policy.flags & flag::OBSERVE {
            0 => Span::styled("enforcing", palette.good()),
            _ => Span::styled("observing", palette.unusual()),
        },
    );
    line.push_span(format!(
        " {}, generation {}, published {} ago",
        short_hash(policy),
        policy.generation,
        units::describe(now.clock.since(policy.published))
    ));
    if scene.view.paused {
        line.push_span("  ");
        line.push_span(Span::styled("PAUSED", Palette::title()));
    }
    line
}

fn trial(scene: &Scene<'_>) -> Option<Line<'static>> {
    let (now, end) = (scene.now, scene.now.policy.confirm_by);
    if end == 0 {
        return None;
    }
    let wall = now.clock.wall();
    let text = match end.checked_sub(wall) {
        Some(left) => format!(
            "ends in {}, unless `sccm-agent confirm` comes before",
            units::describe(left)
        ),
        None => format!(
            "ended {} ago; an agent that runs takes the policy back",
            units::describe(wall - end)
        ),
    };
    Some(labelled(
        "Trial",
        Span::styled(text, scene.palette.unusual()),
    ))
}

/// What the endpoint mapper has handed out, once it has said anything.
fn handed_out(scene: &Scene<'_>) -> Option<Line<'static>> {
    let live = &scene.now.handed_out;
    let (opened, refused) = live.totals();
    let text = format!(
        "{} ports open now; {opened} handed out, {refused} times nothing was opened",
        live.openings.len()
    );
    (!live.is_empty()).then(|| labelled("RPC", text.into()))
}

fn totals(scene: &Scene<'_>) -> Line<'static> {
    let mut spans = vec![Span::raw(format!("{:<8}", "Total"))];
    for outcome in Outcome::ALL {
        let flowing = scene.rates.totals.get(&outcome).copied();
        let flowing = flowing.unwrap_or_default();
        // Observe mode is rare: what it would do has no place where it does nothing.
        if outcome == Outcome::WouldDrop && flowing.total.packets == 0 {
            continue;
        }
        if spans.len() > 1 {
            spans.push("; ".into());
        }
        spans.push(Span::raw(format!(
            "{} {} ({}/s, {}bit/s)",
            outcome.label(),
            flowing.total.packets,
            pace(scene.rates, flowing.pace.packets),
            bits(scene.rates, flowing.pace),
        )));
    }
    Line::from(spans)
}
