//! Opening and checking pinned maps, by the table in [`map`].

use super::PinDir;
use anyhow::{Context as _, Result};
use aya::Pod;
use aya::maps::{Array, HashMap, Map, MapData, MapError, MapInfo, MapType, PerCpuArray, RingBuf};
use sccm_common::abi::map::{self, Kind, Layout, MAPPED, Shape, Size};

/// Which of aya's types reads and writes a map.
pub(crate) trait Handle: Layout {
    type Handle: TryFrom<Map, Error = MapError>;
}

impl<V: Pod> Handle for map::Array<V> {
    type Handle = Array<MapData, V>;
}

impl<V: Pod> Handle for map::MappedArray<V> {
    type Handle = Array<MapData, V>;
}

impl<V: Pod> Handle for map::PerCpuArray<V> {
    type Handle = PerCpuArray<MapData, V>;
}

impl<K: Pod, V: Pod> Handle for map::LruHashMap<K, V> {
    type Handle = HashMap<MapData, K, V>;
}

impl Handle for map::RingBuf {
    type Handle = RingBuf<MapData>;
}

/// Opens a map's pin.
///
/// # Errors
/// The pin is missing, or of another kind or size.
pub(crate) fn open<L: Handle>(pins: &PinDir, map: map::Map<L>) -> Result<L::Handle> {
    let path = pins.map(map.name);
    let data = MapData::from_pin(&path).with_context(|| format!("opening {}", path.display()))?;
    let opened = Map::from_map_data(data)?;
    L::Handle::try_from(opened).with_context(|| format!("{} has another shape", path.display()))
}

/// What the kernel says of a map's pin.
pub(crate) fn info(pins: &PinDir, name: &str) -> Result<MapInfo> {
    let path = pins.map(name);
    MapInfo::from_pin(&path).with_context(|| format!("opening {}", path.display()))
}

/// Whether a map has the shape that the table gives it. aya compares no sizes of a map that it
/// takes from a pin.
pub(crate) fn has_shape(info: &MapInfo, shape: &Shape) -> bool {
    let found = (info.key_size(), info.value_size(), info.max_entries());
    info.map_flags() & MAPPED == shape.flags && fits(shape, info.map_type().ok(), found)
}

fn fits(shape: &Shape, kind: Option<MapType>, (key, value, entries): (u32, u32, u32)) -> bool {
    let wanted = match shape.kind {
        Kind::Array => MapType::Array,
        Kind::PerCpuArray => MapType::PerCpuArray,
        Kind::LruHash => MapType::LruHash,
        Kind::RingBuf => MapType::RingBuf,
    };
    let has_size = match shape.size {
        Size::Entries(wanted) => entries == wanted,
        // Any capacity is a valid setting.
        Size::FlowSets => true,
    };
    kind == Some(wanted) && (key, value) == (shape.key, shape.value) && has_size
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::object::object;
    use aya_obj::Object;
    use sccm_common::flow::DEFAULT_CAPACITY;

    #[test]
    fn the_program_has_every_map_of_the_table() {
        let object = Object::parse(object()).unwrap();
        for shape in map::ALL {
            let map = &object.maps[shape.name];
            let built = (map.map_type(), map.key_size(), map.value_size());
            let wanted = (shape.kind as u32, shape.key, shape.value);
            assert_eq!(built, wanted, "{}", shape.name);
            let entries = shape.size.entries(DEFAULT_CAPACITY);
            assert_eq!(map.max_entries(), entries, "{}", shape.name);
            assert_eq!(map.map_flags(), shape.flags, "{}", shape.name);
        }
    }

    #[test]
    fn names_are_unique() {
        for (number, shape) in map::ALL.iter().enumerate() {
            let mut others = map::ALL[..number].iter();
            assert!(others.all(|other| other.name != shape.name), "{shape:?}");
        }
    }

    #[test]
    fn a_pin_fits_only_with_kind_key_value_and_size() {
        let shape = map::FRAGMENTS.shape();
        let (key, value, entries) = (shape.key, shape.value, map::FRAGMENTS.entries());
        let lru = Some(MapType::LruHash);
        assert!(fits(&shape, lru, (key, value, entries)));
        assert!(!fits(&shape, Some(MapType::Hash), (key, value, entries)));
        assert!(!fits(&shape, None, (key, value, entries)));
        assert!(!fits(&shape, lru, (key + 1, value, entries)));
        assert!(!fits(&shape, lru, (key, value + 1, entries)));
        assert!(!fits(&shape, lru, (key, value, entries + 1)));
    }

    #[test]
    fn the_table_of_flows_may_have_any_capacity() {
        let shape = map::FLOWS.shape();
        for entries in [1, DEFAULT_CAPACITY, u32::MAX] {
            let found = (shape.key, shape.value, entries);
            assert!(fits(&shape, Some(MapType::Array), found));
        }
    }
}
