//! Refuses VLANs where programs would not see their tags.
//!
//! Most cards can take a tag off and hand it over beside the frame (`rxvlan`). XDP, in
//! the driver or in the stack, then sees a frame without one. A veth has that switch
//! too, and it does nothing: what counts there is whether the *other end* leaves the tag
//! beside the frame (`txvlan`), as measured on Linux 6.18 in both modes.

use crate::interface::{Interface, Kind};
use crate::kernel::VlanOffload;
use crate::plan::Card;
use anyhow::{Context as _, Result, ensure};

/// Checks a card whose VLANs are told apart, and returns what remains in doubt.
///
/// # Errors
/// Tags are taken off, and how to leave them on.
pub fn check(card: &Card, present: &[Interface]) -> Result<Option<String>> {
    let found = |index| present.iter().find(|one| one.index == index);
    let offload = |name: &str| {
        VlanOffload::of(name).with_context(|| format!("reading whether {name} strips VLAN tags"))
    };
    let name = &card.name;
    match found(card.index).map(|interface| interface.kind) {
        Some(Kind::Veth { peer }) => match peer.and_then(found) {
            Some(peer) => seen_from_veth(name, &peer.name, offload(&peer.name)?).map(|()| None),
            None => Ok(Some(format!(
                "the other end of {name} is in another network namespace: tags that the kernel \
                 there puts on are seen here only after `ethtool -K PEER txvlan off` on it"
            ))),
        },
        _ => seen_on_card(name, offload(name)?).map(|()| None),
    }
}

fn seen_on_card(name: &str, offload: VlanOffload) -> Result<()> {
    ensure!(
        !offload.strips,
        "{name} strips VLAN tags before the programs see them: run `ethtool -K {name} rxvlan off` first"
    );
    Ok(())
}

fn seen_from_veth(name: &str, peer: &str, offload: VlanOffload) -> Result<()> {
    ensure!(
        !offload.inserts,
        "{peer} hands VLAN tags over beside the frame, where {name} does not see them: run \
         `ethtool -K {peer} txvlan off` first"
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOTH: [bool; 2] = [false, true];

    #[test]
    fn what_decides_is_another_switch_for_veth() {
        for (strips, inserts) in BOTH.into_iter().flat_map(|a| BOTH.map(|b| (a, b))) {
            let offload = VlanOffload { strips, inserts };
            let card = seen_on_card("eth0", offload);
            let veth = seen_from_veth("eth0", "eth1", offload);
            assert_eq!((card.is_err(), veth.is_err()), (strips, inserts));
            for (refused, remedy) in [
                (card, "`ethtool -K eth0 rxvlan off`"),
                (veth, "`ethtool -K eth1 txvlan off`"),
            ] {
                if let Err(error) = refused {
                    assert!(error.to_string().contains(remedy), "{error}");
                }
            }
        }
    }
}
