//! Takes a hook off its card behind an agent's back, and leaves the pin where it is.
//!
//! Nothing but bpf(2) does that to a link, and no crate here offers it.

use std::ffi::CString;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use anyhow::{Context, Result};
use nix::errno::Errno;

/// Commands of bpf(2) (include/uapi/linux/bpf.h).
const BPF_OBJ_GET: libc::c_int = 7;
const BPF_LINK_DETACH: libc::c_int = 34;

/// Detaches the link that is pinned at `pin`.
pub fn detach(pin: &Path) -> Result<()> {
    let path = CString::new(pin.as_os_str().as_bytes())?;
    // The attributes of BPF_OBJ_GET: a path, then a descriptor and flags that are 0.
    let link = bpf(BPF_OBJ_GET, &[path.as_ptr() as u64, 0]).context("opening a pin")?;
    // SAFETY: the kernel has just opened this descriptor for us alone.
    let link = unsafe { OwnedFd::from_raw_fd(link) };
    bpf(BPF_LINK_DETACH, &[link.as_raw_fd() as u64, 0]).context("detaching a link")?;
    Ok(())
}

fn bpf(command: libc::c_int, attributes: &[u64; 2]) -> Result<libc::c_int, Errno> {
    // SAFETY: the kernel reads the given size, of memory that outlives the call.
    let result = unsafe {
        libc::syscall(
            libc::SYS_bpf,
            command,
            attributes.as_ptr(),
            size_of_val(attributes),
        )
    };
    Errno::result(result as libc::c_int)
}
