//! The life of the view: a terminal that is left as it was found, whatever ends it.

use super::draw::{Palette, Scene, draw};
use super::view::Wish;
use super::{Rates, Snapshot, View};
use crate::blocked::Explainer;
use crate::interface::Netlink;
use crate::kernel::PinDir;
use anyhow::{Context as _, Result};
use crossterm::event::{Event, EventStream};
use futures_util::StreamExt as _;
use ratatui::DefaultTerminal;
use std::sync::Arc;
use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::{MissedTickBehavior, interval};

/// Shows what happens, anew every `period`, until somebody ends it.
///
/// # Errors
/// Nothing is enforced, or a terminal that cannot be used.
pub async fn run(pins: &PinDir, explainer: Explainer, period: Duration) -> Result<()> {
    let netlink = Netlink::connect()?;
    let labels = explainer.labels();
    let read = async || Snapshot::read(pins, &netlink, Arc::clone(&labels)).await;
    let shown = Shown::first(read().await?, explainer);
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut hangup = signal(SignalKind::hangup())?;
    // From here on a panic restores the terminal, too, before it says what happened.
    let terminal = ratatui::try_init().context("setting up the terminal");
    let ended = match terminal {
        Ok(terminal) => {
            let view = follow(terminal, shown, period, read);
            tokio::select! {
                ended = view => ended,
                _ = terminate.recv() => Ok(()),
                _ = interrupt.recv() => Ok(()),
                _ = hangup.recv() => Ok(()),
            }
        }
        Err(error) => Err(error),
    };
    // Nobody is left to be told after a hangup.
    let restored = ratatui::try_restore();
    ended?;
    restored.context("restoring the terminal")
}

/// What is on the screen.
struct Shown {
    now: Snapshot,
    rates: Rates,
    explainer: Explainer,
    problem: Option<String>,
}

impl Shown {
    fn first(now: Snapshot, explainer: Explainer) -> Self {
        Self {
            rates: Rates::between(None, &now),
            explainer,
            problem: None,
            now,
        }
    }

    fn next(&mut self, next: Snapshot) {
        self.rates = Rates::between(Some(&self.now), &next);
        self.explainer.set_policy(&next.policy);
        self.problem = None;
        self.now = next;
    }
}

async fn follow(
    mut terminal: DefaultTerminal,
    mut shown: Shown,
    period: Duration,
    read: impl AsyncFn() -> Result<Snapshot>,
) -> Result<()> {
    let (mut view, palette) = (View::default(), Palette::of_environment());
    let mut events = EventStream::new();
    let mut clock = interval(period);
    clock.set_missed_tick_behavior(MissedTickBehavior::Delay);
    clock.reset();
    loop {
        let Shown {
            now,
            rates,
            explainer,
            problem,
        } = &mut shown;
        let scene = Scene {
            now,
            rates,
            view: &view,
            problem: problem.as_deref(),
            palette,
        };
        terminal
            .draw(|frame| draw(frame, &scene, explainer))
            .context("writing to the terminal")?;
        tokio::select! {
            event = events.next() => match event {
                // The terminal has gone.
                None => return Ok(()),
                Some(Err(error)) => return Err(error).context("reading the keyboard"),
                Some(Ok(Event::Key(key))) if key.is_press() => {
                    if view.press(key) == Wish::Quit {
                        return Ok(());
                    }
                }
                // Another size is drawn like anything else.
                Some(Ok(_)) => {}
            },
            _ = clock.tick(), if !view.paused => match read().await {
                Ok(next) => shown.next(next),
                Err(error) => shown.problem = Some(format!("{error:#}")),
            },
        }
    }
}
