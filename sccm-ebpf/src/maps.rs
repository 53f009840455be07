//! Makes the program's maps from the table in [`sccm_common::abi::map`], so that their kinds,
//! types and sizes are those that the agent expects.

use aya_ebpf::maps::{Array, LruHashMap, PerCpuArray, RingBuf};
use sccm_common::abi::map::{self, Map};

pub const fn array<V>(map: &Map<map::Array<V>>) -> Array<V> {
    Array::with_max_entries(map.entries(), 0)
}

pub const fn mapped_array<V>(map: &Map<map::MappedArray<V>>) -> Array<V> {
    Array::with_max_entries(map.entries(), map.shape().flags)
}

pub const fn per_cpu_array<V>(map: &Map<map::PerCpuArray<V>>) -> PerCpuArray<V> {
    PerCpuArray::with_max_entries(map.entries(), 0)
}

pub const fn lru_hash_map<K, V>(map: &Map<map::LruHashMap<K, V>>) -> LruHashMap<K, V> {
    LruHashMap::with_max_entries(map.entries(), 0)
}

pub const fn ring_buf(map: &Map<map::RingBuf>) -> RingBuf {
    RingBuf::with_byte_size(map.entries(), 0)
}
