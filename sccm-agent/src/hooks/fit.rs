//! What speaks against a hook at a card, before anything is attached there.

use super::{How, choose, offload, our_programs};
use crate::interface::Interface;
use crate::kernel::{Ingress, PinDir, describe_program};
use crate::plan::Card;
use crate::policy::HookChoice;
use anyhow::{Result, bail, ensure};

/// Checks whether the hook that is asked for a card suits its frames, and tells what remains in doubt.
///
/// # Errors
/// They have no Ethernet header, or their VLAN tags are taken off before XDP.
pub fn check_frames(how: &How, card: &Card, present: &[Interface]) -> Result<Option<String>> {
    if choose(how, card).ingress == Ingress::Tc {
        return Ok(None);
    }
    ensure!(
        card.ethernet,
        "frames of {} have no Ethernet header, which XDP programs need: give --hook tc, or auto, \
         or write so in [hooks] of the policy",
        card.name
    );
    match card.is_trunk() {
        true => offload::check(card, present),
        false => Ok(None),
    }
}

/// Refuses cards on which the programs cannot be, or not so.
///
/// # Errors
/// See [`check_frames`]; a foreign program on one, or ours in another XDP mode.
pub fn check<'a>(
    pins: &PinDir,
    how: &How,
    cards: impl IntoIterator<Item = &'a Card>,
    present: &[Interface],
) -> Result<()> {
    let ours = our_programs(pins)?;
    for card in cards {
        if let Some(doubt) = check_frames(how, card, present)? {
            tracing::warn!("{doubt}");
        }
        let Some(one) = present.iter().find(|one| one.index == card.index) else {
            continue;
        };
        let Some(program) = one.xdp else { continue };
        let name = &one.name;
        ensure!(
            ours.contains(&program.id),
            "{name} already has an XDP {}: sccm-agent replaces nothing that is not its own; \
             stop its owner, or remove it with `ip link set {name} xdp off`",
            describe_program(program.id),
        );
        refuse_another_mode(how.of(&card.name), program.generic, name)?;
    }
    Ok(())
}

/// The kernel has no two XDP modes on one card at a time, so one cannot follow the other without a
/// moment without any.
fn refuse_another_mode(asked: HookChoice, generic: bool, name: &str) -> Result<()> {
    let (is, wanted) = match (asked, generic) {
        (HookChoice::Xdp, true) => (Ingress::Generic, Ingress::Native),
        (HookChoice::XdpGeneric, false) => (Ingress::Native, Ingress::Generic),
        _ => return Ok(()),
    };
    bail!(
        "{name} is enforced at {}, which cannot become {} without a moment with neither: give \
         --hook tc once, and then --hook {}, or write so in [hooks] of the policy",
        is.flag(),
        wanted.flag(),
        wanted.flag()
    )
}
