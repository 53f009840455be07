//! Notes the flows of packets that are refused: the kernel's side of [`Notebook`].

use aya_ebpf::macros::map;
use aya_ebpf::maps::{PerCpuArray, RingBuf};
use core::hint::black_box;
use sccm_common::abi::map;
use sccm_common::blocked::{self, BlockedKey, Bucket, Event, Notebook, Set};
use sccm_common::wire::ethernet::{HEADER, Header};
use sccm_common::{Hook, Judgement, Packet};

use crate::cursor::Frame;
use crate::maps::{per_cpu_array, ring_buf};
use crate::parse;
use crate::tables::now;
use crate::word::Word;

#[map]
static BLOCKED: PerCpuArray<Set> = per_cpu_array(&map::BLOCKED);

#[map]
static BUCKETS: PerCpuArray<Bucket> = per_cpu_array(&map::BUCKETS);

#[map]
static EVENTS: RingBuf = ring_buf(&map::EVENTS);

/// Where a program works out what it notes.
#[derive(Clone, Copy)]
#[repr(C)]
struct Workspace {
    key: BlockedKey,
    /// The link header of a frame in which no IP packet was found; zeros behind a shorter frame.
    bytes: [u8; HEADER],
}

/// One element for each hook.
#[map]
static WORKSPACE: PerCpuArray<Workspace> = PerCpuArray::with_max_entries(Hook::COUNT, 0);

/// This CPU's part of the maps.
struct OfCpu;

impl Notebook for OfCpu {
    #[inline(always)]
    fn set(&mut self, index: u32) -> Option<&mut Set> {
        element(&BLOCKED, index)
    }

    #[inline(always)]
    fn bucket(&mut self, reason: u8) -> Option<&mut Bucket> {
        element(&BUCKETS, reason.into())
    }

    #[inline(always)]
    fn tell(&mut self, event: &Event) -> bool {
        EVENTS.output::<Event>(event, 0).is_ok()
    }
}

/// An element of a map that a [`Notebook`] keeps.
#[inline(always)]
#[expect(
    clippy::mut_from_ref,
    reason = "the map is the kernel's, and hands out this CPU's memory"
)]
pub fn element<V>(map: &PerCpuArray<V>, index: u32) -> Option<&mut V> {
    let element = map.get_ptr_mut(index)?;
    // SAFETY: the element is this CPU's. If one program interrupts another, a count may be lost,
    // and every word stays valid.
    Some(unsafe { &mut *element })
}

/// Notes the flow of a packet that is refused.
#[inline(always)]
pub fn note(packet: &Packet, judgement: &Judgement) {
    let key = BlockedKey::of(packet, judgement);
    note_key(&mut OfCpu, &key, judgement);
}

/// Notes the packet that was parsed from a frame that is refused, or the frame itself.
#[inline(always)]
pub fn note_either(hook: Hook, frame: &impl Frame, said: Word) {
    note_in(&mut OfCpu, hook, frame, said, 0);
}

/// The same in any notebook, with `marks` of its own. The key takes a detour through the memory of
/// a map, after which the verifier follows the noting of both once; and it needs no stack.
#[inline(always)]
pub fn note_in<B: Notebook>(
    notebook: &mut B,
    hook: Hook,
    frame: &impl Frame,
    said: Word,
    marks: u8,
) {
    let judgement = &said.judgement(frame.length().into());
    let packet = match said.has_packet() {
        true => parse::packet(hook),
        false => None,
    };
    let Some(workspace) = WORKSPACE.get_ptr_mut(hook as u32) else {
        return;
    };
    // SAFETY: the element is this CPU's, and only this program's on it.
    let workspace = unsafe { &mut *workspace };
    match packet {
        Some(packet) => workspace.key = BlockedKey::of(packet, judgement),
        None => {
            workspace.key = BlockedKey::of_frame(judgement);
            match said.has_link() {
                true => read_link(hook, frame),
                false => workspace.key.set_link(&Header {
                    ethertype: frame.ethertype(),
                    ..Header::default()
                }),
            }
        }
    }
    workspace.key.marks |= marks;
    note_key(notebook, black_box(&workspace.key), judgement);
}

/// Reads the frame's link header once more, into the key. Not inlined, so that other frames pay
/// nothing for it.
#[inline(never)]
fn read_link(hook: Hook, frame: &impl Frame) {
    let Some(workspace) = WORKSPACE.get_ptr_mut(hook as u32) else {
        return;
    };
    // SAFETY: as in `note_either`.
    let Workspace { key, bytes } = unsafe { &mut *workspace };
    *bytes = [0; HEADER];
    let length = frame.length();
    let count = if length < HEADER as u32 {
        length
    } else {
        HEADER as u32
    };
    // From 1 to HEADER, in a form that every verifier can follow.
    let count = (black_box(count.wrapping_sub(1)) & (HEADER as u32 - 1)) + 1;
    frame.copy_part(bytes, 0, count);
    key.set_link(&Header::of(bytes, length));
}

#[inline(always)]
fn note_key<B: Notebook>(notebook: &mut B, key: &BlockedKey, judgement: &Judgement) {
    blocked::note(notebook, key, judgement.length as u32, now());
}
