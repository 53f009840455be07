//! Every interface in one word.

use super::State;
use serde::Serialize;

/// Whether what should be enforced is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Overall {
    /// Every interface drops what is refused, in the driver or in the stack.
    Enforcing,
    /// Some do, or lack a part.
    Partly,
    /// Everything is judged and counted, and nothing is dropped.
    Observing,
    /// The same, for a while after a first start; then everything is enforced.
    WarmingUp,
    /// Nothing is dropped.
    NotEnforcing,
}

impl Overall {
    /// Interfaces that have been let go say nothing, unless all have.
    pub fn of(states: impl IntoIterator<Item = State>) -> Self {
        let states = states.into_iter().filter(|state| *state != State::Detached);
        let states: Vec<State> = states.collect();
        let all = |is: fn(&State) -> bool| !states.is_empty() && states.iter().all(is);
        if all(|state| matches!(state, State::Enforcing | State::Generic)) {
            Self::Enforcing
        } else if all(|state| *state == State::Observing) {
            Self::Observing
        } else if all(|state| *state == State::WarmingUp) {
            Self::WarmingUp
        } else if states.iter().any(|state| state.drops()) {
            Self::Partly
        } else {
            Self::NotEnforcing
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use State::{
        Detached, EgressBehind, EgressLost, Enforcing, ForeignProgram, Generic, Missing, Observing,
        StalePin, WarmingUp,
    };

    #[test]
    fn one_interface_that_is_open_spoils_it() {
        for (states, overall) in [
            (&[Enforcing, Generic] as &[_], Overall::Enforcing),
            (&[Enforcing, Detached], Overall::Enforcing),
            (&[Enforcing, StalePin], Overall::Partly),
            (&[Enforcing, Missing], Overall::Partly),
            (&[Missing], Overall::NotEnforcing),
            (&[Enforcing, ForeignProgram], Overall::Partly),
            (&[EgressLost], Overall::Partly),
            (&[Enforcing, EgressBehind], Overall::Partly),
            (&[Observing, Observing], Overall::Observing),
            (&[Observing, StalePin], Overall::NotEnforcing),
            (&[WarmingUp, WarmingUp], Overall::WarmingUp),
            (&[WarmingUp, StalePin], Overall::NotEnforcing),
            (&[Detached], Overall::NotEnforcing),
            (&[], Overall::NotEnforcing),
        ] {
            assert_eq!(Overall::of(states.iter().copied()), overall, "{states:?}");
        }
    }
}
