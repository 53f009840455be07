//! `sccm-agent watch`: what is passed and blocked just now, on a terminal.
//!
//! A [`Snapshot`] is all that the kernel says at one moment; two of them make [`Rates`]; the
//! [`view`] holds what the person at the keys wants to see of them, and [`draw`] puts it on
//! the terminal. Only the last two know that there is one, so that the figures are tested
//! without. Nothing is written to the kernel, and no agent is asked: this shows what is true
//! also when none runs.

mod draw;
#[cfg(test)]
mod fixture;
mod rates;
mod screen;
mod snapshot;
mod view;

pub use rates::{FlowRate, Flowing, Outcome, Pace, Rates, SeriesRate};
pub use screen::run;
pub use snapshot::{Series, Snapshot};
pub use view::{Sort, View};

#[cfg(test)]
mod tests;
