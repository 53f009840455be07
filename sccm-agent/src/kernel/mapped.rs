//! Maps in the agent's memory: what the programs write is read, and written, without a system call.

use super::{PinDir, maps};
use anyhow::{Context as _, Result, ensure};
use aya::maps::MapData;
use nix::sys::mman::{MapFlags, ProtFlags, mmap, munmap};
use sccm_common::abi::map::{Layout as _, Map, MappedArray};
use std::ffi::c_void;
use std::marker::PhantomData;
use std::num::NonZeroUsize;
use std::os::fd::AsFd as _;
use std::ptr::NonNull;
use std::slice;
use std::sync::atomic::AtomicU64;

/// An array of values that consist of words.
#[derive(Debug)]
pub struct Mapped<V> {
    words: NonNull<c_void>,
    values: usize,
    of: PhantomData<V>,
}

// SAFETY: the memory is shared with the kernel, and accessed as atomic words only.
unsafe impl<V> Send for Mapped<V> {}
// SAFETY: as above.
unsafe impl<V> Sync for Mapped<V> {}

impl<V> Mapped<V> {
    const WORDS: usize = size_of::<V>() / size_of::<u64>();

    /// Maps a pinned map.
    ///
    /// # Errors
    /// The pin is missing or has another shape, or the kernel refuses.
    pub fn open(pins: &PinDir, map: Map<MappedArray<V>>) -> Result<Self> {
        const {
            assert!(size_of::<V>().is_multiple_of(size_of::<u64>()) && size_of::<V>() > 0);
            assert!(align_of::<V>() == align_of::<u64>() && MappedArray::<V>::FLAGS != 0);
        }
        let path = pins.map(map.name);
        let opened =
            MapData::from_pin(&path).with_context(|| format!("opening {}", path.display()))?;
        let info = opened.info()?;
        ensure!(
            maps::has_shape(&info, &map.shape()),
            "{} has another shape",
            path.display()
        );
        let values = info.max_entries() as usize;
        let length = NonZeroUsize::new(values * size_of::<V>());
        let length = length.with_context(|| format!("{} is empty", path.display()))?;
        let access = ProtFlags::PROT_READ | ProtFlags::PROT_WRITE;
        // SAFETY: it is a new mapping, of as many bytes as the map has (`array_map_mmap`,
        // kernel/bpf/arraymap.c).
        let words = unsafe {
            mmap(
                None,
                length,
                access,
                MapFlags::MAP_SHARED,
                opened.fd().as_fd(),
                0,
            )
        };
        Ok(Self {
            words: words.with_context(|| format!("mapping {}", path.display()))?,
            values,
            of: PhantomData,
        })
    }

    /// How many values there are.
    #[must_use]
    #[expect(clippy::len_without_is_empty, reason = "`open` refuses an empty map")]
    pub const fn len(&self) -> usize {
        self.values
    }

    /// The words of a value; `None` beyond the last.
    #[must_use]
    pub fn words(&self, number: usize) -> Option<&[AtomicU64]> {
        if number >= self.values {
            return None;
        }
        let first = self.words.cast::<AtomicU64>();
        // SAFETY: the words of this value lie in the mapping.
        let first = unsafe { first.add(number * Self::WORDS) };
        // SAFETY: the mapping lives as long as this does. An atomic word may be shared with the kernel.
        Some(unsafe { slice::from_raw_parts(first.as_ptr(), Self::WORDS) })
    }
}

impl<V> Drop for Mapped<V> {
    fn drop(&mut self) {
        // SAFETY: the mapping is this value's, and all references to it have ended.
        // It fails only for numbers that `mmap` did not give.
        let _ = unsafe { munmap(self.words, self.values * size_of::<V>()) };
    }
}
