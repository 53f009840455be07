//! The package on whole machines: `cargo xtask test --machine debian-12`.
//!
//! A system of Debian's (debootstrap), with Debian's kernel and systemd, is booted in an emulator. The
//! package is installed there as people do it. The machine is a gateway between two hosts, which are
//! this process in two network namespaces: one sends what is allowed and what is forbidden
//! without a pause, the other counts what arrives. So it is known of every moment of a
//! boot, an upgrade or a crash whether anything slipped through, or was lost.

mod emulator;
mod newer;
mod probe;
mod root;
mod scenarios;
mod shell;
mod wire;

use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow, bail, ensure};

use crate::debian::{self, Missing};
use crate::kernel::package as kernels;
use crate::package;
use crate::process::{step, workspace};
use crate::setup;
use scenarios::Given;

/// A distribution, and the kernel that it has.
struct Distribution {
    name: &'static str,
    /// As the mirror calls it.
    suite: &'static str,
    kernel: &'static str,
}

const DISTRIBUTIONS: [Distribution; 2] = [
    Distribution {
        name: "debian-12",
        suite: "bookworm",
        kernel: "6.1",
    },
    Distribution {
        name: "debian-13",
        suite: "trixie",
        kernel: "6.12",
    },
];

/// What is asked for.
pub struct Order<'a> {
    pub machines: &'a [String],
    /// This package, and not one of the checkout.
    pub package: Option<&'a Path>,
    /// What it takes the place of, and not itself.
    pub before: Option<&'a Path>,
}

/// A machine that waits to be booted, with the package.
pub struct Trial(Given);

/// Makes the machines and the packages that are tried on them.
///
/// # Errors
/// A machine or a package that cannot be made.
pub fn prepare(order: &Order, missing: Missing) -> Result<Vec<Trial>> {
    if order.machines.is_empty() {
        return Ok(Vec::new());
    }
    let known = |name: &String| {
        let found = DISTRIBUTIONS.iter().find(|one| one.name == name);
        let names = DISTRIBUTIONS.map(|one| one.name).join(", ");
        found.with_context(|| format!("there is no machine {name}: there are {names}"))
    };
    let machines: Vec<_> = order.machines.iter().map(known).collect::<Result<_>>()?;
    setup::all(debian::MACHINES, missing)?;
    let package = match order.package {
        Some(package) => package.canonicalize().context("--package")?,
        None => package::debian(missing)?,
    };
    let before = match order.before {
        Some(before) => before.canonicalize().context("--before")?,
        None => package.clone(),
    };
    let newest = newer::than(&before, package)?;
    let made = |distribution: &Distribution| {
        step(&format!(
            "{}: making the machine (minutes, the first time)",
            distribution.name
        ));
        let kernel = kernels::kernel(distribution.kernel)?;
        Ok(Trial(Given {
            name: distribution.name,
            kernel: kernel.image(),
            image: root::image(distribution, &kernel, &before, &newest)?,
        }))
    };
    machines.into_iter().map(made).collect()
}

/// Tries the package on one machine after the other.
///
/// # Errors
/// What was otherwise than the manual says, all of it after all have run.
pub fn run(trials: &[Trial]) -> Result<()> {
    let mut failed = Vec::new();
    for Trial(given) in trials {
        // A thread of its own, because it leaves this network for good.
        let result = thread::scope(|scope| scope.spawn(|| scenarios::all(given)).join());
        match result.unwrap_or_else(|_| Err(anyhow!("the test panicked"))) {
            Ok(()) => step(&format!("{}: all as the manual says", given.name)),
            Err(error) => {
                step(&format!("{}: {error:#}", given.name));
                failed.push(given.name);
            }
        }
    }
    ensure!(failed.is_empty(), "failed on {}", failed.join(" and "));
    Ok(())
}

/// Where everything about machines is kept.
fn folder() -> PathBuf {
    workspace().join("target/machines")
}

/// Waits until something is so, or says that it never was.
fn until<T>(what: &str, limit: Duration, mut look: impl FnMut() -> Result<Option<T>>) -> Result<T> {
    let end = Instant::now() + limit;
    loop {
        if let Some(found) = look()? {
            return Ok(found);
        }
        if Instant::now() > end {
            bail!("{what}: not within {} seconds", limit.as_secs());
        }
        thread::sleep(Duration::from_millis(200));
    }
}
