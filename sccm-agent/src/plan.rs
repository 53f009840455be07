//! Which cards get a hook, and what each of their VLANs stands for.
//!
//! Worked out from the operator's names and the kernel's list of interfaces alone, so
//! that it is the same when an agent starts and whenever the machine changes, and can
//! be tested for interfaces that the testing machine cannot make.

mod named;
mod resolve;
mod sides;
mod third;

#[cfg(test)]
mod tests;

use crate::interface::{Interface, Kind};
use anyhow::{Result, bail, ensure};
use sccm_common::Place;
use sccm_common::counter::MAX_INTERFACES;
use std::collections::{BTreeMap, BTreeSet};

pub use named::{NamedInterface, check, is_gateway, missing, those_that_exist};
pub use resolve::{Spot, device, resolve};
pub use sides::{far_broadcasts, is_bridge, routed, segment, uplinks};
pub use third::not_enforced;

/// A card, which gets one hook whatever it carries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Card {
    /// Its name.
    pub name: String,
    /// Its number.
    pub index: u32,
    /// What of it is judged; at least one.
    pub lanes: Vec<Lane>,
    /// The operator named it, or one of its VLANs: if it goes, it is waited for.
    pub given: bool,
    /// Its frames have an Ethernet header; those of a tunnel have none.
    pub ethernet: bool,
}

/// What has no tag, or one VLAN.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lane {
    /// What it is counted as.
    pub name: String,
    /// Where it is in the network.
    pub place: Place,
    /// The VLAN's id; `None` for what has no tag, or one that nobody named.
    pub vlan: Option<u16>,
}

impl Card {
    /// Whether VLAN ids decide.
    #[must_use]
    pub fn is_trunk(&self) -> bool {
        self.lanes.iter().any(|lane| lane.vlan.is_some())
    }
}

/// An interface whose frames are all judged when they arrive, once its cards have their programs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entrance {
    /// The place of its cards, if it is one.
    pub place: Option<Place>,
    /// The cards through which they arrive, by their numbers.
    pub cards: BTreeSet<u32>,
}

/// Everything that is judged.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Plan {
    /// In the order in which they were named.
    pub cards: Vec<Card>,
    /// Interfaces whose frames are all judged when they arrive, by their numbers.
    pub entrances: BTreeMap<u32, Entrance>,
    /// Interfaces some of whose frames are: what is reached over one of them may be cut.
    pub reach: BTreeSet<u32>,
    /// Names that the operator gave, and that stand for no card yet.
    pub awaited: Vec<String>,
    /// The machine translates addresses, so what it forwards is remembered where it goes out, too.
    pub translates: bool,
}

/// The plan for these interfaces, which [`resolve`] all.
///
/// # Errors
/// One that does not; two that mean the same frames; more than there are slots.
pub fn of(named: &[NamedInterface], present: &[Interface]) -> Result<Plan> {
    let mut taken: Vec<(&NamedInterface, Spot)> = Vec::new();
    for one in named {
        for spot in resolve(&one.name, present)? {
            for (other, before) in &taken {
                refuse_both((other, before), (one, &spot))?;
            }
            taken.push((one, spot));
        }
    }
    let cards = cards(&taken);
    let (entrances, reach) = judged(named, &cards, present);
    let slots: usize = cards.iter().map(slots).sum();
    ensure!(
        slots <= MAX_INTERFACES as usize,
        "{slots} interfaces are given, with the cards of VLANs and the members of bridges; \
         one agent enforces at most {MAX_INTERFACES}"
    );
    Ok(Plan {
        cards,
        entrances,
        reach,
        awaited: Vec::new(),
        translates: false,
    })
}

/// A card counts what nobody named, or named as the card.
fn slots(card: &Card) -> usize {
    1 + card.lanes.iter().filter(|lane| lane.vlan.is_some()).count()
}

