//! What of the running kernel the agent uses, and finds there.

use super::TcHook;
use super::pins::has_bpf_fs;
use anyhow::{Context as _, Result};
use nix::sys::utsname::uname;
use serde::Serialize;
use std::fs;
use std::path::Path;

/// The kernel's features.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Features {
    /// What it calls itself.
    pub release: String,
    /// It says of what types it is made (`/sys/kernel/btf/vmlinux`).
    pub btf: bool,
    /// Outgoing packets are judged at TCX; else at clsact.
    pub tcx: bool,
    /// It compiles programs to machine code; null where it does not tell: to root alone, and in the machine's
    /// first network namespace.
    pub jit: Option<bool>,
    /// Programs and maps can be pinned at `/sys/fs/bpf`.
    pub bpf_file_system: bool,
}

impl Features {
    /// Asks the kernel. Needs no rights.
    ///
    /// # Errors
    /// It does not say what it is.
    pub fn of_this_kernel() -> Result<Self> {
        let name = uname().context("asking for the kernel's version")?;
        let jit = fs::read_to_string("/proc/sys/net/core/bpf_jit_enable");
        Ok(Self {
            release: name.release().to_string_lossy().into_owned(),
            btf: Path::new("/sys/kernel/btf/vmlinux").exists(),
            tcx: TcHook::of_this_kernel() == TcHook::Tcx,
            jit: jit.ok().map(|text| text.trim() != "0"),
            bpf_file_system: has_bpf_fs(),
        })
    }
}
