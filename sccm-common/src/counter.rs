//! Which counter counts a packet.
//!
//! A page of counters belongs to one interface, one direction and one mode, and
//! fits the 32 KiB that the kernel allows for one per-CPU value
//! (`PCPU_MIN_UNIT_SIZE`, include/linux/percpu.h). Within a page, a reason with a
//! service has a row of one counter per service class; every other reason has one
//! counter.
//!
//! Packets without a right are counted by peer, on a second page with a row for each
//! peer. If the peer is not known, or the class is [`PEER_CLASSES`] or above, the packet is
//! counted on the first page instead. So both pages together have every packet once.

use crate::peer::Peer;
use crate::reason::Reason;
use crate::service::ServiceClass;
use crate::verdict::Verdict;

/// Packets and bytes; both only grow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[repr(C)]
pub struct Counter {
    /// Frames.
    pub packets: u64,
    /// Bytes of those frames, from the Ethernet header on.
    pub bytes: u64,
}

const _: () = assert!(size_of::<Counter>() == 16);

/// Reasons with a counter per service class.
pub const SERVICE_ROWS: usize = 6;

/// Counters of a page: the service rows, then one for each reason number.
pub const PAGE_COUNTERS: usize = (SERVICE_ROWS + 1) * ServiceClass::COUNT;

/// All counters of one interface, direction and mode.
pub type Page = [Counter; PAGE_COUNTERS];

const _: () = assert!(size_of::<Page>() <= 32 * 1024);

/// Service classes with a column on the page of peers: those below this number.
pub const PEER_CLASSES: usize = 96;

/// Peers with a row on that page.
const PEER_ROWS: usize = Peer::COUNT - Peer::OTHER.0 as usize;

/// Counters of a page of peers.
pub const PEER_COUNTERS: usize = PEER_ROWS * PEER_CLASSES;

/// The packets without a right of one interface, direction and mode, by peer and class.
pub type PeerPage = [Counter; PEER_COUNTERS];

const _: () = assert!(size_of::<PeerPage>() <= 32 * 1024);

/// Interfaces that one agent can enforce, and so slots.
pub const MAX_INTERFACES: u32 = 16;

/// Pages: interface x direction x mode.
pub const PAGES: u32 = MAX_INTERFACES * 4;

/// Pages of the shadow: interface x direction.
pub const SHADOW_PAGES: u32 = MAX_INTERFACES * 2;

/// Which way a packet goes, seen from the protected system.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum Direction {
    /// Towards the protected system.
    Inbound = 0,
    /// From the protected system.
    Outbound = 1,
}

/// The page of interface `slot` (below [`MAX_INTERFACES`]).
#[inline(always)]
pub const fn page(slot: u32, direction: Direction, observing: bool) -> u32 {
    slot * 4 + direction as u32 * 2 + observing as u32
}

/// The shadow's page of interface `slot` (below [`MAX_INTERFACES`]). It needs no modes: what
/// the shadow drops, the active policy passes, and the other way about.
#[inline(always)]
pub const fn shadow_page(slot: u32, direction: Direction) -> u32 {
    slot * 2 + direction as u32
}

/// The counter within a page.
#[inline(always)]
pub const fn index(reason: Reason, service: ServiceClass) -> usize {
    match reason.service_row() {
        Some(row) => row * ServiceClass::COUNT + service.0 as usize,
        None => SERVICE_ROWS * ServiceClass::COUNT + reason as usize,
    }
}

/// The inverse of [`index`]: the reason, and the class where it has one.
pub fn describe(index: usize) -> Option<(Reason, Option<ServiceClass>)> {
    let row = index / ServiceClass::COUNT;
    let column = (index % ServiceClass::COUNT) as u8;
    let number = if row < SERVICE_ROWS {
        row as u8
    } else {
        column
    };
    let reason = Reason::from_number(number)?;
    match reason.service_row() {
        Some(expected) => (expected == row).then_some((reason, Some(ServiceClass(column)))),
        None => Some((reason, None)),
    }
}

