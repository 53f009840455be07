//! What the agent's process may do, once it has begun.
//!
//! Each thread has capabilities of its own: those of the runtime give up theirs when they begin, and the
//! one that makes the start when the start is done.

use anyhow::{Context as _, Result};
use caps::{CapSet, Capability, CapsHashSet};
use nix::sys::prctl;
use seccompiler::{BpfProgram, SeccompAction, SeccompFilter, apply_filter_all_threads};
use std::collections::BTreeMap;
use std::env::consts::ARCH;

/// What following cards and publishing policies takes: loading programs and reading their maps, packet
/// pointers in these, and attaching them.
const NEEDED: [Capability; 3] = [
    Capability::CAP_BPF,
    Capability::CAP_PERFMON,
    Capability::CAP_NET_ADMIN,
];

/// What no agent does. A list of all that it does would change with its libraries.
const REFUSED: &[libc::c_long] = &[
    // Other programs, and other processes.
    libc::SYS_execve,
    libc::SYS_execveat,
    libc::SYS_ptrace,
    libc::SYS_process_vm_readv,
    libc::SYS_process_vm_writev,
    libc::SYS_pidfd_getfd,
    // The tree of files, namespaces, and files without a path.
    libc::SYS_mount,
    libc::SYS_umount2,
    libc::SYS_move_mount,
    libc::SYS_fsopen,
    libc::SYS_fspick,
    libc::SYS_fsconfig,
    libc::SYS_fsmount,
    libc::SYS_open_tree,
    libc::SYS_mount_setattr,
    libc::SYS_pivot_root,
    libc::SYS_chroot,
    libc::SYS_setns,
    libc::SYS_unshare,
    libc::SYS_open_by_handle_at,
    // The kernel itself.
    libc::SYS_init_module,
    libc::SYS_finit_module,
    libc::SYS_delete_module,
    libc::SYS_kexec_load,
    libc::SYS_kexec_file_load,
    libc::SYS_reboot,
    libc::SYS_swapon,
    libc::SYS_swapoff,
    libc::SYS_acct,
    libc::SYS_settimeofday,
    libc::SYS_clock_settime,
    libc::SYS_adjtimex,
    libc::SYS_clock_adjtime,
    libc::SYS_sethostname,
    libc::SYS_setdomainname,
    // What exploits like.
    libc::SYS_userfaultfd,
    libc::SYS_io_uring_setup,
    libc::SYS_add_key,
    libc::SYS_request_key,
    libc::SYS_keyctl,
    libc::SYS_personality,
];

/// For the whole process, before its second thread begins: no program that it runs has more rights,
/// and nobody gets its memory, in which secrets are, as a core dump or by tracing it without
/// `CAP_SYS_PTRACE`.
pub fn lock() -> Result<()> {
    prctl::set_no_new_privs().context("giving up new privileges")?;
    prctl::set_dumpable(false).context("turning core dumps off")
}

/// Leaves the calling thread the capabilities that are needed after the start.
pub fn lower() -> Result<()> {
    let lower = || {
        let mut kept = caps::read(None, CapSet::Permitted)?;
        kept.retain(|capability| NEEDED.contains(capability));
        caps::set(None, CapSet::Effective, &kept)?;
        caps::set(None, CapSet::Permitted, &kept)?;
        caps::set(None, CapSet::Inheritable, &CapsHashSet::new())
    };
    lower().context("giving up capabilities")
}

/// Has the kernel refuse, to all threads, what no agent does.
pub fn filter() -> Result<()> {
    let Ok(arch) = ARCH.try_into() else {
        tracing::info!("the agent has no system call filter for {ARCH}");
        return Ok(());
    };
    let refused: BTreeMap<_, _> = REFUSED.iter().map(|call| (*call, Vec::new())).collect();
    let refuse = SeccompAction::Errno(libc::EPERM as u32);
    let filter = SeccompFilter::new(refused, SeccompAction::Allow, refuse, arch)?;
    let filter: BpfProgram = filter.try_into()?;
    apply_filter_all_threads(&filter).context("refusing system calls")
}
