//! What is enforced, as the kernel has it.

use super::Finding;
use crate::interface::Interface;
use crate::kernel::{Maps, PinDir};
use crate::state::{self, InterfaceState, State};
use anyhow::Result;

pub(super) fn examine(pins: &PinDir, present: &[Interface]) -> Vec<Finding> {
    match read(pins, present) {
        Ok(findings) => findings,
        Err(error) => vec![Finding::blocker("enforcement", format!("{error:#}"))],
    }
}

fn read(pins: &PinDir, present: &[Interface]) -> Result<Vec<Finding>> {
    let maps: Maps = state::open(pins)?;
    let states = state::interfaces(pins, &maps, present)?;
    let mut findings: Vec<Finding> = states.iter().map(interface).collect();
    findings.push(agent(pins.is_held()?));
    let others = state::not_enforced(&maps, present)?;
    findings.extend(others.iter().map(|name| forwards(name)));
    Ok(findings)
}

/// A gateway forwards by it, and nobody named it.
pub(super) fn forwards(name: &str) -> Finding {
    let text =
        "this gateway forwards by it, and what comes in there is not judged before it leaves";
    Finding::warning("forwarding", text)
        .on(name)
        .mend("name it as --uplink or --segment, or turn forwarding off for it")
}

fn agent(runs: bool) -> Finding {
    match runs {
        true => Finding::fine("agent", "runs"),
        false => Finding::warning(
            "agent",
            "none runs: what is attached goes on, and cards that come are not enforced",
        )
        .mend("systemctl start sccm-agent, or start `sccm-agent enforce` again"),
    }
}

pub(super) fn interface(found: &InterfaceState) -> Finding {
    let state = found.state;
    let finding = |new: fn(&'static str, String) -> Finding, text: &str| {
        new("enforcement", format!("{}: {text}", state.label()))
    };
    let finding = match state {
        State::Enforcing => finding(
            Finding::fine,
            match found.mode {
                Some("tc") => "at TC",
                _ => "in the driver",
            },
        ),
        State::Observing => finding(Finding::warning, "nothing is dropped")
            .mend("start the agent without --observe"),
        State::WarmingUp => finding(Finding::fine, "it drops when the warm-up is over"),
        State::Generic => finding(
            Finding::warning,
            "in the kernel's stack, which takes longer a packet",
        )
        .mend("restart the agent with --hook tc, then with --hook auto"),
        State::EgressBehind => finding(
            Finding::blocker,
            &format!(
                "{} sees packets at TC first, and may hide them",
                found.before.join(", ")
            ),
        )
        .mend("stop its owner, then restart the agent"),
        State::EgressLost => finding(
            Finding::blocker,
            "answers to what the protected systems open are dropped",
        )
        .mend("restart the agent"),
        State::ForeignProgram => finding(Finding::blocker, "somebody else's program is there")
            .mend(format!(
                "ip link set {} xdp off, then restart the agent",
                found.interface
            )),
        State::Missing => finding(Finding::warning, "the machine does not have it yet"),
        State::Detached | State::StalePin => {
            finding(Finding::blocker, "nothing of ours is there").mend("restart the agent")
        }
    };
    finding.on(&found.interface)
}
