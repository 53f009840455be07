//! From a name that the operator gave to the cards through which its frames come.
//!
//! A program sees frames at cards only: a VLAN device, a bridge and a bond have no
//! native XDP, and what they carry arrives at what they stand on. An interface of
//! the name that was given always wins; only where there is none, `eth1.20` is read as
//! VLAN 20 of `eth1`, so that no VLAN device is needed.

use crate::catalog::nearest;
use crate::interface::{Interface, Kind};
use anyhow::{Result, bail, ensure};

/// How deep interfaces stand on each other at most (`MAX_NEST_DEV`,
/// include/linux/netdevice.h).
const DEEPEST: usize = 8;

/// VLAN ids that a tag may carry (IEEE 802.1Q, table 9-2).
const IDS: std::ops::RangeInclusive<u16> = 1..=4094;

/// One card, or one of its VLANs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spot<'a> {
    /// The card.
    pub card: &'a Interface,
    /// The VLAN; `None` for what has no tag, or one that nobody named.
    pub vlan: Option<u16>,
    /// What it is counted as.
    pub name: String,
    /// The bridge or bond that the card itself was found as a member of.
    pub group: Option<&'a Interface>,
    /// Named by the operator, not found as a member: if it goes, it is waited for.
    pub given: bool,
}

/// The interface that has, or for a VLAN carries, the name.
///
/// # Errors
/// There is none; the message names those that look alike.
pub fn device<'a>(name: &str, present: &'a [Interface]) -> Result<(&'a Interface, Option<u16>)> {
    let find = |name| present.iter().find(|interface| interface.name == name);
    if let Some(interface) = find(name) {
        return Ok((interface, None));
    }
    let parent_and_id = name.rsplit_once('.');
    if let Some((parent, id)) = parent_and_id.and_then(|(parent, id)| Some((find(parent)?, id))) {
        return match id.parse() {
            Ok(id) if IDS.contains(&id) => Ok((parent, Some(id))),
            _ => bail!(
                "`{name}` is no VLAN of {}: ids are {} to {}",
                parent.name,
                IDS.start(),
                IDS.end()
            ),
        };
    }
    let names: Vec<&str> = present.iter().map(|one| one.name.as_str()).collect();
    let hint = match nearest(name, names.iter().copied()).as_slice() {
        [] => String::new(),
        alike => format!("; did you mean {}?", alike.join(" or ")),
    };
    bail!(
        "there is no interface `{name}`{hint} (there are: {})",
        names.join(", ")
    )
}

/// The spots of a name; none of a bridge or bond without members.
///
/// # Errors
/// Nothing has the name, or a VLAN's card cannot be told.
pub fn resolve<'a>(name: &str, present: &'a [Interface]) -> Result<Vec<Spot<'a>>> {
    let (device, vlan) = device(name, present)?;
    let mut spots = Vec::new();
    let spot = Spot {
        card: device,
        vlan,
        name: name.to_owned(),
        group: None,
        given: true,
    };
    descend(spot, present, DEEPEST, &mut spots)?;
    Ok(spots)
}

/// `spot` stands on others until it is a card.
fn descend<'a>(
    spot: Spot<'a>,
    present: &'a [Interface],
    depth: usize,
    spots: &mut Vec<Spot<'a>>,
) -> Result<()> {
    let Some(depth) = depth.checked_sub(1) else {
        bail!("`{}` stands on too many interfaces", spot.name);
    };
    match spot.card.kind {
        Kind::OtherLink => bail!(
            "frames of {} have another link header than Ethernet's, and the programs read no other: \
             enforce the card that carries them, or filter there with nftables",
            spot.card.name
        ),
        Kind::Tunnel if spot.vlan.is_some() => bail!(
            "frames of {} have no Ethernet header, so it has no VLANs",
            spot.card.name
        ),
        Kind::Card | Kind::Veth { .. } | Kind::Tunnel => spots.push(spot),
        Kind::Vlan { parent, id } => {
            ensure!(
                spot.vlan.is_none(),
                "`{}` is a VLAN within VLAN {id}: name the outer one, {}",
                spot.name,
                spot.card.name
            );
            let Some(card) = present.iter().find(|card| Some(card.index) == parent) else {
                bail!(
                    "{} is a VLAN of an interface in another network namespace: run sccm-agent \
                     there",
                    spot.card.name
                );
            };
            let below = Spot {
                card,
                vlan: Some(id),
                group: None,
                ..spot
            };
            descend(below, present, depth, spots)?;
        }
        Kind::Group { .. } | Kind::Vrf => {
            let group = spot.card;
            let is_member = |card: &&Interface| card.controller == Some(group.index);
            for card in present.iter().filter(is_member) {
                let member = Spot {
                    card,
                    vlan: spot.vlan,
                    name: match spot.vlan {
                        Some(id) => format!("{}.{id}", card.name),
                        None => card.name.clone(),
                    },
                    group: Some(group),
                    given: false,
                };
                descend(member, present, depth, spots)?;
            }
        }
    }
    Ok(())
}
