//! Names on this machine that belong to one process, and what to do when it has gone.
//!
//! A name is `sccm-PID-COUNTER-LABEL`. The process id keeps parallel test programs apart, the
//! counter keeps the threads of one program apart, and both let a later program recognize what a
//! killed one could not remove.

use std::io::ErrorKind;
use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::{Result, ensure};
use nix::errno::Errno;
use nix::sys::signal::kill;
use nix::unistd::{Pid, geteuid};

static COUNTER: AtomicU32 = AtomicU32::new(0);

/// A name that nobody else has. `label` tells a reader what it is for.
pub(crate) fn name(label: &str) -> String {
    let count = COUNTER.fetch_add(1, Ordering::Relaxed);
    format!("sccm-{}-{count}-{label}", std::process::id())
}

/// The entries of `directory` whose names come from [`name`] and whose process has ended.
pub(crate) fn abandoned(directory: &Path) -> Result<Vec<String>> {
    let entries = match directory.read_dir() {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    Ok(entries
        .flatten()
        .filter_map(|entry| entry.file_name().into_string().ok())
        .filter(|name| owner(name).is_some_and(|pid| kill(pid, None) == Err(Errno::ESRCH)))
        .collect())
}

/// Fails with what to do unless this process is root.
pub(crate) fn require_root(purpose: &str) -> Result<()> {
    ensure!(
        geteuid().is_root(),
        "{purpose} needs root: run `cargo test` as root. `cargo xtask test` says how, and \
         installs what the tests start"
    );
    Ok(())
}

fn owner(name: &str) -> Option<Pid> {
    let mut parts = name.strip_prefix("sccm-")?.splitn(3, '-');
    let pid: i32 = parts.next()?.parse().ok()?;
    let _count: u32 = parts.next()?.parse().ok()?;
    parts.next()?;
    (pid > 0).then(|| Pid::from_raw(pid))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_differ_and_belong_to_this_process() {
        let (first, second) = (name("a"), name("a"));
        assert_ne!(first, second);
        assert_eq!(owner(&first), Some(Pid::this()));
    }

    #[test]
    fn other_names_have_no_owner() {
        for other in [
            "sccm-demo-1-x",
            "sccm-12-x",
            "sccm-0-0-x",
            "sccm--5-0-x",
            "eth0",
        ] {
            assert_eq!(owner(other), None, "{other}");
        }
    }

    #[test]
    fn only_what_has_no_living_owner_is_abandoned() {
        let directory = tempfile::tempdir().unwrap();
        // Above the largest process id that Linux gives out (2^22).
        let gone = "sccm-4194305-0-x";
        for entry in [gone, name("x").as_str(), "something-else"] {
            std::fs::write(directory.path().join(entry), "").unwrap();
        }
        assert_eq!(abandoned(directory.path()).unwrap(), [gone]);
        assert!(
            abandoned(&directory.path().join("none"))
                .unwrap()
                .is_empty()
        );
    }
}
