//! All addresses and all ports, sorted by what either of two policies makes of them.

use crate::policy::{Openness, Tables, table_of};
use sccm_common::ServiceClass;
use sccm_common::address::{AddressClass, LOCAL_SELF};
use sccm_common::policy::flag;
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::ops::RangeInclusive;

/// The protocols that policies have tables of.
pub(super) const PROTOCOLS: [&str; 5] = ["tcp", "udp", "icmp", "icmpv6", "ip"];

/// The source of computers that ask for an address (RFC 2131). The programs let nothing else pass from there.
pub(super) const ASKING: IpAddr = IpAddr::V4(Ipv4Addr::UNSPECIFIED);

/// Where they ask.
pub(super) const DHCP: (&str, u16) = ("udp", 67);

/// A row of addresses: the first and the last.
pub(super) type Row = (IpAddr, IpAddr);

/// Addresses that neither policy tells apart, as one end: with their class in either.
pub(super) struct End {
    pub classes: [AddressClass; 2],
    pub rows: Vec<Row>,
}

/// Ports that neither policy tells apart.
pub(super) struct Service {
    pub protocol: &'static str,
    pub classes: [ServiceClass; 2],
    pub ports: Vec<RangeInclusive<u16>>,
}

/// The protected ends and the other ends of one family.
pub(super) struct Ends {
    pub systems: Vec<End>,
    pub peers: Vec<End>,
}

/// Sorts all addresses, a family after the other.
pub(super) fn ends(old: &Tables, new: &Tables) -> Vec<Ends> {
    let mut found = Vec::new();
    for rows in old.joint_rows(new) {
        let mut systems: BTreeMap<_, End> = BTreeMap::new();
        let mut peers: BTreeMap<_, End> = BTreeMap::new();
        let rows = rows.into_iter().flat_map(|(first, last, classes)| {
            asking_apart((first, last)).map(move |row| (row, classes))
        });
        for ((first, last), classes) in rows {
            let add = |end: &mut End| match end.rows.last_mut() {
                Some(before) if follows(before.1, first) => before.1 = last,
                _ => end.rows.push((first, last)),
            };
            let empty = || End {
                classes,
                rows: Vec::new(),
            };
            let local = classes.map(|class| class.local);
            add(systems.entry(local).or_insert_with(empty));
            let peer = (classes.map(|class| class.peer), last == ASKING);
            add(peers.entry(peer).or_insert_with(empty));
        }
        found.push(Ends {
            systems: systems.into_values().collect(),
            peers: peers.into_values().collect(),
        });
    }
    found
}

/// A row, and the address of those who ask for one by DHCP apart from it.
fn asking_apart((first, last): Row) -> impl Iterator<Item = Row> {
    let is_both = first == ASKING && last != ASKING;
    let asking = is_both.then_some((ASKING, ASKING));
    let first = if is_both {
        Ipv4Addr::from_bits(1).into()
    } else {
        first
    };
    asking.into_iter().chain([(first, last)])
}

fn follows(last: IpAddr, first: IpAddr) -> bool {
    match (last, first) {
        (IpAddr::V4(last), IpAddr::V4(first)) => {
            last.to_bits().checked_add(1) == Some(first.to_bits())
        }
        (IpAddr::V6(last), IpAddr::V6(first)) => {
            last.to_bits().checked_add(1) == Some(first.to_bits())
        }
        _ => false,
    }
}

/// Sorts all ports.
pub(super) fn services(old: &Tables, new: &Tables) -> Vec<Service> {
    let mut services = Vec::new();
    for protocol in PROTOCOLS {
        let tables = [old, new].map(|one| table_of(&one.policy, protocol));
        let mut joint: BTreeMap<([u8; 2], bool), Vec<RangeInclusive<u16>>> = BTreeMap::new();
        let both = tables[0].iter().zip(tables[1]);
        for (port, (old, new)) in (0..=u16::MAX).zip(both) {
            let is_dhcp = (protocol, port) == DHCP;
            let ranges = joint.entry(([old.0, new.0], is_dhcp)).or_default();
            match ranges.last_mut() {
                Some(last) if port.checked_sub(1) == Some(*last.end()) => {
                    *last = *last.start()..=port;
                }
                _ => ranges.push(port..=port),
            }
        }
        services.extend(joint.into_iter().map(|((classes, _), ports)| Service {
            protocol,
            classes: classes.map(ServiceClass),
            ports,
        }));
    }
    services
}

/// Whether a policy's tables let a peer open a service to a protected end.
pub(super) fn inbound(
    tables: &Tables,
    system: AddressClass,
    peer: AddressClass,
    service: ServiceClass,
) -> Openness {
    let policy = &tables.policy;
    let pair = policy.pair(system.local, peer.peer);
    Openness::by(policy, policy.access(pair).inbound, service)
}

/// Whether they let a protected end open it to a peer.
pub(super) fn outbound(
    tables: &Tables,
    system: AddressClass,
    peer: AddressClass,
    service: ServiceClass,
) -> Openness {
    let policy = &tables.policy;
    if policy.has(flag::OUTBOUND_OFF) || system.local == LOCAL_SELF && policy.has(flag::GATEWAY) {
        return Openness::Open;
    }
    if policy.has(flag::OUTBOUND_ENFORCE) {
        let pair = policy.pair(system.local, peer.peer);
        return Openness::by(policy, policy.access(pair).outbound, service);
    }
    match policy.has(flag::LISTED_ONLY) && system.local == AddressClass::ANY.local {
        true => Openness::Closed,
        false => Openness::Open,
    }
}
