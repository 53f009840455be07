//! bpf(2): the commands that aya does not offer.
//!
//! No other file makes this system call. Layouts and numbers come from aya-obj, which
//! generates them from include/uapi/linux/bpf.h.

pub use aya_obj::generated::{bpf_attr, bpf_cmd};

use aya::Pod;
use aya_obj::generated::{bpf_attach_type, bpf_insn, bpf_link_info, bpf_link_type, bpf_prog_type};
use sccm_common::Hook;
use std::ffi::CString;
use std::fs::File;
use std::io::Error;
use std::mem;
use std::os::fd::{AsFd, AsRawFd as _, BorrowedFd, FromRawFd as _, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

/// Where a walk through a map stands: a key, or the number of a bucket.
pub(super) type Position = [u8; 64];

/// Attributes of which a command fills in its own. All others must be zeros
/// (`CHECK_ATTR`, kernel/bpf/syscall.c).
#[must_use]
pub fn attributes() -> bpf_attr {
    // SAFETY: every part of this union consists of integers.
    unsafe { mem::zeroed() }
}

/// Calls bpf(2), and returns what the command returns.
///
/// # Safety
/// The attributes are those of the command. What they point to lives, and is as long as they
/// say.
///
/// # Errors
/// The kernel's answer.
pub unsafe fn call(command: bpf_cmd, attributes: &mut bpf_attr) -> Result<RawFd, Error> {
    // SAFETY: the caller's promise, and the size is that of the attributes.
    let result = unsafe {
        libc::syscall(
            libc::SYS_bpf,
            command as libc::c_int,
            std::ptr::from_mut(attributes),
            size_of::<bpf_attr>(),
        )
    };
    if result < 0 {
        return Err(Error::last_os_error());
    }
    Ok(result as RawFd)
}

/// Opens what is pinned at `path`: a map, a program or a link.
///
/// # Errors
/// `NotFound` if there is nothing; no permission.
pub fn open_pin(path: &Path) -> Result<OwnedFd, Error> {
    let path = CString::new(path.as_os_str().as_bytes())?;
    let mut attributes = attributes();
    attributes.__bindgen_anon_4.pathname = path.as_ptr() as u64;
    // SAFETY: the path is a C string that outlives the call.
    unsafe { open(bpf_cmd::BPF_OBJ_GET, attributes) }
}

/// Calls bpf(2) with a command that opens something.
///
/// # Safety
/// As for [`call`].
unsafe fn open(command: bpf_cmd, mut attributes: bpf_attr) -> Result<OwnedFd, Error> {
    // SAFETY: the caller's promise.
    let number = unsafe { call(command, &mut attributes) }?;
    // SAFETY: the kernel has opened this descriptor for this call alone.
    Ok(unsafe { OwnedFd::from_raw_fd(number) })
}

/// Takes the program of a link off its interface at once. Closing a link does so some time
/// later. Since Linux 5.9.
///
/// # Errors
/// The descriptor is no link.
pub fn detach_link(link: impl AsFd) -> Result<(), Error> {
    let mut attributes = attributes();
    attributes.link_detach.link_fd = number(link.as_fd());
    // SAFETY: the attributes hold no pointer.
    unsafe { call(bpf_cmd::BPF_LINK_DETACH, &mut attributes) }.map(drop)
}

/// What a link is, and where.
pub(super) struct LinkInfo {
    /// By XDP, not TCX.
    pub(super) is_xdp: bool,
    /// The number of its interface; 0 once that is gone or the link is detached.
    pub(super) interface: u32,
}

/// Asks about an XDP or TCX link.
///
/// # Errors
/// The descriptor is no link.
pub(super) fn link_info(link: impl AsFd) -> Result<LinkInfo, Error> {
    // SAFETY: every part of this structure consists of integers.
    let mut info: bpf_link_info = unsafe { mem::zeroed() };
    let mut attributes = attributes();
    attributes.info.bpf_fd = number(link.as_fd());
    attributes.info.info_len = size_of_val(&info) as u32;
    attributes.info.info = std::ptr::from_mut(&mut info) as u64;
    // SAFETY: the kernel writes at most as many bytes as `info` has.
    unsafe { call(bpf_cmd::BPF_OBJ_GET_INFO_BY_FD, &mut attributes) }?;
    Ok(LinkInfo {
        is_xdp: info.type_ == bpf_link_type::BPF_LINK_TYPE_XDP as u32,
        // SAFETY: XDP and TCX both begin their part of the union with this integer.
        interface: unsafe { info.__bindgen_anon_1.xdp.ifindex },
    })
}

/// An instruction of a program: operation, registers to and from, offset, and value.
pub(super) fn instruction(code: u32, (to, from): (u8, u8), off: i16, imm: i32) -> bpf_insn {
    bpf_insn {
        code: code as u8,
        _bitfield_align_1: [],
        _bitfield_1: bpf_insn::new_bitfield_1(to, from),
        off,
        imm,
    }
}

/// Has the kernel call a program for each of its things of a kind, which `target` says: the number of
/// the type of the function `bpf_iter_*`. What the program writes is read from the file. Since Linux 5.8.
///
/// # Errors
/// The kernel refuses the program.
pub(super) fn iterate(target: u32, program: &[bpf_insn]) -> Result<File, Error> {
    // Some of the functions that it may call are for programs under the GPL, too.
    let licence = c"Dual MIT/GPL";
    let mut attributes = attributes();
    attributes.__bindgen_anon_3.prog_type = bpf_prog_type::BPF_PROG_TYPE_TRACING as u32;
    attributes.__bindgen_anon_3.expected_attach_type = bpf_attach_type::BPF_TRACE_ITER as u32;
    attributes.__bindgen_anon_3.attach_btf_id = target;
    attributes.__bindgen_anon_3.insns = program.as_ptr() as u64;
    attributes.__bindgen_anon_3.insn_cnt = program.len() as u32;
    attributes.__bindgen_anon_3.license = licence.as_ptr() as u64;
    // SAFETY: program and licence outlive the call, and have the length that is given and a zero at the end.
    let program = unsafe { open(bpf_cmd::BPF_PROG_LOAD, attributes) }?;
    let mut attributes = self::attributes();
    attributes.link_create.__bindgen_anon_1.prog_fd = number(program.as_fd());
    attributes.link_create.attach_type = bpf_attach_type::BPF_TRACE_ITER as u32;
    // SAFETY: the attributes hold no pointer.
    let link = unsafe { open(bpf_cmd::BPF_LINK_CREATE, attributes) }?;
    let mut attributes = self::attributes();
    attributes.iter_create.link_fd = number(link.as_fd());
    // SAFETY: the attributes hold no pointer.
    Ok(unsafe { open(bpf_cmd::BPF_ITER_CREATE, attributes) }?.into())
}

/// The ids of the programs at a hook of an interface by TCX, in the order in which they run. Since
/// Linux 6.6.
///
/// # Errors
/// There is no such interface; the kernel has no TCX.
pub(super) fn tcx(interface: u32, hook: Hook) -> Result<Vec<u32>, Error> {
    // No chain has more (BPF_MPROG_MAX, kernel/bpf/mprog.c).
    let mut ids = [0_u32; 64];
    let mut attributes = attributes();
    attributes.query.__bindgen_anon_1.target_ifindex = interface;
    attributes.query.attach_type = match hook {
        Hook::Ingress => bpf_attach_type::BPF_TCX_INGRESS,
        Hook::Egress => bpf_attach_type::BPF_TCX_EGRESS,
    } as u32;
    attributes.query.prog_ids = ids.as_mut_ptr() as u64;
    attributes.query.__bindgen_anon_2.count = ids.len() as u32;
    // SAFETY: the kernel writes at most `count` ids.
    unsafe { call(bpf_cmd::BPF_PROG_QUERY, &mut attributes) }?;
    // No program has the id 0.
    Ok(ids.into_iter().take_while(|id| *id != 0).collect())
}

/// Reads the elements of a map that come behind `position`, or the first ones, into `keys` and
/// `values`: as many as they have capacity for, with `per_key` values each. Returns the
/// position of the last; `None` if there is no element behind it. Since Linux 5.6.
///
/// # Safety
/// The map's keys are of type `K` and no longer than a [`Position`]; for each there are
/// `per_key` values of type `V`.
///
/// # Errors
/// The kernel refuses; `ENOSPC` if a bucket of a hash table has more elements than there is
/// capacity for.
pub(super) unsafe fn lookup_batch<K: Pod, V: Pod>(
    map: BorrowedFd<'_>,
    position: Option<&Position>,
    (keys, values): (&mut Vec<K>, &mut Vec<V>),
    per_key: usize,
) -> Result<Option<Position>, Error> {
    let room = keys.capacity().min(values.capacity() / per_key);
    let mut next: Position = [0; size_of::<Position>()];
    let mut attributes = attributes();
    attributes.batch.in_batch = position.map_or(0, |position| position.as_ptr() as u64);
    attributes.batch.out_batch = next.as_mut_ptr() as u64;
    attributes.batch.keys = keys.as_mut_ptr() as u64;
    attributes.batch.values = values.as_mut_ptr() as u64;
    attributes.batch.count = room as u32;
    attributes.batch.map_fd = number(map);
    // SAFETY: by the caller's promise, the buffers have room for so many keys and values.
    let result = unsafe { call(bpf_cmd::BPF_MAP_LOOKUP_BATCH, &mut attributes) };
    let more = match result {
        Ok(_) => true,
        Err(error) if error.raw_os_error() == Some(libc::ENOENT) => false,
        Err(error) => return Err(error),
    };
    // SAFETY: the kernel has written this field, an integer.
    let count = (unsafe { attributes.batch.count } as usize).min(room);
    // SAFETY: the kernel has written so many keys, and any bytes are a key.
    unsafe { keys.set_len(count) };
    // SAFETY: likewise for the values of each key.
    unsafe { values.set_len(count * per_key) };
    Ok(more.then_some(next))
}

/// A descriptor as bpf(2) takes it. None that is open is negative.
fn number(descriptor: BorrowedFd<'_>) -> u32 {
    descriptor.as_raw_fd() as u32
}
