//! Somebody else's TC program: it says of every packet that leaves that it is fine, which ends the
//! chain of TC programs.

use std::ffi::{CStr, CString};
use std::os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use anyhow::{Context as _, Result};
use nix::net::if_::if_nametoindex;
use sccm_agent::kernel::bpf::{attributes, bpf_cmd, call};

use sccm_common::Hook;

use crate::netns::Interface;

/// The program type of TC, and the attach types of TCX (include/uapi/linux/bpf.h).
const SCHED_CLS: u32 = 3;
const TCX_INGRESS: u32 = 46;
const TCX_EGRESS: u32 = 47;

/// `BPF_F_BEFORE`: without a relative it means before all others.
const BEFORE: u32 = 8;

/// `r0 = 0; exit`, and 0 is `TC_ACT_OK`.
const RETURN_OK: [u64; 2] = [0xb7, 0x95];

/// A loaded program that is called [`Foreign::NAME`].
#[derive(Debug)]
pub struct Foreign(OwnedFd);

/// Where it stands on an interface. It goes when this is dropped.
#[derive(Debug)]
pub struct Standing(#[expect(dead_code, reason = "it is there to be dropped")] OwnedFd);

impl Foreign {
    /// What the kernel calls it.
    pub const NAME: &str = "foreign_ok";

    /// Loads it.
    pub fn load() -> Result<Self> {
        const LICENSE: &CStr = c"GPL";
        let mut name = [0; 16];
        for (letter, value) in name.iter_mut().zip(Self::NAME.bytes()) {
            *letter = value.cast_signed();
        }
        let mut attributes = attributes();
        attributes.__bindgen_anon_3.prog_type = SCHED_CLS;
        attributes.__bindgen_anon_3.insns = RETURN_OK.as_ptr() as u64;
        attributes.__bindgen_anon_3.insn_cnt = RETURN_OK.len() as u32;
        attributes.__bindgen_anon_3.license = LICENSE.as_ptr() as u64;
        attributes.__bindgen_anon_3.prog_name = name;
        // SAFETY: instructions and licence are static.
        let program = unsafe { call(bpf_cmd::BPF_PROG_LOAD, &mut attributes) };
        let program = program.context("loading a foreign TC program")?;
        // SAFETY: the kernel has opened this descriptor for this call alone.
        Ok(Self(unsafe { OwnedFd::from_raw_fd(program) }))
    }

    /// Attaches it to a hook of the interface by TCX, before all that is there.
    pub fn in_front(&self, interface: &Interface<'_>, hook: Hook) -> Result<Standing> {
        self.attach(interface, hook, BEFORE)
    }

    /// The same at egress, behind all that is there.
    pub fn at_the_end(&self, interface: &Interface<'_>) -> Result<Standing> {
        self.attach(interface, Hook::Egress, 0)
    }

    fn attach(&self, interface: &Interface<'_>, hook: Hook, flags: u32) -> Result<Standing> {
        let inside = || self.attach_here(if_nametoindex(interface.name())?, hook, flags);
        interface.namespace().enter(inside)
    }

    /// Attaches to an interface of this thread's namespace, by its number.
    fn attach_here(&self, index: u32, hook: Hook, flags: u32) -> Result<Standing> {
        let mut attributes = attributes();
        attributes.link_create.__bindgen_anon_1.prog_fd = self.0.as_raw_fd() as u32;
        attributes.link_create.__bindgen_anon_2.target_ifindex = index;
        attributes.link_create.attach_type = match hook {
            Hook::Ingress => TCX_INGRESS,
            Hook::Egress => TCX_EGRESS,
        };
        attributes.link_create.flags = flags;
        // SAFETY: the attributes hold no pointer.
        let link = unsafe { call(bpf_cmd::BPF_LINK_CREATE, &mut attributes) };
        let link = link.context("attaching a foreign TC program")?;
        // SAFETY: the kernel has opened this descriptor for this call alone.
        Ok(Standing(unsafe { OwnedFd::from_raw_fd(link) }))
    }

    /// Pins it, so that `tc` finds it.
    pub fn pin(&self, path: &Path) -> Result<()> {
        let path = CString::new(path.as_os_str().as_bytes())?;
        let mut attributes = attributes();
        attributes.__bindgen_anon_4.pathname = path.as_ptr() as u64;
        attributes.__bindgen_anon_4.bpf_fd = self.0.as_raw_fd() as u32;
        // SAFETY: the path is a C string that outlives the call.
        let pinned = unsafe { call(bpf_cmd::BPF_OBJ_PIN, &mut attributes) };
        pinned.map(drop).context("pinning a foreign TC program")
    }
}
