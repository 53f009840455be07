//! Taking a pinned hook off its interface, at once.
//!
//! Removing the pin of a link alone lets the kernel free the link some time later,
//! and the program goes on judging until then. aya does not offer
//! `BPF_LINK_DETACH`, so this asks the kernel itself (kernel/bpf/syscall.c, since
//! 5.9). A pinned program stands for the filter that runs it, which is removed.

use super::attach::clsact;
use anyhow::{Context as _, Result};
use aya::programs::ProgramInfo;
use std::ffi::CString;
use std::fs;
use std::io::{Error, ErrorKind};
use std::os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

const BPF_OBJ_GET: libc::c_int = 7;
const BPF_OBJ_GET_INFO_BY_FD: libc::c_int = 15;
const BPF_LINK_DETACH: libc::c_int = 34;

/// What the kernel calls a descriptor of a program (kernel/bpf/syscall.c).
const PROGRAM: &str = "anon_inode:bpf-prog";

/// `union bpf_attr`, as `BPF_OBJ_GET` reads it.
#[repr(C)]
struct ObjectGet {
    path: u64,
    fd: u32,
    flags: u32,
}

/// `union bpf_attr`, as `BPF_OBJ_GET_INFO_BY_FD` reads it.
#[repr(C)]
struct ObjectInfo {
    fd: u32,
    length: u32,
    info: u64,
}

/// The beginning of `struct bpf_link_info` (include/uapi/linux/bpf.h): links of XDP and
/// of TCX both begin their own part with the interface.
#[repr(C)]
#[derive(Default)]
struct LinkInfo {
    kind: u32,
    id: u32,
    program: u32,
    padding: u32,
    interface: u32,
    attach_type: u32,
}

/// What is pinned for a hook. aya opens either as the other.
pub enum Pinned {
    /// A link.
    Link(OwnedFd),
    /// The program of a filter, by its id.
    Program(u32),
}

impl Pinned {
    /// What is pinned at `path`, if anything is.
    ///
    /// # Errors
    /// The pin cannot be opened.
    pub fn at(path: &Path) -> Result<Option<Self>> {
        let fd = match open(path) {
            Ok(fd) => fd,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error).with_context(|| format!("opening {}", path.display())),
        };
        let name = fs::read_link(format!("/proc/self/fd/{}", fd.as_raw_fd()))
            .context("asking /proc what is pinned")?;
        if name != Path::new(PROGRAM) {
            return Ok(Some(Self::Link(fd)));
        }
        let info =
            ProgramInfo::from_pin(path).with_context(|| format!("opening {}", path.display()))?;
        Ok(Some(Self::Program(info.id())))
    }
}

/// Detaches what is pinned at `path`, and removes the pin. A pin that is not
/// there is no error, nor is a hook whose card is gone.
///
/// # Errors
/// The filter or the pin cannot be removed.
pub fn unhook(path: &Path) -> Result<()> {
    match Pinned::at(path)? {
        None => return Ok(()),
        Some(Pinned::Program(id)) => clsact::remove(id)?,
        Some(Pinned::Link(link)) => {
            if let Err(error) = bpf(BPF_LINK_DETACH, &link.as_raw_fd()) {
                tracing::debug!("detaching {}: {error}", path.display());
            }
        }
    }
    match fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            Err(error).with_context(|| format!("removing {}", path.display()))
        }
        _ => Ok(()),
    }
}

fn open(path: &Path) -> Result<OwnedFd, Error> {
    let path = CString::new(path.as_os_str().as_bytes())?;
    let get = ObjectGet {
        path: path.as_ptr() as u64,
        fd: 0,
        flags: 0,
    };
    let number = bpf(BPF_OBJ_GET, &get)?;
    // SAFETY: the kernel has just opened this descriptor for us alone.
    Ok(unsafe { OwnedFd::from_raw_fd(number) })
}

/// The number of the interface that a link hangs on; 0 if it hangs on none any more.
///
/// # Errors
/// The kernel tells nothing about the link.
pub fn interface_of(link: &OwnedFd) -> Result<u32> {
    let mut info = LinkInfo::default();
    let get = ObjectInfo {
        fd: link.as_raw_fd() as u32,
        length: size_of::<LinkInfo>() as u32,
        info: std::ptr::from_mut(&mut info) as u64,
    };
    bpf(BPF_OBJ_GET_INFO_BY_FD, &get).context("asking about a link")?;
    Ok(info.interface)
}

/// `bpf(2)`; the kernel takes what is behind `attributes` as zeros.
fn bpf<T>(command: libc::c_int, attributes: &T) -> Result<libc::c_int, Error> {
    // SAFETY: the kernel reads the given size at most, of memory that outlives the call.
    let result = unsafe {
        libc::syscall(
            libc::SYS_bpf,
            command,
            std::ptr::from_ref(attributes),
            size_of::<T>(),
        )
    };
    if result < 0 {
        return Err(Error::last_os_error());
    }
    Ok(result as libc::c_int)
}
