//! Makes and pins the maps, by the table in [`map`]. The object would tell their shapes, too; to read
//! it for them takes longer than to make them.

use super::{PinDir, open};
use anyhow::{Context as _, Result};
use aya::maps::MapData;
use aya_obj::Map as Definition;
use sccm_common::abi::map::{self, Shape};
use sccm_common::flow::table::{Hash, sets};
use std::hash::{BuildHasher as _, RandomState};

/// Creates and pins all maps, with room for `flow_capacity` flows, without a program.
///
/// # Errors
/// The kernel refuses, or one of them is there.
pub fn create(pins: &PinDir, flow_capacity: u32) -> Result<()> {
    // The standard library draws its keys from the kernel's random numbers.
    let random = RandomState::new();
    let key = |number: u32| random.hash_one(number);
    for shape in map::ALL {
        let made = of_shape(shape, flow_capacity)
            .with_context(|| format!("creating the kernel's map {}", shape.name))?;
        let path = pins.map(shape.name);
        made.pin(&path)
            .with_context(|| format!("pinning {}", path.display()))?;
    }
    let hash = Hash {
        sets: sets(flow_capacity).into(),
        keys: [0, 1, 2, 3, 4, 5].map(key),
    };
    open(pins, map::FLOW_HASH)?.set(0, hash, 0)?;
    // By another key, nobody would find what was asked and handed out.
    Ok(open(pins, map::SECRET)?.set(0, key(6), 0)?)
}

fn of_shape(shape: &Shape, flow_capacity: u32) -> Result<MapData> {
    let entries = shape.size.entries(flow_capacity);
    let kind = shape.kind as u32;
    let definition =
        Definition::new_from_params(kind, shape.key, shape.value, entries, shape.flags);
    Ok(MapData::create(definition, shape.name, None)?)
}
