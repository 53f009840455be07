//! Debian's packages, downloaded and unpacked below `target/kernels`, never
//! installed: this machine keeps its kernel and its boot menu.
//!
//! What has been unpacked once is used until somebody removes the folder, so that
//! two runs test the same.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail, ensure};

use crate::process::{command, is_installed, output, run, step, workspace};

/// An unpacked kernel.
pub struct Kernel {
    /// Where its package's files are, as if that were `/`.
    root: PathBuf,
    /// What `uname -r` says on it.
    release: String,
}

impl Kernel {
    /// What `uname -r` says on it.
    pub fn release(&self) -> &str {
        &self.release
    }

    /// The image to boot.
    pub fn image(&self) -> PathBuf {
        self.root.join(format!("boot/vmlinuz-{}", self.release))
    }

    /// Where its modules are, and the lists of them.
    pub fn modules(&self) -> PathBuf {
        self.root.join("lib/modules").join(&self.release)
    }
}

/// Debian's newest kernel of `version`, such as `6.1`, for virtual machines.
///
/// # Errors
/// What apt offers instead.
pub fn kernel(version: &str) -> Result<Kernel> {
    let is_version = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
    ensure!(
        version.split('.').count() == 2 && version.split('.').all(is_version),
        "`{version}` is no version of a kernel's series: it looks like 6.1"
    );
    let root = folder().join(version);
    unpack(&root, || newest(version))?;
    let boot = root.join("boot");
    let entries = fs::read_dir(&boot).with_context(|| format!("reading {}", boot.display()))?;
    let release = entries
        .flatten()
        .find_map(|entry| Some(entry.file_name().to_str()?.strip_prefix("vmlinuz-")?.into()))
        .with_context(|| format!("{} holds no kernel: remove {0}", root.display()))?;
    Ok(Kernel { root, release })
}

/// One program that is a whole system's worth of them, in need of no library.
///
/// # Errors
/// It cannot be downloaded.
pub fn busybox() -> Result<PathBuf> {
    let root = folder().join("busybox");
    unpack(&root, || Ok("busybox-static".to_owned()))?;
    Ok(root.join("bin/busybox"))
}

/// Where all of this is kept.
pub fn folder() -> PathBuf {
    workspace().join("target/kernels")
}

/// The package of the newest kernel of a series. The names hold the version; those
/// of Debian's development, `-unsigned` and `-dbg`, end otherwise.
fn newest(version: &str) -> Result<String> {
    const SUFFIX: &str = "-cloud-amd64";
    let series = format!("linux-image-{version}.");
    let found = output(command("apt-cache").args(["search", "--names-only", "^linux-image-6"]))?;
    let names: Vec<&str> = found
        .lines()
        .filter_map(|line| line.split_whitespace().next())
        .filter(|name| name.ends_with(SUFFIX))
        .collect();
    let newest = names
        .iter()
        .filter(|name| name.starts_with(&series))
        .max_by_key(|name| numbers(name));
    match newest {
        Some(name) => Ok((*name).to_owned()),
        None => bail!(
            "apt knows no {series}*{SUFFIX} but {}. Debian 12 has 6.1, and 6.12 among its \
             security updates; Debian 13 has 6.12: add the suite to apt's sources",
            match names.is_empty() {
                true => "none at all".to_owned(),
                false => names.join(", "),
            }
        ),
    }
}

/// The numbers in a name, which order the versions of a package.
fn numbers(name: &str) -> Vec<u64> {
    name.split(|c: char| !c.is_ascii_digit())
        .filter_map(|digits| digits.parse().ok())
        .collect()
}

/// Downloads the package that `name` finds and unpacks it to `root`, unless that is there.
fn unpack(root: &Path, name: impl FnOnce() -> Result<String>) -> Result<()> {
    if root.exists() {
        return Ok(());
    }
    if !is_installed("apt-get") || !is_installed("dpkg-deb") {
        bail!("the kernels are Debian's, and there is no apt-get here to download them");
    }
    run(command("apt-get").args(["--quiet", "update"]))?;
    let name = name()?;
    step(&format!("downloading {name}"));
    // An interrupted download must not look like a finished one.
    let download = root.with_extension("new");
    if download.exists() {
        fs::remove_dir_all(&download)
            .with_context(|| format!("removing {}", download.display()))?;
    }
    fs::create_dir_all(&download).with_context(|| format!("making {}", download.display()))?;
    let mut get = command("apt-get");
    // As this user: apt's own has no way into a private folder, and would warn of it.
    get.args(["--quiet", "-o", "APT::Sandbox::User=root", "download"]);
    run(get.arg(&name).current_dir(&download))?;
    let package = fs::read_dir(&download)
        .ok()
        .and_then(|mut entries| entries.next()?.ok())
        .with_context(|| format!("{name} was not downloaded"))?
        .path();
    run(command("dpkg-deb")
        .arg("--extract")
        .arg(&package)
        .arg(&download))?;
    fs::remove_file(&package).with_context(|| format!("removing {}", package.display()))?;
    fs::rename(&download, root).with_context(|| format!("making {}", root.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_ordered_by_number() {
        let old = "linux-image-6.12.9+deb12-cloud-amd64";
        let new = "linux-image-6.12.117+deb12-cloud-amd64";
        assert!(numbers(new) > numbers(old));
    }

    #[test]
    fn what_is_no_series_is_refused() {
        for wrong in ["6", "6.1.0", "6.x", "v6.1", "../6.1", ""] {
            assert!(kernel(wrong).is_err(), "{wrong}");
        }
    }
}
