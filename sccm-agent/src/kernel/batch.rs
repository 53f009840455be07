//! Reads whole maps, a thousand elements with each call.
//!
//! aya needs two calls for each element, one for the key and one for the value; the table of
//! blocked flows has 2,048 elements, that of flows 131,072. The kernel copies a hash table
//! bucket by bucket (`__htab_map_lookup_and_delete_batch` in kernel/bpf/hashtab.c), so a walk
//! ends while others write, and shows every element that is there all the time.

use super::{PinDir, bpf, maps};
use anyhow::{Context as _, Result, anyhow, bail, ensure};
use aya::Pod;
use aya::maps::MapData;
use aya::util::nr_cpus;
use sccm_common::abi::map::{self, Kind, Layout};
use std::marker::PhantomData;
use std::os::fd::AsFd as _;

/// Elements of one call. All elements of a hash table's bucket must fit.
const ELEMENTS: usize = 1024;

/// A hash table or an array that is read whole.
pub(super) struct Table<K: Pod, V: Pod> {
    map: MapData,
    /// How many values an element has: one, or one for each CPU.
    of_each: usize,
    types: PhantomData<(K, V)>,
}

impl<K: Pod, V: Pod> Table<K, V> {
    /// Opens a map's pin.
    ///
    /// # Errors
    /// The pin is missing, or the map has another kind or size than the table says.
    pub(super) fn open<L>(pins: &PinDir, map: map::Map<L>) -> Result<Self>
    where
        L: Layout<Key = K, Value = V>,
    {
        const {
            assert!(size_of::<K>() <= size_of::<bpf::Position>());
            // The kernel pads the values of each CPU to words.
            assert!(!matches!(L::KIND, Kind::PerCpuArray) || size_of::<V>().is_multiple_of(8));
        }
        let of_each = match L::KIND {
            Kind::Array | Kind::LruHash => 1,
            Kind::PerCpuArray => nr_cpus().map_err(|(path, error)| anyhow!("{path}: {error}"))?,
            Kind::RingBuf => bail!("a ring buffer has no elements"),
        };
        let path = pins.map(map.name);
        let opened =
            MapData::from_pin(&path).with_context(|| format!("opening {}", path.display()))?;
        ensure!(
            maps::has_shape(&opened.info()?, &map.shape()),
            "{} has another shape",
            path.display()
        );
        Ok(Self {
            map: opened,
            of_each,
            types: PhantomData,
        })
    }

    /// Calls `show` once for each element, with its key and its values.
    pub(super) fn each(&self, mut show: impl FnMut(&K, &[V])) -> Result<()> {
        let mut keys = Vec::with_capacity(ELEMENTS);
        let mut values = Vec::with_capacity(ELEMENTS * self.of_each);
        let mut position = None;
        loop {
            let buffers = (&mut keys, &mut values);
            let map = self.map.fd().as_fd();
            // SAFETY: `open` has checked the map's shape.
            let next = unsafe { bpf::lookup_batch(map, position.as_ref(), buffers, self.of_each) };
            position = next.context("reading a whole map (BPF_MAP_LOOKUP_BATCH)")?;
            for (key, values) in keys.iter().zip(values.chunks_exact(self.of_each)) {
                show(key, values);
            }
            if position.is_none() {
                return Ok(());
            }
        }
    }
}
