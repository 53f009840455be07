//! What each state means, and what to do about it: `docs/states.md` is written from this.

use super::State;
use sccm_tests::document::assert_current;
use std::fmt::Write as _;

const ALL: [State; 10] = [
    State::Enforcing,
    State::Generic,
    State::Observing,
    State::WarmingUp,
    State::Detached,
    State::ForeignProgram,
    State::EgressLost,
    State::EgressBehind,
    State::Missing,
    State::StalePin,
];

/// What is true of the interface, and what to do.
const fn explanation(state: State) -> (&'static str, &'static str) {
    match state {
        State::Enforcing => (
            "The agent's programs judge every packet: in the driver, or at TC (`mode`).",
            "Nothing.",
        ),
        State::Generic => (
            "The kernel's stack runs the XDP program, because `--hook xdp-generic` or `[hooks]` says so.",
            "`--hook auto` chooses the hook that suits the card.",
        ),
        State::Observing => (
            "Every packet is judged and counted, and passes (`--observe`).",
            "Once `blocked` shows only what may be dropped: start without `--observe` \
             ([go-live.md](go-live.md)).",
        ),
        State::WarmingUp => (
            "The same, for the time of `--warm-up` after a first start.",
            "Wait: when the time is over, packets are dropped.",
        ),
        State::Detached => (
            "It was enforced until the agent ended, or until `detach`.",
            "Start the agent.",
        ),
        State::ForeignProgram => (
            "Somebody else's XDP program is on the card in place of the agent's.",
            "Find its owner with `bpftool net`, and stop that; a running agent then attaches \
             again by itself.",
        ),
        State::EgressLost => (
            "Packets that come in are judged. The egress program is gone, so the answers to what \
             protected systems open are dropped.",
            "A running agent attaches the program again; its log says why it cannot.",
        ),
        State::EgressBehind => (
            "Another TC program runs before the agent's. Packets that it lets through are not judged; \
             those that leave get no answers.",
            "`status` names it. Stop its owner, or have the agent run after it with \
             `--behind-tc-programs` ([operation.md](operation.md)).",
        ),
        State::Missing => (
            "The agent is to enforce it, but it does not exist yet, or the agent cannot attach to it.",
            "Create it, or bring it up; the agent then attaches. The log says why it cannot.",
        ),
        State::StalePin => (
            "The card that the program was attached to is gone, or is another one by the same name.",
            "A running agent attaches to the new one; without one, start it.",
        ),
    }
}

/// The whole of `docs/states.md`.
fn document() -> String {
    let mut text = String::from(include_str!("reference.md"));
    text += "| state | dropped | meaning | what to do |\n|---|---|---|---|\n";
    for state in ALL {
        let (meaning, remedy) = explanation(state);
        let drops = if state.drops() { "yes" } else { "no" };
        let label = state.label();
        writeln!(text, "| `{label}` | {drops} | {meaning} | {remedy} |").unwrap();
    }
    text
}

#[test]
fn the_document_is_written_from_the_table() {
    assert_current("states.md", &document());
}