fn refuse_both(first: (&NamedInterface, &Spot), second: (&NamedInterface, &Spot)) -> Result<()> {
    let ((named, spot), (other_named, other)) = (first, second);
    ensure!(
        spot.name != other.name || spot.card.index == other.card.index,
        "{} and {} would both be counted as {}: rename one",
        named.name,
        other_named.name,
        spot.name
    );
    if spot.card.index != other.card.index {
        return Ok(());
    }
    let card = &spot.card.name;
    let index = |group: Option<&Interface>| group.map(|group| group.index);
    if index(spot.group) != index(other.group) {
        // The card is reached as a member, and in another way too.
        let (direct, group) = match (spot.group, other.group) {
            (Some(group), _) => (other_named, group),
            (None, Some(group)) => (named, group),
            (None, None) => (named, spot.card),
        };
        let whose = match direct.name == *card {
            true => card.clone(),
            false => format!("{} is of {card}, and {card}", direct.name),
        };
        bail!(
            "{whose} is a member of {}, which is given too: give only one of them",
            group.name
        );
    }
    if spot.vlan == other.vlan {
        bail!(
            "{} and {} mean the same frames of {card}: give only one of them",
            named.name,
            other_named.name
        );
    }
    Ok(())
}

fn cards(taken: &[(&NamedInterface, Spot)]) -> Vec<Card> {
    let mut cards: Vec<Card> = Vec::new();
    for (named, spot) in taken {
        let lane = Lane {
            name: spot.name.clone(),
            place: named.place,
            vlan: spot.vlan,
        };
        match cards.iter_mut().find(|card| card.index == spot.card.index) {
            Some(card) => {
                card.lanes.push(lane);
                card.given |= spot.given;
            }
            None => cards.push(Card {
                name: spot.card.name.clone(),
                index: spot.card.index,
                lanes: vec![lane],
                given: spot.given,
                ethernet: spot.card.kind != Kind::Tunnel,
            }),
        }
    }
    cards
}

/// The cards, and what stands on them: on judged frames alone, or on some. Of a
/// forwarded frame the kernel says only which of them it came through last.
fn judged(
    named: &[NamedInterface],
    cards: &[Card],
    present: &[Interface],
) -> (BTreeMap<u32, Entrance>, BTreeSet<u32>) {
    let judges = |index: u32, vlan: Option<u16>| {
        let card = cards.iter().find(|card| card.index == index)?;
        let lane = |vlan| card.lanes.iter().find(|lane| lane.vlan == vlan);
        // The card's own lane is that of every VLAN that nobody named, too.
        lane(vlan).or_else(|| lane(None)).map(|lane| lane.place)
    };
    let (mut entrances, mut reach) = (BTreeMap::new(), BTreeSet::new());
    for interface in present {
        let spots: Vec<(u32, Option<Place>)> = match interface.kind {
            Kind::Card | Kind::Veth { .. } | Kind::Tunnel => {
                vec![(interface.index, judges(interface.index, None))]
            }
            Kind::OtherLink => continue,
            Kind::Vlan { .. } | Kind::Group { .. } | Kind::Vrf => {
                match resolve(&interface.name, present) {
                    Ok(spots) => spots
                        .iter()
                        .map(|spot| (spot.card.index, judges(spot.card.index, spot.vlan)))
                        .collect(),
                    Err(_) => continue,
                }
            }
        };
        // What a host routes leaves in its own name, and so opens flows for its answers; what
        // crosses one of its bridges is the business of others, unless a member comes that nobody
        // named. A gateway judges nothing twice, and follows its members.
        let is_group = matches!(interface.kind, Kind::Group { .. } | Kind::Vrf);
        let follows = !is_group || named.iter().any(|one| one.name == interface.name);
        let passes_on = is_gateway(named) || interface.controller.is_some() && follows;
        if let [(_, first), ..] = spots[..]
            && passes_on
            && spots.iter().all(|(_, place)| place.is_some())
        {
            let is_one = spots.iter().all(|(_, place)| *place == first);
            let entrance = Entrance {
                place: first.filter(|_| is_one),
                cards: spots.iter().map(|(card, _)| *card).collect(),
            };
            entrances.insert(interface.index, entrance);
        }
        if spots.iter().any(|(_, place)| place.is_some()) {
            reach.insert(interface.index);
        }
    }
    (entrances, reach)
}
