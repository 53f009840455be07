//! The few calls of `bpf(2)` that measuring needs, by the system call itself.
//!
//! The programs that serve as floors are a handful of instructions, which need no compiler, and
//! they and the real programs are to be run in exactly the same way. The structures below are the
//! beginnings of `union bpf_attr` (include/uapi/linux/bpf.h) that each command reads; the kernel
//! takes what a caller leaves away for zeros.

use std::io;
use std::os::fd::{AsRawFd as _, BorrowedFd, FromRawFd as _, OwnedFd, RawFd};

use anyhow::{Context as _, Result};
use sccm_common::Hook;

/// An instruction (`struct bpf_insn`) of a little-endian machine.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct Instruction {
    code: u8,
    /// The destination in the lower half, the source in the upper.
    registers: u8,
    offset: i16,
    immediate: i32,
}

impl Instruction {
    /// One instruction: operation, destination and source register, offset, constant.
    pub const fn new(code: u8, registers: (u8, u8), offset: i16, immediate: i32) -> Self {
        Self {
            code,
            registers: registers.0 | registers.1 << 4,
            offset,
            immediate,
        }
    }
}

/// What a test run said.
#[derive(Clone, Copy, Debug)]
pub struct Run {
    /// What the program returned the last time.
    pub returned: u32,
    /// Time per packet in nanoseconds: the average, which the kernel rounds down.
    pub nanoseconds: u32,
}

const MAP_CREATE: libc::c_long = 0;
const MAP_UPDATE: libc::c_long = 2;
const PROGRAM_LOAD: libc::c_long = 5;
const PROGRAM_TEST_RUN: libc::c_long = 10;
const LINK_CREATE: libc::c_long = 28;

const SCHEDULER_CLASSIFIER: u32 = 3;
const XDP: u32 = 6;
const XDP_HAS_FRAGMENTS: u32 = 1 << 5;
const ATTACH_XDP: u32 = 37;
const PROGRAM_ARRAY: u32 = 3;

/// XDP in the driver (`XDP_FLAGS_DRV_MODE`).
const NATIVE: u32 = 1 << 2;

/// `BPF_F_TEST_XDP_LIVE_FRAMES`.
const LIVE_FRAMES: u32 = 1 << 1;

/// Live frames that are made at once; the receiving end takes 256 at most.
const BATCH: u32 = 64;

/// Loads a program that is as the real one of this hook in everything but what it does.
pub fn load(hook: Hook, instructions: &[Instruction]) -> Result<OwnedFd> {
    #[repr(C)]
    struct Attributes {
        kind: u32,
        count: u32,
        instructions: u64,
        license: u64,
        log: [u32; 4],
        kernel_version: u32,
        flags: u32,
        name: [u8; 16],
        interface: u32,
        attach_type: u32,
    }
    let license = c"GPL";
    let (kind, flags, attach_type) = match hook {
        Hook::Ingress => (XDP, XDP_HAS_FRAGMENTS, ATTACH_XDP),
        Hook::Egress => (SCHEDULER_CLASSIFIER, 0, 0),
    };
    let mut attributes = Attributes {
        kind,
        count: u32::try_from(instructions.len())?,
        instructions: instructions.as_ptr() as u64,
        license: license.as_ptr() as u64,
        log: [0; 4],
        kernel_version: 0,
        flags,
        name: [0; 16],
        interface: 0,
        attach_type,
    };
    // SAFETY: the attributes point to the instructions and to a C string, both alive.
    let made = unsafe { bpf(PROGRAM_LOAD, &mut attributes) };
    let made =
        made.with_context(|| format!("loading a program of {} instructions", instructions.len()))?;
    // SAFETY: the kernel made this descriptor for us.
    Ok(unsafe { OwnedFd::from_raw_fd(made) })
}

/// A map for `bpf_tail_call` with `target` as its only program.
pub fn program_array(target: BorrowedFd<'_>) -> Result<OwnedFd> {
    #[repr(C)]
    struct Create {
        kind: u32,
        key_size: u32,
        value_size: u32,
        entries: u32,
    }
    #[repr(C)]
    struct Update {
        map: RawFd,
        reserved: u32,
        key: u64,
        value: u64,
        flags: u64,
    }
    let mut create = Create {
        kind: PROGRAM_ARRAY,
        key_size: 4,
        value_size: 4,
        entries: 1,
    };
    // SAFETY: nothing in the attributes points anywhere.
    let made = unsafe { bpf(MAP_CREATE, &mut create) }.context("making a program array")?;
    // SAFETY: the kernel made this descriptor for us.
    let map = unsafe { OwnedFd::from_raw_fd(made) };
    let (key, value) = (0_u32, target.as_raw_fd());
    let mut update = Update {
        map: map.as_raw_fd(),
        reserved: 0,
        key: &raw const key as u64,
        value: &raw const value as u64,
        flags: 0,
    };
    // SAFETY: key and value have the four bytes each that the map was made for.
    unsafe { bpf(MAP_UPDATE, &mut update) }.context("filling a program array")?;
    Ok(map)
}

