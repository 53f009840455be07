//! What must hold before anything is touched: privilege and kernel.

use anyhow::{Context as _, Result, bail};
use caps::{CapSet, Capability};
use nix::sys::utsname::uname;

/// The oldest kernel that is meant to work. What is used came with 5.18 (XDP of
/// frames in several buffers); nothing before 6.1 is looked after. Before 6.6
/// there is no TCX, and clsact stands in.
const OLDEST_KERNEL: (u32, u32) = (6, 1);

/// Checks that this process may do what enforcing takes, on a kernel that can.
///
/// # Errors
/// The capability that is missing, or the kernel's age.
pub(crate) fn check() -> Result<()> {
    capabilities()?;
    kernel(&release()?)
}

/// Checks the capabilities: CAP_BPF loads programs, CAP_PERFMON lets them compute with packet pointers,
/// CAP_NET_ADMIN attaches them. CAP_SYS_ADMIN stands for the first two.
///
/// # Errors
/// Those that are missing.
pub(crate) fn capabilities() -> Result<()> {
    let has = |capability| {
        caps::has_cap(None, CapSet::Effective, capability).context("reading capabilities")
    };
    let administrator = has(Capability::CAP_SYS_ADMIN)?;
    let mut missing = Vec::new();
    for capability in [
        Capability::CAP_BPF,
        Capability::CAP_PERFMON,
        Capability::CAP_NET_ADMIN,
    ] {
        let implied = administrator && capability != Capability::CAP_NET_ADMIN;
        if !implied && !has(capability)? {
            missing.push(capability.to_string());
        }
    }
    if missing.is_empty() {
        return Ok(());
    }
    bail!(
        "this needs {}: run it as root, for example with sudo",
        missing.join(" and ")
    )
}

fn release() -> Result<String> {
    Ok(uname()
        .context("reading the kernel's version")?
        .release()
        .to_string_lossy()
        .into_owned())
}

/// Checks the kernel's age.
///
/// # Errors
/// It is older than [`OLDEST_KERNEL`], or calls itself by no version.
pub(crate) fn kernel(release: &str) -> Result<()> {
    let mut numbers = release
        .split(|c: char| !c.is_ascii_digit())
        .map(str::parse::<u32>);
    let (Some(Ok(major)), Some(Ok(minor))) = (numbers.next(), numbers.next()) else {
        bail!("this kernel calls itself `{release}`, which is no version");
    };
    if (major, minor) < OLDEST_KERNEL {
        let (oldest_major, oldest_minor) = OLDEST_KERNEL;
        bail!(
            "this kernel is {release}; sccm-agent needs Linux {oldest_major}.{oldest_minor} or newer"
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kernels_are_told_apart_by_age() {
        for recent in ["6.1.0-18-amd64", "6.5.13", "6.12.9-cloud-amd64", "7.0"] {
            assert!(kernel(recent).is_ok(), "{recent}");
        }
        for old in ["5.15.0-1-amd64", "6.0.19", "4.19"] {
            let error = kernel(old).unwrap_err().to_string();
            assert!(error.contains("6.1 or newer"), "{error}");
        }
        assert!(kernel("unknown").is_err());
    }
}
