//! On which side of a gateway an interface is.

use super::{Plan, resolve};
use crate::interface::{Interface, Kind, Route};
use ipnet::IpNet;
use sccm_common::Place;
use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;

/// The places of the cards under an interface; `None` stands for those that nobody named.
fn places(plan: &Plan, interface: &Interface, present: &[Interface]) -> BTreeSet<Option<u8>> {
    let spots = resolve(&interface.name, present).unwrap_or_default();
    let place = |index: u32, vlan: Option<u16>| {
        let card = plan.cards.iter().find(|card| card.index == index)?;
        let lane = |vlan| card.lanes.iter().find(|lane| lane.vlan == vlan);
        // What nobody named of a card belongs to the card, if that was named.
        let lane = lane(vlan).or_else(|| lane(None))?;
        Some(lane.place as u8)
    };
    let places = spots.iter().map(|spot| place(spot.card.index, spot.vlan));
    places.collect()
}

fn is_segment(places: &BTreeSet<Option<u8>>) -> bool {
    !places.is_empty() && places.iter().all(|place| *place == SEGMENT)
}

const SEGMENT: Option<u8> = Some(Place::Segment as u8);
const UPLINK: Option<u8> = Some(Place::Uplink as u8);

/// Whether something joins uplink and segment without routing: a bridge, whoever makes it.
#[must_use]
pub fn is_bridge(plan: &Plan, present: &[Interface]) -> bool {
    let mut joined: BTreeMap<u32, BTreeSet<Option<u8>>> = BTreeMap::new();
    for member in present {
        let Some(controller) = member.controller else {
            continue;
        };
        let routes = |one: &Interface| one.index == controller && one.kind == Kind::Vrf;
        if !present.iter().any(routes) {
            let places = places(plan, member, present);
            joined.entry(controller).or_default().extend(places);
        }
    }
    let both = |places: &BTreeSet<_>| places.contains(&SEGMENT) && places.contains(&UPLINK);
    joined.values().any(both)
}

/// The names of the interfaces that take what comes in from the uplink.
#[must_use]
pub fn uplinks<'a>(plan: &Plan, present: &'a [Interface]) -> Vec<&'a str> {
    let is_member = |one: &Interface| {
        let mut controllers = present.iter();
        controllers.any(|other| one.controller == Some(other.index) && other.kind != Kind::Vrf)
    };
    let uplinks = present.iter().filter(|one| {
        one.kind != Kind::Vrf && !is_member(one) && places(plan, one, present).contains(&UPLINK)
    });
    uplinks.map(|one| one.name.as_str()).collect()
}

/// The numbers of the interfaces that lead to the segment, and nowhere else.
#[must_use]
pub fn segment(plan: &Plan, present: &[Interface]) -> BTreeSet<u32> {
    let segment = present
        .iter()
        .filter(|one| is_segment(&places(plan, one, present)));
    segment.map(|one| one.index).collect()
}

/// The last addresses of the networks to which routes lead through the segment, sorted.
#[must_use]
pub fn far_broadcasts(plan: &Plan, present: &[Interface], routes: &[Route]) -> Vec<Ipv4Addr> {
    let segment = segment(plan, present);
    let far = routes.iter().filter_map(|route| match route.prefix {
        IpNet::V4(network) if (1..=30).contains(&network.prefix_len()) => {
            let mut interfaces = route.interfaces.iter();
            let leads = interfaces.any(|index| segment.contains(index));
            leads.then(|| network.broadcast())
        }
        _ => None,
    });
    let far: BTreeSet<Ipv4Addr> = far.collect();
    far.into_iter().collect()
}

/// The prefixes of the routes, sorted, and whether they lead to the segment. Of an address the
/// narrowest counts. Those that say what the next wider one says are left out, and so are those
/// around which nothing leads to the segment.
#[must_use]
pub fn routed(plan: &Plan, present: &[Interface], routes: &[Route]) -> Vec<(IpNet, bool)> {
    let segment = segment(plan, present);
    let mut all: BTreeMap<IpNet, bool> = BTreeMap::new();
    for route in routes {
        let leads = route.interfaces.iter().any(|index| segment.contains(index));
        *all.entry(route.prefix).or_default() |= leads;
    }
    let mut around: Vec<(IpNet, bool)> = Vec::new();
    let mut told = Vec::new();
    // Sorted, a prefix comes before those within it.
    for (prefix, leads) in all {
        while around
            .pop_if(|(outer, _)| !outer.contains(&prefix))
            .is_some()
        {}
        let outer = around.last().is_some_and(|(_, leads)| *leads);
        if leads != outer {
            told.push((prefix, leads));
        }
        around.push((prefix, leads));
    }
    told
}
