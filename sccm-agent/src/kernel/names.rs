//! The records in the maps that name what counters count, also when no agent runs.

use super::Enforced;
use super::batch::Table;
use crate::policy::{PeerNames, ServiceName, ServiceNames};
use anyhow::{Result, bail};
use aya::maps::{Array, MapData};
use sccm_common::abi::{AWAITED, InterfaceRecord, PeerRecord, ServiceRecord};
use sccm_common::counter::MAX_INTERFACES;
use sccm_common::{Peer, ServiceClass};

pub(super) fn write_services(
    map: &mut Array<MapData, ServiceRecord>,
    names: &ServiceNames,
) -> Result<()> {
    for (class, name) in names.iter() {
        let record = ServiceRecord {
            protocol: padded(&name.protocol),
            service: padded(&name.service),
        };
        map.set(u32::from(class.0), record, 0)?;
    }
    Ok(())
}

pub(super) fn write_peers(map: &mut Array<MapData, PeerRecord>, names: &PeerNames) -> Result<()> {
    for (peer, name) in names.iter() {
        let record = PeerRecord { name: padded(name) };
        map.set(u32::from(peer.0), record, 0)?;
    }
    Ok(())
}

pub(super) fn read_peers(map: &Array<MapData, PeerRecord>) -> Result<PeerNames> {
    let mut names = PeerNames::default();
    for (number, record) in (0..=u8::MAX).zip(map.iter()) {
        let name = text(&record?.name);
        if !name.is_empty() {
            names.insert(Peer(number), name);
        }
    }
    Ok(names)
}

pub(super) fn read_services(map: &Table<u32, ServiceRecord>) -> Result<ServiceNames> {
    let mut names = ServiceNames::default();
    map.each(|number, records| {
        for record in records {
            let service = text(&record.service);
            if !service.is_empty() {
                let name = ServiceName {
                    protocol: text(&record.protocol),
                    service,
                };
                // The map has as many elements as there are classes.
                names.insert(ServiceClass(*number as u8), name);
            }
        }
    })?;
    Ok(names)
}

pub(super) fn read_interfaces(map: &Array<MapData, InterfaceRecord>) -> Result<Vec<Enforced>> {
    let mut interfaces = Vec::new();
    for (slot, record) in (0..).zip(map.iter()) {
        let record = record?;
        let name = text(&record.name);
        if !name.is_empty() {
            interfaces.push(Enforced {
                slot,
                name,
                hook: record.hook,
                awaited: record.index == AWAITED,
            });
        }
    }
    Ok(interfaces)
}

pub(super) fn find_slot(map: &Array<MapData, InterfaceRecord>, name: &str) -> Result<u32> {
    let known = read_interfaces(map)?;
    let old = known
        .iter()
        .find(|known| known.name == name)
        .map(|known| known.slot);
    let free = || (0..MAX_INTERFACES).find(|slot| known.iter().all(|known| known.slot != *slot));
    let Some(slot) = old.or_else(free) else {
        bail!(
            "{MAX_INTERFACES} interfaces have been enforced since the counters began: \
             run `sccm-agent detach`, then enforce again"
        );
    };
    Ok(slot)
}

pub(super) fn write_interface(
    map: &mut Array<MapData, InterfaceRecord>,
    slot: u32,
    name: &str,
    index: u32,
    hook: u32,
) -> Result<()> {
    let record = InterfaceRecord {
        name: padded(name),
        index,
        hook,
    };
    Ok(map.set(slot, record, 0)?)
}

/// `text` as a record has it: cut so that a zero fits behind it.
pub(super) fn padded<const N: usize>(text: &str) -> [u8; N] {
    let mut bytes = [0; N];
    for (byte, value) in bytes[..N - 1].iter_mut().zip(text.bytes()) {
        *byte = value;
    }
    bytes
}

pub(super) fn text(bytes: &[u8]) -> String {
    let end = bytes
        .iter()
        .position(|byte| *byte == 0)
        .unwrap_or(bytes.len());
    String::from_utf8_lossy(&bytes[..end]).into_owned()
}
