//! Sends records to a process: the kernel's side of [`desk`](sccm_common::desk).

use aya_ebpf::maps::RingBuf;
use core::hint::black_box;
use sccm_common::desk::{Desk, Record};

use crate::cursor::Frame;

/// Copies `length` bytes of a frame from `begin` on, or as many as there is room for, behind the header
/// on the desk, and sends both. Counts it if nobody can be told.
#[inline(always)]
pub fn send<Header, const LONGEST: usize>(
    ring: &RingBuf,
    desk: &mut Desk<Header, LONGEST>,
    frame: &impl Frame,
    begin: u32,
    length: u32,
) {
    const { assert!(LONGEST.is_power_of_two()) };
    let count = if length < LONGEST as u32 {
        length
    } else {
        LONGEST as u32
    };
    // From 1 to LONGEST, in a form that every verifier can follow.
    let count = (black_box(count.wrapping_sub(1)) & (LONGEST as u32 - 1)) + 1;
    if !frame.copy_part(&mut desk.record.bytes, begin, count) {
        return;
    }
    // SAFETY: the record is one piece of memory, and has room for as many bytes.
    let record = unsafe {
        core::slice::from_raw_parts(
            (&raw const desk.record).cast::<u8>(),
            size_of::<Record<Header, 0>>() + count as usize,
        )
    };
    if ring.output::<[u8]>(record, 0).is_err() {
        desk.lost += 1;
    }
}
