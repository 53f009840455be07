//! Every question to both policies, and where their answers differ.

use super::joint::{self, ASKING, DHCP, End, Row, Service, inbound, outbound};
use crate::policy::{Opener, Openness, Tables};
use sccm_common::address::AddressClass;
use std::collections::BTreeMap;
use std::ops::RangeInclusive;

/// Something that one of two policies lets be opened, and the other does not: between each of these
/// systems and each of these peers, on each of these ports.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delta {
    /// The second policy lets it pass, or more of it.
    pub opens: bool,
    /// The second policy lets it pass only as the endpoint mapper hands it out.
    pub if_handed_out: bool,
    /// Which end opens.
    pub opener: Opener,
    /// The protected ends.
    pub systems: Vec<Row>,
    /// The other ends.
    pub peers: Vec<Row>,
    /// Protocols, and numbers of each.
    pub services: Vec<(&'static str, Vec<RangeInclusive<u16>>)>,
}

/// What differs: whether the second policy lets it pass, or only what is handed out; whether it comes
/// in; and which services.
type Changed = ((bool, bool), bool, Vec<usize>);

/// Asks both.
#[must_use]
pub fn compare(old: &Tables, new: &Tables) -> Vec<Delta> {
    let services = joint::services(old, new);
    let mut deltas = Vec::new();
    for ends in joint::ends(old, new) {
        // The same difference for several systems and peers is told once.
        let mut alike: BTreeMap<(Changed, Vec<Row>), Vec<Row>> = BTreeMap::new();
        for system in &ends.systems {
            let mut by_change: BTreeMap<Changed, Vec<Row>> = BTreeMap::new();
            for peer in &ends.peers {
                for is_inbound in [true, false] {
                    let mut changed: BTreeMap<(bool, bool), Vec<usize>> = BTreeMap::new();
                    for (number, service) in services.iter().enumerate() {
                        let [before, after] = [(old, 0), (new, 1)].map(|(tables, side)| {
                            passes((tables, side), is_inbound, system, peer, service)
                        });
                        if before != after {
                            let how = (after > before, after == Openness::IfHandedOut);
                            changed.entry(how).or_default().push(number);
                        }
                    }
                    for (how, changed) in changed {
                        let key = (how, is_inbound, changed);
                        by_change.entry(key).or_default().extend(&peer.rows);
                    }
                }
            }
            for (change, mut peers) in by_change {
                peers.sort();
                let key = (change, peers);
                alike.entry(key).or_default().extend(&system.rows);
            }
        }
        deltas.extend(alike.into_iter().map(
            |((((opens, if_handed_out), is_inbound, changed), peers), mut systems)| {
                systems.sort();
                let services = changed.into_iter().map(|number| {
                    let service = &services[number];
                    (service.protocol, service.ports.clone())
                });
                Delta {
                    opens,
                    if_handed_out,
                    opener: match is_inbound {
                        true => Opener::Peer,
                        false => Opener::Protected,
                    },
                    systems,
                    peers,
                    services: services.collect(),
                }
            },
        ));
    }
    deltas
}

fn passes(
    (tables, side): (&Tables, usize),
    is_inbound: bool,
    system: &End,
    peer: &End,
    service: &Service,
) -> Openness {
    let asks = peer.rows[0].1 == ASKING && (service.protocol, *service.ports[0].start()) == DHCP;
    let (system, peer) = (system.classes[side], peer.classes[side]);
    let service = service.classes[side];
    match is_inbound {
        // No right helps who has an address that nobody has.
        true if peer.is_marked(AddressClass::NOBODY) && !asks => Openness::Closed,
        true => inbound(tables, system, peer, service),
        false => outbound(tables, system, peer, service),
    }
}