/// Attaches a program to a card of the current namespace, in the driver.
pub fn attach_xdp(program: BorrowedFd<'_>, card: u32) -> Result<OwnedFd> {
    #[repr(C)]
    struct Attributes {
        program: RawFd,
        card: u32,
        attach_type: u32,
        flags: u32,
    }
    let mut attributes = Attributes {
        program: program.as_raw_fd(),
        card,
        attach_type: ATTACH_XDP,
        flags: NATIVE,
    };
    // SAFETY: nothing in the attributes points anywhere.
    let made = unsafe { bpf(LINK_CREATE, &mut attributes) }.context("attaching a program")?;
    // SAFETY: the kernel made this descriptor for us.
    Ok(unsafe { OwnedFd::from_raw_fd(made) })
}

/// What `BPF_PROG_TEST_RUN` reads.
#[repr(C)]
#[derive(Default)]
struct TestRun {
    program: RawFd,
    returned: u32,
    size_in: u32,
    size_out: u32,
    data_in: u64,
    data_out: u64,
    repeat: u32,
    duration: u32,
    context_size_in: u32,
    context_size_out: u32,
    context_in: u64,
    context_out: u64,
    flags: u32,
    cpu: u32,
    batch: u32,
    reserved: u32,
}

/// [`test_run`] of a TC program on a frame that came in through an interface of that number.
pub fn test_run_from(
    program: BorrowedFd<'_>,
    frame: &[u8],
    interface: u32,
    repeat: u32,
) -> Result<Run> {
    // `struct __sk_buff` up to `ingress_ifindex`.
    let mut context = [0_u32; 10];
    context[9] = interface;
    let with = TestRun {
        context_size_in: u32::try_from(size_of_val(&context))?,
        context_in: context.as_ptr() as u64,
        ..TestRun::default()
    };
    run(program, frame, repeat, with)
}

/// Runs a program `repeat` times on the same copy of `frame`.
pub fn test_run(program: BorrowedFd<'_>, frame: &[u8], repeat: u32) -> Result<Run> {
    run(program, frame, repeat, TestRun::default())
}

/// Makes `count` frames out of this one, as if they came in through a card of the current
/// namespace; the program decides what becomes of each, and it does.
pub fn run_live(program: BorrowedFd<'_>, card: u32, frame: &[u8], count: u32) -> Result<()> {
    // `struct xdp_md`: where the frame begins and ends, no metadata, the card, its first queue.
    let context = [0, u32::try_from(frame.len())?, 0, card, 0, 0];
    let live = TestRun {
        flags: LIVE_FRAMES,
        batch: BATCH,
        context_size_in: u32::try_from(size_of_val(&context))?,
        context_in: context.as_ptr() as u64,
        ..TestRun::default()
    };
    run(program, frame, count, live).map(drop)
}

fn run(program: BorrowedFd<'_>, frame: &[u8], repeat: u32, with: TestRun) -> Result<Run> {
    let mut attributes = TestRun {
        program: program.as_raw_fd(),
        size_in: u32::try_from(frame.len())?,
        data_in: frame.as_ptr() as u64,
        repeat,
        ..with
    };
    // SAFETY: the attributes point to the frame, and the context if there is one, with their
    // lengths, and ask for nothing back.
    let run = unsafe { bpf(PROGRAM_TEST_RUN, &mut attributes) };
    run.with_context(|| format!("running a frame of {} bytes", frame.len()))?;
    Ok(Run {
        returned: attributes.returned,
        nanoseconds: attributes.duration,
    })
}

/// `bpf(2)`.
///
/// # Safety
/// `attributes` is laid out as the command reads it, and what it points to is alive.
unsafe fn bpf<T>(command: libc::c_long, attributes: &mut T) -> io::Result<RawFd> {
    let attributes: *mut T = attributes;
    // SAFETY: the caller's promise, and the size is that of the attributes.
    let result = unsafe { libc::syscall(libc::SYS_bpf, command, attributes, size_of::<T>()) };
    match RawFd::try_from(result) {
        Ok(result) if result >= 0 => Ok(result),
        _ => Err(io::Error::last_os_error()),
    }
}
