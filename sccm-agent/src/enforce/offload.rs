//! Refuses VLANs where programs would not see their tags.
//!
//! Most cards can take a tag off and hand it over beside the frame (`rxvlan`). XDP, in
//! the driver or in the stack, then sees a frame without one. A veth has that switch
//! too, and it does nothing: what counts there is whether the *other end* leaves the tag
//! beside the frame (`txvlan`), as measured on Linux 6.18 in both modes.

use super::plan::Card;
use crate::interface::{Interface, Kind};
use crate::kernel::VlanOffload;
use anyhow::{Context as _, Result, ensure};

/// Checks a card whose VLANs are told apart, and returns what remains in doubt.
///
/// # Errors
/// Tags are taken off, and how to leave them on.
pub fn check(card: &Card, present: &[Interface]) -> Result<Option<String>> {
    let found = |index| present.iter().find(|one| one.index == index);
    let offload = |name: &str| {
        VlanOffload::of(name).with_context(|| format!("asking whether {name} strips VLAN tags"))
    };
    let kind = found(card.index).map(|interface| interface.kind);
    if let Some(Kind::Veth { peer }) = kind {
        let Some(peer) = peer.and_then(found) else {
            return Ok(Some(format!(
                "the other end of {} is in another network namespace: tags that the kernel \
                 there puts on are seen here only after `ethtool -K PEER txvlan off` on it",
                card.name
            )));
        };
        ensure!(
            !offload(&peer.name)?.inserts,
            "{} hands VLAN tags over beside the frame, where {} does not see them: run \
             `ethtool -K {} txvlan off` first",
            peer.name,
            card.name,
            peer.name
        );
        return Ok(None);
    }
    ensure!(
        !offload(&card.name)?.strips,
        "{} takes VLAN tags off before they are seen: run `ethtool -K {} rxvlan off` first",
        card.name,
        card.name
    );
    Ok(None)
}
