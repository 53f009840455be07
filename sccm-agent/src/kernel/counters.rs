//! The counters, with names.

use super::Enforced;
use crate::policy::{ServiceName, ServiceNames};
use anyhow::{Result, anyhow};
use aya::Pod;
use aya::maps::{MapData, PerCpuArray, PerCpuValues};
use aya::util::nr_cpus;
use sccm_common::Reason;
use sccm_common::counter::{
    Counter, Direction, PAGE_COUNTERS, Page, PeerPage, describe, describe_peer, page, peer_reason,
    shadow_page,
};

/// One counter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reading {
    /// Name of the interface.
    pub interface: String,
    /// Inbound or outbound.
    pub direction: Direction,
    /// Counted in observe mode: packets with a reason to drop them passed.
    pub observing: bool,
    /// How the packets ended.
    pub reason: Reason,
    /// The service, if the reason is counted by service.
    pub service: Option<ServiceName>,
    /// The other end, if the policy gave it no right.
    pub peer: Option<String>,
    /// Packets and bytes.
    pub count: Counter,
}

pub(super) fn read(
    (pages, peer_pages): (&PerCpuArray<MapData, Page>, &PerCpuArray<MapData, PeerPage>),
    interfaces: &[Enforced],
    names: &ServiceNames,
) -> Result<Vec<Reading>> {
    let mut readings = Vec::new();
    for Enforced { slot, name, .. } in interfaces {
        for direction in [Direction::Inbound, Direction::Outbound] {
            for observing in [false, true] {
                let number = page(*slot, direction, observing);
                let values = pages.get(&number, 0)?;
                let counts = described(&values, names);
                let counts = counts.map(|(reason, service, count)| (reason, service, None, count));
                let by_peer = peer_pages.get(&number, 0)?;
                let by_peer = described_by_peer(&by_peer, direction, names);
                let readings_of = counts.chain(by_peer);
                readings.extend(readings_of.map(|(reason, service, peer, count)| Reading {
                    interface: name.clone(),
                    direction,
                    observing,
                    reason,
                    service,
                    peer,
                    count,
                }));
            }
        }
    }
    Ok(readings)
}

/// The counters of frames that the shadow judges otherwise, by the shadow's reasons.
pub(super) fn read_shadow(
    map: &PerCpuArray<MapData, Page>,
    interfaces: &[Enforced],
    names: &ServiceNames,
) -> Result<Vec<Reading>> {
    let mut readings = Vec::new();
    for Enforced { slot, name, .. } in interfaces {
        for direction in [Direction::Inbound, Direction::Outbound] {
            let values = map.get(&shadow_page(*slot, direction), 0)?;
            let counts = described(&values, names);
            readings.extend(counts.map(|(reason, service, count)| Reading {
                interface: name.clone(),
                direction,
                observing: false,
                reason,
                service,
                peer: None,
                count,
            }));
        }
    }
    Ok(readings)
}

/// The counters of a page that are above zero.
fn described(
    page: &[Page],
    names: &ServiceNames,
) -> impl Iterator<Item = (Reason, Option<ServiceName>, Counter)> {
    let counts = sum(page).into_iter().enumerate();
    counts.filter_map(|(index, count)| {
        if count == Counter::default() {
            return None;
        }
        let (reason, class) = describe(index)?;
        let service = class.and_then(|class| names.get(class)).cloned();
        Some((reason, service, count))
    })
}

/// The same for a page of counters by peer.
fn described_by_peer(
    page: &[PeerPage],
    direction: Direction,
    names: &ServiceNames,
) -> impl Iterator<Item = (Reason, Option<ServiceName>, Option<String>, Counter)> {
    let counts = sum(page).into_iter().enumerate();
    counts.filter_map(move |(index, count)| {
        if count == Counter::default() {
            return None;
        }
        let (peer, class) = describe_peer(index);
        let service = names.get(class).cloned();
        let peer = names.peers.get(peer).map(str::to_owned);
        Some((peer_reason(direction), service, peer, count))
    })
}

pub(super) fn reset<const N: usize>(
    map: &mut PerCpuArray<MapData, [Counter; N]>,
    slot: u32,
) -> Result<()> {
    clear(map, [Counter::default(); N], pages(slot))
}

/// Sets the shadow's counters of one slot to zero.
pub(super) fn reset_shadow_of(map: &mut PerCpuArray<MapData, Page>, slot: u32) -> Result<()> {
    let directions = [Direction::Inbound, Direction::Outbound].into_iter();
    clear(
        map,
        [Counter::default(); PAGE_COUNTERS],
        directions.map(|direction| shadow_page(slot, direction)),
    )
}

/// Writes `empty` for every CPU into these elements.
pub(super) fn clear<V: Pod>(
    map: &mut PerCpuArray<MapData, V>,
    empty: V,
    elements: impl IntoIterator<Item = u32>,
) -> Result<()> {
    let cpus = nr_cpus().map_err(|(path, error)| anyhow!("{path}: {error}"))?;
    let empty = PerCpuValues::try_from(vec![empty; cpus])?;
    for element in elements {
        map.set(element, PerCpuValues::try_from(empty.to_vec())?, 0)?;
    }
    Ok(())
}

fn pages(slot: u32) -> impl Iterator<Item = u32> {
    let directions = [Direction::Inbound, Direction::Outbound].into_iter();
    directions.flat_map(move |direction| [false, true].map(|mode| page(slot, direction, mode)))
}

pub(super) fn sum<const N: usize>(pages: &[[Counter; N]]) -> Vec<Counter> {
    let mut total = vec![Counter::default(); N];
    for page in pages {
        for (sum, counter) in total.iter_mut().zip(page) {
            sum.packets += counter.packets;
            sum.bytes += counter.bytes;
        }
    }
    total
}
