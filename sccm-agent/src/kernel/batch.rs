//! Whole maps, some hundred elements with each call.
//!
//! aya asks for one element at a time, and for each key before it; a table of blocked flows
//! is 2,048 elements, one of flows 131,072. The kernel copies bucket by bucket
//! (`BPF_MAP_LOOKUP_BATCH`, bpf(2); `generic_map_lookup_batch` in kernel/bpf/syscall.c,
//! `__htab_map_lookup_and_delete_batch` in kernel/bpf/hashtab.c), so however others write
//! meanwhile, the walk ends, and meets every element that stays.

use super::PinDir;
use anyhow::{Context as _, Result, anyhow, ensure};
use aya::Pod;
use aya::maps::MapData;
use aya::util::nr_cpus;
use std::io;
use std::marker::PhantomData;
use std::os::fd::{AsFd as _, AsRawFd as _};

/// `enum bpf_cmd`, include/uapi/linux/bpf.h.
const BPF_MAP_LOOKUP_BATCH: libc::c_int = 24;

/// Elements that are asked for at once. A bucket of a hash table must fit.
const ELEMENTS: usize = 1024;

/// Room for where a walk stands: a key, or the number of a bucket.
const POSITION: usize = 64;

/// `struct { ... } batch` of `union bpf_attr`, include/uapi/linux/bpf.h.
#[repr(C)]
struct Attributes {
    in_batch: u64,
    out_batch: u64,
    keys: u64,
    values: u64,
    count: u32,
    map_fd: u32,
    elem_flags: u64,
    flags: u64,
}

/// A map that is read as a whole: hash table or array, of all CPUs or of each.
pub(super) struct Table<K: Pod, V: Pod> {
    map: MapData,
    /// Values of each element: one of every CPU, or one.
    of_each: usize,
    types: PhantomData<(K, V)>,
}

impl<K: Pod, V: Pod> Table<K, V> {
    /// Opens a pin of one value for each key.
    ///
    /// # Errors
    /// The pin is missing or of another shape.
    pub(super) fn open(pins: &PinDir, name: &str) -> Result<Self> {
        Self::open_with(pins, name, 1)
    }

    /// Opens a pin of one value for each key and CPU.
    ///
    /// # Errors
    /// As [`Table::open`].
    pub(super) fn open_per_cpu(pins: &PinDir, name: &str) -> Result<Self> {
        let cpus = nr_cpus().map_err(|(path, error)| anyhow!("{path}: {error}"))?;
        Self::open_with(pins, name, cpus)
    }

    fn open_with(pins: &PinDir, name: &str, of_each: usize) -> Result<Self> {
        let path = pins.map(name);
        let map =
            MapData::from_pin(&path).with_context(|| format!("opening {}", path.display()))?;
        let info = map.info()?;
        ensure!(
            info.key_size() as usize == size_of::<K>()
                && info.value_size() as usize == size_of::<V>()
                // The kernel pads the values of each CPU to words.
                && (of_each == 1 || size_of::<V>().is_multiple_of(8))
                && size_of::<K>() <= POSITION,
            "{} has another shape",
            path.display()
        );
        Ok(Self {
            map,
            of_each,
            types: PhantomData,
        })
    }

    /// Shows every element once: its key and its values.
    ///
    /// # Errors
    /// The kernel refuses the read.
    pub(super) fn each(&self, mut show: impl FnMut(&K, &[V])) -> Result<()> {
        let mut position = [0_u8; POSITION];
        let mut is_begun = false;
        let mut keys = Vec::<K>::with_capacity(ELEMENTS);
        let mut values = Vec::<V>::with_capacity(ELEMENTS * self.of_each);
        loop {
            let mut next = [0_u8; POSITION];
            let mut attributes = Attributes {
                in_batch: if is_begun {
                    position.as_ptr() as u64
                } else {
                    0
                },
                out_batch: next.as_mut_ptr() as u64,
                keys: keys.as_mut_ptr() as u64,
                values: values.as_mut_ptr() as u64,
                count: ELEMENTS as u32,
                map_fd: self.map.fd().as_fd().as_raw_fd() as u32,
                elem_flags: 0,
                flags: 0,
            };
            // SAFETY: the attributes are the kernel's for this command; the buffers live, and
            // have room for as many keys and values as they say.
            let result = unsafe {
                libc::syscall(
                    libc::SYS_bpf,
                    BPF_MAP_LOOKUP_BATCH,
                    &raw mut attributes,
                    size_of::<Attributes>(),
                )
            };
            let error = io::Error::last_os_error();
            let is_last = result != 0 && error.raw_os_error() == Some(libc::ENOENT);
            if result != 0 && !is_last {
                return Err(error).context("reading a whole map (BPF_MAP_LOOKUP_BATCH)");
            }
            let count = (attributes.count as usize).min(ELEMENTS);
            // SAFETY: the kernel has filled in so many, and any bytes are a key.
            unsafe { keys.set_len(count) };
            // SAFETY: as before, for the values of each key.
            unsafe { values.set_len(count * self.of_each) };
            for (key, values) in keys.iter().zip(values.chunks_exact(self.of_each)) {
                show(key, values);
            }
            if is_last {
                return Ok(());
            }
            (position, is_begun) = (next, true);
        }
    }
}