/// The one reason on the page of peers of this direction.
#[inline(always)]
pub const fn peer_reason(direction: Direction) -> Reason {
    match direction {
        Direction::Inbound => Reason::NotAllowed,
        Direction::Outbound => Reason::OutboundNotAllowed,
    }
}

/// The counter within the page of peers; `None` for a packet that the first page counts.
#[inline(always)]
pub const fn peer_index(direction: Direction, verdict: Verdict) -> Option<usize> {
    let (peer, class) = (verdict.peer.0 as usize, verdict.service.0 as usize);
    if peer < Peer::OTHER.0 as usize
        || peer >= Peer::COUNT
        || class >= PEER_CLASSES
        || verdict.reason as u8 != peer_reason(direction) as u8
    {
        return None;
    }
    Some((peer - Peer::OTHER.0 as usize) * PEER_CLASSES + class)
}

/// The inverse of [`peer_index`].
#[must_use]
pub const fn describe_peer(index: usize) -> (Peer, ServiceClass) {
    (
        Peer((index / PEER_CLASSES) as u8 + Peer::OTHER.0),
        ServiceClass((index % PEER_CLASSES) as u8),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::usage::Row;

    #[test]
    fn every_peer_has_a_counter_for_each_service_and_back() {
        // Under miri a thousand counters take a second.
        let step = if cfg!(miri) { 101 } else { 1 };
        let mut used = std::collections::HashSet::new();
        for direction in [Direction::Inbound, Direction::Outbound] {
            let classes = || (0..=u8::MAX).step_by(step);
            for (peer, class) in (0..=u8::MAX).flat_map(|p| classes().map(move |c| (p, c))) {
                let verdict = Verdict {
                    reason: peer_reason(direction),
                    service: ServiceClass(class),
                    peer: Peer(peer),
                    row: Row::NONE,
                };
                let found = peer_index(direction, verdict);
                let fits =
                    (1..Peer::COUNT).contains(&peer.into()) && usize::from(class) < PEER_CLASSES;
                assert_eq!(found.is_some(), fits, "{verdict:?}");
                if let Some(index) = found {
                    assert!(index < PEER_COUNTERS && used.insert((direction, index)));
                    assert_eq!(describe_peer(index), (Peer(peer), ServiceClass(class)));
                }
                for other in Reason::ALL.iter().filter(|r| **r != verdict.reason) {
                    let reason = *other;
                    assert_eq!(peer_index(direction, Verdict { reason, ..verdict }), None);
                }
            }
        }
        assert!(cfg!(miri) || used.len() == 2 * PEER_COUNTERS);
    }

    #[test]
    fn every_counter_has_an_index_of_its_own_and_back() {
        let mut used = std::collections::HashSet::new();
        for reason in Reason::ALL {
            let classes = if reason.service_row().is_some() {
                0..=255
            } else {
                0..=0
            };
            for class in classes {
                let class = ServiceClass(class);
                let at = index(*reason, class);
                assert!(
                    at < PAGE_COUNTERS && used.insert(at),
                    "{reason:?} {class:?}"
                );
                let expected = reason.service_row().map(|_| class);
                assert_eq!(describe(at), Some((*reason, expected)));
            }
        }
        assert_eq!(
            (0..PAGE_COUNTERS)
                .filter(|index| describe(*index).is_some())
                .count(),
            used.len()
        );
    }

    #[test]
    fn pages_do_not_meet() {
        let mut used = std::collections::HashSet::new();
        let mut shadows = std::collections::HashSet::new();
        for slot in 0..MAX_INTERFACES {
            for direction in [Direction::Inbound, Direction::Outbound] {
                let shadow = shadow_page(slot, direction);
                assert!(shadow < SHADOW_PAGES && shadows.insert(shadow));
                for observing in [false, true] {
                    let page = page(slot, direction, observing);
                    assert!(page < PAGES && used.insert(page));
                }
            }
        }
    }
}
