//! What an upgrade brings: a package with a higher version.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};

use super::folder;
use crate::process::{command, output, run};

/// The package itself, or one with the same files and a higher version, because apt takes no other for an
/// upgrade. Commits between two releases have the same version.
pub fn than(before: &Path, package: PathBuf) -> Result<PathBuf> {
    let version =
        |package: &Path| output(command("dpkg-deb").arg("-f").arg(package).arg("Version"));
    if version(before)? != version(&package)? {
        return Ok(package);
    }
    let tree = folder().join("newer");
    if tree.exists() {
        fs::remove_dir_all(&tree).with_context(|| format!("removing {}", tree.display()))?;
    }
    fs::create_dir_all(folder()).context("making target/machines")?;
    run(command("dpkg-deb").arg("-R").arg(&package).arg(&tree))?;
    let control = tree.join("DEBIAN/control");
    let text = fs::read_to_string(&control).context("reading the package's control file")?;
    fs::write(&control, raised(&text)?)?;
    let newer = tree.with_extension("deb");
    run(command("dpkg-deb")
        .args(["--root-owner-group", "-Zgzip", "-z1", "-b"])
        .args([&tree, &newer]))?;
    Ok(newer)
}

fn raised(control: &str) -> Result<String> {
    let line = control.lines().find(|line| line.starts_with("Version: "));
    let line = line.context("the package has no version")?;
    ensure!(!line.contains('+'), "{line} has a part for builds already");
    Ok(control.replacen(line, &format!("{line}+next"), 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_version_differs() {
        let control = "Package: sccm-agent\nVersion: 0.2.0\nDepends: systemd\n";
        let newer = "Package: sccm-agent\nVersion: 0.2.0+next\nDepends: systemd\n";
        assert_eq!(raised(control).unwrap(), newer);
        assert!(raised("Package: sccm-agent\n").is_err());
    }
}
