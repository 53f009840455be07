//! Installs packages without a service of theirs being started, now or at the next boot.
//!
//! Two things are changed on the machine for that: a file that forbids packages to start
//! services (`policy-rc.d`, see invoke-rc.d(8) and Debian Policy 9.3), and their services are
//! disabled afterwards. Before the first, a record of both is written, so that the next run
//! can do what is left to do if this one is killed.

use std::fs::{self, File, TryLockError};
use std::io::{ErrorKind, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context as _, Result, bail};
use nix::fcntl::{FcntlArg, FdFlag, fcntl};

use crate::process::{command, is_installed, step, system};

/// 101: "forbidden". Only a file with exactly this text is ever removed.
const POLICY: &str = "#!/bin/sh\n\
    # Written by sccm-agent's `cargo xtask`, while it installs packages.\n\
    exit 101\n";

/// While it lives, packages start no service.
pub struct Quiet {
    /// Locked as long as this process lives, or an apt-get that it started.
    _record: File,
    services: Vec<String>,
}

impl Quiet {
    pub fn new(services: &[&str]) -> Result<Self> {
        let record = record();
        let folder = record.parent().context("the record has no folder")?;
        fs::create_dir_all(folder).with_context(|| format!("making {}", folder.display()))?;
        let open = || -> Result<File> {
            let mut file = File::create_new(&record)?;
            file.try_lock()?;
            fcntl(&file, FcntlArg::F_SETFD(FdFlag::empty())).context("passing the lock on")?;
            file.write_all(services.join("\n").as_bytes())?;
            Ok(file)
        };
        let file = open().with_context(|| format!("writing {}", record.display()))?;
        let quiet = Self {
            _record: file,
            services: services.iter().map(|name| (*name).to_owned()).collect(),
        };
        forbid_services()?;
        Ok(quiet)
    }
}

impl Drop for Quiet {
    fn drop(&mut self) {
        put_back(&self.services);
    }
}

/// Does what a run that was killed has left to do.
///
/// # Errors
/// Another run, or an apt-get that it started, is installing packages now.
pub fn recover() -> Result<()> {
    let record = record();
    let file = match File::open(&record) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        file => file.with_context(|| format!("opening {}", record.display()))?,
    };
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            bail!("another `cargo xtask` is installing packages: wait for it, then run this again")
        }
        Err(TryLockError::Error(error)) => {
            return Err(error).with_context(|| format!("locking {}", record.display()));
        }
    }
    step("an earlier run was killed while it installed packages: putting back what it changed");
    let services = fs::read_to_string(&record);
    let services = services.with_context(|| format!("reading {}", record.display()))?;
    let services: Vec<String> = services.lines().map(str::to_owned).collect();
    put_back(&services);
    Ok(())
}

/// Where somebody has decided already what packages may start, as in most containers, that holds.
fn forbid_services() -> Result<()> {
    let policy = policy();
    if policy.exists() {
        return Ok(());
    }
    let write = || -> Result<()> {
        fs::write(&policy, POLICY)?;
        fs::set_permissions(&policy, fs::Permissions::from_mode(0o755))?;
        Ok(())
    };
    write().with_context(|| format!("writing {}", policy.display()))
}

/// Disables the services, and removes the policy and then the record.
fn put_back(services: &[String]) {
    if is_installed("systemctl") {
        for service in services {
            let mut disable = command("systemctl");
            disable.args(["--quiet", "disable", service]);
            let Ok(output) = disable.stdin(Stdio::null()).output() else {
                continue;
            };
            let error = String::from_utf8_lossy(&output.stderr);
            // As where apt-get was stopped before it came to the package of this service.
            let is_absent = error.contains("does not exist");
            if !output.status.success() && !is_absent {
                eprintln!("disable the service {service}: {}", error.trim());
            }
        }
    }
    let policy = policy();
    if fs::read_to_string(&policy).is_ok_and(|text| text == POLICY) {
        remove(&policy, "or no package will start its service");
    }
    remove(&record(), "or every run will do this again");
}

fn remove(path: &Path, else_what: &str) {
    if let Err(error) = fs::remove_file(path) {
        eprintln!("remove {}, {else_what}: {error}", path.display());
    }
}

/// The program that packages ask whether they may start a service.
fn policy() -> PathBuf {
    system("usr/sbin/policy-rc.d")
}

/// Says which services a run has to disable. One for the machine, as the policy is.
fn record() -> PathBuf {
    system("var/lib/sccm-agent-xtask/installing")
}
